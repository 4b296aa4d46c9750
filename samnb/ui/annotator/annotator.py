"""`Annotator`: click an object, see its mask, accept it; put together from the parts of this package."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ...cards import count_text
from ...errors import UnknownName
from ...images import encode_png
from ..common import style
from ..common.background import LatestOnlyWorker
from ..common.closing import close_tree, collect_closed
from ..common.error_line import show_errors
from ..common.thumbnails import thumbnail_of
from .annotation_actions import AnnotationActions
from .annotation_set import AnnotationSet
from .annotator_methods import FlowMethods, StackMethods, ViewMethods, method_of, property_of
from .attribute_actions import AttributeActions
from .brush_tool import BrushTool
from .category_actions import CategoryActions
from .category_palette import Palette
from .change_follower import ChangeFollower
from .drop_listener import DropListener
from .dropped_files import DroppedFiles
from .edit_methods import EditMethods
from .editor import Editor
from .empty_state import EmptyState
from .gestures import Hover, HoverEnd
from .history import edit_state_of
from .hover import HoverPreview
from .image_list import ImageList
from .image_progress import ImageProgress
from .key_bindings import command_for, command_on_release
from .keyboard_cursor import KeyboardCursor
from .lasso_tool import LassoTool
from .layout import AnnotatorLayout
from .mask_edits import MaskEdits
from .navigation import Navigator
from .object_actions import ObjectActions
from .polygon_tool import PolygonTool
from .prompt_tool import PromptTool
from .proposal_tool import ProposalTool
from .rendering import Renderer
from .repeat import Repeater
from .select_tool import SelectTool
from .snapshot import Snapshot, show_with_snapshot
from .stack_tool import StackTool
from .stage_tool import StageTool
from .tool_settings import ToolSettings
from .unsure import UnsureActions
from .view_settings import ViewSettings
from .viewport import stage_size

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ...masks.geometry import Mask
    from ...prompts import Prediction, Prompt
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession


class Annotator(FlowMethods, ViewMethods, EditMethods, StackMethods, ipywidgets.VBox):
    """Click an object, see its mask, accept it.

    Everything the mouse does is a method here, in image pixels, and works without a browser. Handlers never raise:
    errors are shown in a red line in the widget and logged to "samnb.widgets". The draft and the steps to undo belong
    to the session: another annotator of it shows the same.

    Parameters
    ----------
    session : Session
        The session with the images, which stores the annotations.
    image : str, path or ImageRecord, optional
        The first one shown; None: the first of the dataset.
    dataset : str, optional
        None: all images of the session, or those of `image`'s dataset.

    Raises
    ------
    UnknownName
        No such image or dataset.

    Examples
    --------
    >>> annotator = Annotator(session, image="coins_1.png")
    >>> annotator.click(45, 104)
    >>> annotator.wait()
    >>> annotator.accept()
    >>> annotator
    <Annotator session · monday: coins_1.png, 2 annotations>
    >>> annotator.close()
    """

    def __init__(self, session: AnnotatorSession, *, image: Any = None, dataset: str | None = None):
        self.session = session
        first = None if image is None else session.image(image, dataset=dataset)
        self.dataset = dataset if dataset is not None or first is None else first.dataset
        self._outer_keys: frozenset[str] = frozenset()
        self._edit_state = edit_state_of(session)
        self._lock, self._worker = self._edit_state.lock, LatestOnlyWorker()
        self._image_list = ImageList(session, self.dataset)
        if first is not None and first.id not in self._image_list:
            known = [one.filename for one in self._image_list.images]
            raise UnknownName(f"image of dataset {self.dataset!r}:", first.filename, known)
        state = self._edit_state
        self._palette = Palette(
            session.category_records(),
            chosen=(state.category, session.category_used_last()),
            on_chosen=partial(setattr, state, "category"),
        )
        self._annotations = AnnotationSet()
        self._layout = AnnotatorLayout(self, stage_size(self._image_list.sizes, style.PICTURE_SIZE))
        self._make_parts()
        self._snapshot = Snapshot(self._renderer.snapshot)
        self._layout.on_changed = self._snapshot.changed
        super().__init__((*self._layout.parts, DropListener(lambda files: self.add_files(files))))
        self.add_class("samnb")
        self._layout.page.serve(self)
        self._follower.start()
        # Where the work was left.
        resumed = session.opened_last(self.dataset) if first is None else None
        self.show(first or resumed or self._image_list.first)
        if resumed is not None and resumed.id != getattr(self._image_list.first, "id", None):
            self._layout.note(f"{resumed.filename}: here you left off")
        if self._image_list.first is None:
            self._layout.show_empty(EmptyState(session, self.dataset, self._show_first))

    def _make_parts(self) -> None:
        session, layout = self.session, self._layout
        self._editor = Editor(
            session,
            self._edit_state,
            on_change=self._draft_changed,
            on_thumbnails=lambda: self._renderer.draw_candidates(),
            on_failure=self._no_mask,
            say=layout.say,
        )
        editor, annotations, palette, images = self._editor, self._annotations, self._palette, self._image_list
        layout.strip.thumbnails.read = partial(thumbnail_of, session)
        renderer = Renderer(session, self.dataset, editor, annotations, palette, images, layout, self._worker)
        hover = HoverPreview(editor, outline=renderer.outlines, show=renderer.draw_preview)
        settings = ToolSettings(renderer, layout, hover)
        layout.stage.is_accepted = lambda: editor.accept_when_ready
        editor.detail = lambda: layout.stage.view.visible if settings.detail_on else None
        follower = ChangeFollower(
            session, self._edit_state, editor, annotations, palette, renderer, self._worker, tell=layout.tell
        )
        actions = AnnotationActions(renderer, session, editor, annotations, palette, follower, hover, layout)
        self._renderer, self._hover, self._settings, self._follower = renderer, hover, settings, follower
        self._actions = actions
        state = self._edit_state
        self._categories = CategoryActions(renderer, session, palette, state, editor, annotations, follower, actions)
        self._unsure = UnsureActions(renderer, session, editor, annotations, follower, actions, layout)
        self._attributes = AttributeActions(renderer, session, editor, annotations, follower, actions, layout)
        shown = editor, annotations, follower
        self._navigator = Navigator(renderer, session, images, *shown, hover, layout, self._unsure)
        self._repeater = Repeater(renderer, editor, actions, self._categories, settings, layout)
        self._progress = ImageProgress(
            *(renderer, session, editor, annotations, images, follower, self._navigator),
            *(self._repeater, layout),
        )
        self._objects = ObjectActions(
            renderer, session, editor, annotations, actions, self._categories, settings, self._unsure, layout
        )
        self._make_tools(MaskEdits(renderer, editor, annotations, actions))
        self._cursor = KeyboardCursor(renderer, editor, layout, on_click=self.gesture)
        self._stacks = StackTool(renderer, session, editor, annotations, images, follower, self._navigator, layout)
        renderer.on_opened = self._stacks.opened
        renderer.on_draft, images.drafts = follower.badges_changed, state.drafts
        self._dropped = DroppedFiles(renderer, session, editor, layout, self.dataset)
        self._view = ViewSettings(renderer, layout, settings)
        follower.on_first = self._show_first
        renderer.on_gone = layout.page.on_came = follower.look

    def _make_tools(self, edits: MaskEdits) -> None:
        renderer, editor, annotations = self._renderer, self._editor, self._annotations
        actions, objects, settings, layout = self._actions, self._objects, self._settings, self._layout
        self._prompts = PromptTool(
            renderer, editor, annotations, actions, objects, settings, self._hover, layout, self._repeater
        )
        self._brush = BrushTool(renderer, editor, annotations, edits, settings)
        self._lasso = LassoTool(renderer, editor, actions, objects, edits, layout)
        self._polygon = PolygonTool(renderer, editor, annotations, actions, objects, edits, settings, layout)
        self._proposals = ProposalTool(renderer, self.session, editor, annotations, actions, settings, layout)
        self._tools: dict[str, StageTool] = {
            "prompt": self._prompts,
            "select": SelectTool(renderer, annotations, actions, objects),
            "brush": self._brush,
            "erase": self._brush,
            "lasso": self._lasso,
            "polygon": self._polygon,
            "proposals": self._proposals,
        }
        settings.on_tool = self._tool_changed
        renderer.on_annotations = self._proposals.annotations_changed
        renderer.on_drawn = self._polygon.draw

    def _tool_changed(self) -> None:
        self._renderer.highlight(None)
        self._proposals.changed()
        self._polygon.draw()

    # -- actions: each is a method of a part ---------------------------------------------------------

    click = method_of("_prompts", PromptTool.click)
    drag_box = method_of("_prompts", PromptTool.drag_box)
    move_point = method_of("_prompts", PromptTool.move_point)
    remove_point = method_of("_prompts", PromptTool.remove_point)
    clear = method_of("_prompts", PromptTool.clear)
    choose = method_of("_prompts", PromptTool.choose)
    choose_number = method_of("_prompts", PromptTool.choose_number)
    choose_step = method_of("_prompts", PromptTool.choose_step)
    hover = method_of("_prompts", PromptTool.hover, acts=False)
    hover_end = method_of("_prompts", PromptTool.hover_end, acts=False)
    toggle_hover = method_of("_prompts", PromptTool.toggle_hover)
    toggle_detail = method_of("_prompts", PromptTool.toggle_detail)
    detail_on = property_of("_prompts", PromptTool, "detail_on")

    toggle_proposals = method_of("_proposals", ProposalTool.toggle_proposals)
    find_like_selected = method_of("_proposals", ProposalTool.find_like_selected)
    offer = method_of("_proposals", ProposalTool.offer)
    toggle_groups = method_of("_proposals", ProposalTool.toggle_groups)
    take_at = method_of("_proposals", ProposalTool.take_at)
    sweep = method_of("_proposals", ProposalTool.sweep)
    scroll = method_of("_proposals", ProposalTool.scroll)
    reject_at = method_of("_proposals", ProposalTool.reject_at)
    offered = property_of("_proposals", ProposalTool, "offered")

    tool = property_of("_settings", ToolSettings, "tool")
    take_tool = method_of("_settings", ToolSettings.take_tool)
    hover_on = property_of("_settings", ToolSettings, "hover_on")
    brush_radius = property_of("_settings", ToolSettings, "brush_radius")
    resize_brush = method_of("_settings", ToolSettings.resize_brush)
    opacity = property_of("_settings", ToolSettings, "opacity")
    contour = property_of("_settings", ToolSettings, "contour")

    stroke = method_of("_brush", BrushTool.stroke)
    fill_holes = method_of("_brush", BrushTool.fill_holes)
    drop_specks = method_of("_brush", BrushTool.drop_specks)
    smooth = method_of("_brush", BrushTool.smooth)

    move_cursor = method_of("_cursor", KeyboardCursor.move)
    click_at_cursor = method_of("_cursor", KeyboardCursor.click)

    accept = method_of("_unsure", UnsureActions.accept)
    undo = method_of("_actions", AnnotationActions.undo)
    redo = method_of("_actions", AnnotationActions.redo)
    select = method_of("_actions", AnnotationActions.select)
    select_at = method_of("_actions", AnnotationActions.select_at)
    edit = method_of("_actions", AnnotationActions.edit)
    edit_at = method_of("_actions", AnnotationActions.edit_at)
    remove = method_of("_unsure", UnsureActions.remove)
    remove_selected = method_of("_unsure", UnsureActions.remove_selected)
    set_category_of = method_of("_actions", AnnotationActions.set_category_of)
    raise_ = method_of("_actions", AnnotationActions.raise_)
    lower = method_of("_actions", AnnotationActions.lower)

    category = property_of("_categories", CategoryActions, "category")
    choose_category = method_of("_categories", CategoryActions.choose_category)
    choose_category_number = method_of("_categories", CategoryActions.choose_category_number)
    category_step = method_of("_categories", CategoryActions.category_step)
    add_category = method_of("_categories", CategoryActions.add_category)
    rename_category = method_of("_categories", CategoryActions.rename_category)
    recolor_category = method_of("_categories", CategoryActions.recolor_category)
    move_category = method_of("_categories", CategoryActions.move_category)
    merge_category = method_of("_categories", CategoryActions.merge_category)
    remove_category = method_of("_categories", CategoryActions.remove_category)

    next = method_of("_navigator", Navigator.next)
    previous = method_of("_navigator", Navigator.previous)
    next_open = method_of("_navigator", Navigator.next_open)
    jump = method_of("_navigator", Navigator.jump)
    filter = method_of("_navigator", Navigator.filter)
    show = method_of("_navigator", Navigator.show)

    @show_errors("The view stays as it is")
    def zoom_in(self) -> None:
        """Larger, by half."""
        self._layout.stage.zoom(1.5)

    @show_errors("The view stays as it is")
    def zoom_out(self) -> None:
        """Smaller, by a third."""
        self._layout.stage.zoom(1 / 1.5)

    @show_errors("The view stays as it is")
    def fit(self) -> None:
        """The whole picture."""
        self._layout.stage.fit()

    @show_errors("The view stays as it is")
    def actual_size(self) -> None:
        """One image pixel for each pixel of the screen."""
        self._layout.stage.actual_size()

    def ask_for_name(self) -> None:
        """Put the cursor into the field for a file name."""
        self._layout.ask_for_name()

    def toggle_help(self) -> None:
        """Show or hide the keys."""
        self._layout.toggle_help()

    # -- the mouse and the keys ----------------------------------------------------------------------

    @show_errors("This was not understood")
    def gesture(self, gesture: Any) -> None:
        """Handle a gesture on the stage, see `samnb.ui.annotator.gestures`."""
        if not isinstance(gesture, Hover | HoverEnd):
            self._cursor.hide()
            self._layout.begin_action()
        with self._lock:
            if not self._tools[self.tool].handle(gesture):
                raise TypeError(f"no gesture for the tool {self.tool}: {gesture!r}")

    @show_errors("This key did nothing")
    def key(self, name: str, ctrl: bool = False, shift: bool = False, alt: bool = False) -> None:
        """Handle a key while the annotator has the focus, see `samnb.ui.annotator.key_bindings`."""
        if not (ctrl or shift or alt) and name.lower() in self._outer_keys:
            self._on_outer_key(name)
            return
        command = command_for(name, ctrl=ctrl, shift=shift, alt=alt)
        if command is not None:
            getattr(self, command.method)(*command.arguments)

    def yield_keys(self, names: Collection[str], on_key: Callable[[str], None]) -> None:
        """Leave keys, without Ctrl, Shift and Alt, to the widget around this one; the help does not show them."""
        self._outer_keys, self._on_outer_key = frozenset(names), on_key
        self._layout.leave_out_keys(self._outer_keys)

    @show_errors("This key did nothing")
    def key_up(self, name: str) -> None:
        """Handle the release of a key that has an effect while it is held."""
        command = command_on_release(name)
        if command is not None:
            getattr(self, command.method)(*command.arguments)

    @show_errors("The outlines stay as they are")
    def view_changed(self) -> None:
        """Draw outlines as fine as the view needs them."""
        with self._lock:
            self._renderer.view_changed()

    @show_errors("The mask cannot be shown")
    def _draft_changed(self) -> None:
        self._renderer.draw_draft()
        if self._editor.is_ready:
            if self._editor.accept_when_ready:
                self._editor.accept_when_ready = False
                self._actions.accept(self._editor.accept_as)
            self._repeater.go_on()
        else:
            self._repeater.waits()  # says what is let go with an undone step, or with the image

    @show_errors("The new pictures cannot be shown")
    def _show_first(self) -> None:
        with self._lock:
            self._renderer.draw_header()  # reads the list of images again
            if self.image is None and self._image_list.first is not None:
                self._layout.error_line.dismiss()
                self._layout.show_empty(None)
                self.show(self._image_list.first)

    def _no_mask(self, error: Exception) -> None:
        self._repeater.give_up()
        self.show_error("No mask for this prompt", error)

    # -- state ---------------------------------------------------------------------------------------

    @property
    def image(self) -> ImageRecord | None:
        """The image shown."""
        return self._editor.image

    @property
    def prompt(self) -> Prompt:
        """The prompt of the draft."""
        return self._editor.draft.prompt

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of that prompt; None while there is none yet."""
        return self._editor.prediction

    @property
    def mask(self) -> Mask | None:
        """(H, W) bool: the draft's mask, with what was painted on it."""
        return self._editor.mask

    @property
    def editing(self) -> bool:
        """True while an object is begun, or opened again, and not accepted yet."""
        return bool(self._editor.draft)

    def edits(self, annotation_id: int) -> bool:
        """Whether that annotation was opened again on the image shown, and is neither accepted nor cleared yet."""
        return self.editing and self._editor.draft.replaces == annotation_id

    @property
    def annotations(self) -> list[Annotation]:
        """The annotations of the image shown, in the order they are drawn: by layer, then by id."""
        return self._annotations.in_drawing_order

    @property
    def selected(self) -> int | None:
        """The id of the annotation selected last."""
        return self._annotations.selected

    @property
    def selection(self) -> tuple[int, ...]:
        """The ids of all selected annotations, in the order they were selected."""
        return self._annotations.selection

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._layout.error_line.text

    @property
    def status(self) -> str:
        """The left part of the status line."""
        return self._layout.status

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        self._renderer.show_error(what, error)

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB pixels of the image with its annotations, the mask being edited and its prompt."""
        return self._renderer.pixels()

    # -- as a widget ---------------------------------------------------------------------------------

    def wait(self, timeout: float = 30.0) -> None:
        """Block until no mask is being computed and show what came; for scripts and tests."""
        self._editor.wait(timeout)
        self._worker.wait(timeout)
        self._proposals.worker.wait(timeout)
        self._renderer.crops.worker.wait(timeout)
        self._stacks.worker.wait(timeout)

    def close(self) -> None:
        """Release the browser's objects."""
        # ipywidgets also closes a widget whose constructor raised.
        if hasattr(self, "_snapshot"):
            self._follower.stop()
            self._snapshot.close()
            self._layout.close()
            close_tree(self)
            collect_closed()
        super().close()

    def __repr__(self) -> str:
        where = self.image.filename if self.image is not None else "no images"
        place = " · ".join(filter(None, [self.session.name, self.dataset]))
        return f"<Annotator {place}: {where}, {count_text(len(self._annotations), 'annotation')}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        # For pages without a kernel, such as a notebook on a code hosting site: the widget as a picture. From outlines:
        # the masks of thousands of annotations on a large picture take seconds and gigabytes.
        picture = encode_png(self._renderer.snapshot())
        return {**bundle, "text/plain": repr(self), "image/png": b64encode(picture).decode()}

    def _ipython_display_(self) -> None:
        show_with_snapshot(self._repr_mimebundle_(), self._snapshot)
