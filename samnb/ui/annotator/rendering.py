"""`Renderer`: draws what an annotator shows: the draft and its mask, the annotations, the header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import UnknownName
from ...masks.part import MaskPart
from ...records import UNSURE
from ..common import style
from ..common.error_line import show_errors
from .annotation_crops import AnnotationCrops
from .annotation_list import AnnotationRow
from .annotation_look import AnnotationLook, overlap_shape
from .annotation_outlines import AnnotationOutlines, Outlines
from .score_advice import ScoreAdvice
from .shapes import Shape
from .snapshot import draw_annotated, draw_snapshot

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ...masks.geometry import Mask
    from ...records import AttributeRecord, ImageRecord
    from ..common.background import LatestOnlyWorker
    from ..session_protocol import AnnotatorSession
    from .annotation_set import AnnotationSet
    from .category_palette import Palette
    from .editor import Editor
    from .history import Change
    from .image_list import ImageList
    from .layout import AnnotatorLayout


# Priority on the worker; see those of `samnb.ui.annotator.change_follower`.
_OVERLAP = 7

# Maximum distance of outlines from the edges of the pixels, in image pixels; from `_CLOSE` CSS pixels per image pixel
# on, they follow the edges exactly.
_COARSE, _CLOSE = 0.75, 1.5


class Renderer:
    """Brings the state of an annotator's parts onto its layout.

    Parameters
    ----------
    session : AnnotatorSession
    dataset : str or None
        Named in the header.
    editor : Editor
        The draft and its mask; its lock is held while something is drawn.
    annotations : AnnotationSet
    palette : Palette
    image_list : ImageList
    layout : AnnotatorLayout
        The layout to draw on.
    worker : LatestOnlyWorker
        Makes outlines that are not needed at once.
    """

    def __init__(
        self,
        session: AnnotatorSession,
        dataset: str | None,
        editor: Editor,
        annotations: AnnotationSet,
        palette: Palette,
        image_list: ImageList,
        layout: AnnotatorLayout,
        worker: LatestOnlyWorker,
    ):
        self._session, self._dataset = session, dataset
        self._editor, self._annotations, self._palette = editor, annotations, palette
        self._image_list, self._layout, self._lock = image_list, layout, editor.lock
        self._hidden: int | None = None
        self._highlighted: int | None = None
        self.on_drawn: Callable[[], None] = lambda: None
        """Called after the draft or the annotations were drawn."""
        self.on_annotations: Callable[[], None] = lambda: None
        """Called when annotations of the image shown, or the image, changed."""
        self.on_opened: Callable[[ImageRecord], None] = lambda image: None
        """Called with an image that is shown from now on."""
        self.look = AnnotationLook()
        """How annotations are drawn."""
        self._worker = worker
        self._overlap: tuple[object, ...] = ()
        self.attributes: Sequence[AttributeRecord] = session.attributes()
        self.on_draft: Callable[[], None] = lambda: None
        """Called when a draft was begun or ended."""
        self.on_gone: Callable[[], None] = lambda: None
        """Called when an annotation that is shown is there no more."""
        self._has_draft = False
        self._draft_drawn = editor.draft
        self._tolerance_drawn = 0.0
        self._model_answered = False
        self._advice, self._object_counted = ScoreAdvice(session.model.name), False
        failed = partial(self.show_error, "Not all annotations could be drawn")
        ready = self.draw_annotations
        self.annotation_outlines = AnnotationOutlines(
            self.outlines, worker, self._lock, on_ready=ready, on_error=failed
        )
        self.crops = AnnotationCrops(session, on_ready=layout.show_crops)

    def say(self, text: str) -> None:
        """Show a text in the status line."""
        self._layout.say(text)

    def show_error(self, what: str, error: Exception) -> None:
        """Show the failed action, and the reason, in the error line; what is gone needs no more than to be told."""
        with self._lock:
            if isinstance(error, UnknownName) and error.kind == "annotation":
                self._layout.say(f"{what}: the object is gone, it was deleted elsewhere")
                self.on_gone()
            else:
                self._layout.error_line.show(what, error)

    # -- the draft -------------------------------------------------------------------------------------

    def draw_draft(self) -> None:
        """The draft and its mask; the mask of the last prompt stays until the new one is there."""
        editor, layout = self._editor, self._layout
        draft = editor.draft
        layout.stage.show_prompt(draft.prompt)
        self.draw_buttons()
        if draft is not self._draft_drawn and editor.image is not None:
            # By an action, and not by its mask, which may come after the error of a later action.
            self._draft_drawn = draft
            layout.error_line.dismiss()
        if editor.is_ready:
            self._draw_mask()
        elif not draft:
            self._object_counted = False
            layout.stage.show_mask(None)
            layout.show_candidates((), (), 0)
            layout.note("")
        elif editor.image is not None:
            cached = self._session.is_cached(editor.image)
            steps = [] if self._model_answered else [f"loading the model {self._session.model.name}"]
            steps += [] if cached else [f"encoding {editor.image.filename}"]
            if steps:
                layout.note(f"{', then '.join(steps)}, first time only …")
        if draft.replaces != self._hidden:
            self.draw_annotations()
        else:
            self.on_drawn()
        if bool(draft) != self._has_draft:
            self._has_draft = bool(draft)
            self.on_draft()

    def _draw_mask(self) -> None:
        editor, layout = self._editor, self._layout
        mask, prediction = editor.part, editor.prediction
        assert mask is not None
        self._tolerance_drawn = self._tolerance()
        self.draw_edited(mask)
        if prediction is None:
            layout.show_candidates((), (), 0)
            layout.note(f"{'editing' if editor.draft.replaces else 'drawn'} · {mask.area:,} px")
            return
        self._model_answered = True
        self.draw_candidates()
        if not self._object_counted:
            self._object_counted = True
            if advice := self._advice.after(float(prediction.scores[editor.chosen])):
                layout.advice.say(advice)
        how = "cache hit" if prediction.cache_hit else "encoded"
        if prediction.region is not None:
            x0, y0, x1, y1 = prediction.region
            how += f" · detail of {x1 - x0} × {y1 - y0}"
        layout.note(f"score {prediction.scores[editor.chosen]:.2f} · {prediction.ms:.0f} ms · {how}")
        if not prediction.cache_hit:
            self.draw_header(read=False)

    def draw_edited(self, mask: Mask | MaskPart) -> None:
        """A mask in the colour of the chosen category, as the one being edited."""
        self._layout.stage.show_mask(Shape(self.outlines(mask), self._palette.color(self._palette.chosen)))

    def end_preview(self) -> None:
        """The draft's mask, or none, in place of what a stroke has shown that changed nothing."""
        part = self._editor.part
        if part is None:
            self._layout.stage.show_mask(None)
        else:
            self.draw_edited(part)

    @show_errors("The candidates cannot be shown")
    def draw_candidates(self) -> None:
        """The candidate masks with their scores and thumbnails."""
        prediction, decoded = self._editor.prediction, self._editor.decoded
        if prediction is not None and decoded is not None:
            self._layout.show_candidates(prediction.scores.tolist(), decoded.thumbnails, self._editor.chosen)

    def draw_preview(self, found: Outlines | None) -> None:
        """The mask that a click at the pointer would give, or none."""
        with self._lock:
            self._layout.stage.show_hover(Shape(found, style.ACCENT) if found else None)

    def draw_buttons(self) -> None:
        """Enable or disable the buttons."""
        history = self._editor.history if self._editor.image is not None else None
        editing = bool(self._editor.draft)
        self.draw_attributes()
        self._layout.allow(
            accept=editing,
            undo=history is not None and history.can_undo,
            redo=history is not None and history.can_redo,
            edit=editing or self._annotations.selected is not None,
        )

    # -- annotations -----------------------------------------------------------------------------------

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changes of annotations, and redraw what they affect."""
        assert self._editor.image is not None
        shown = self._editor.image.id
        # A copy through a stack changes other images too.
        changes = list(changes)
        here = [one for one in changes if (one.after or one.before).image_id == shown]
        self._annotations.apply(here)
        self._image_list.mark_annotated(self._editor.image, bool(self._annotations))
        self._image_list.mark_unsure(self._editor.image, any(a.review == UNSURE for a in self._annotations))
        self.draw_annotations()
        # What was changed here alone is known: to count all annotations of a session takes a moment at each object.
        self.draw_header(read=not here or len(here) < len(changes))
        self.on_annotations()

    def draw_annotations(self) -> None:
        """All annotations but the one being edited, on the picture and as a list; categories and buttons."""
        drawn = self._annotations.in_drawing_order
        self._hidden, self._annotations.hidden = self._editor.draft.replaces, self.look.hidden
        self.annotation_outlines.update(drawn)
        shapes = self.look.shapes(drawn, self.annotation_outlines, self._palette, without=self._hidden)
        rows = [
            AnnotationRow(
                *(a.id, a.category, a.score, self._palette.index(a.category), self.look.color(a, self._palette)),
                unsure=a.source if a.review == UNSURE else "",
            )
            for a in self._annotations
        ]
        self._layout.show_annotations(shapes, rows, self._annotations.selection)
        if self._highlighted not in self._annotations:
            self.highlight(None)
        self._draw_overlap(drawn)
        self.draw_categories()
        self.draw_buttons()
        self.on_drawn()

    def highlight(self, annotation_id: int | None) -> None:
        """Lift out an annotation on the picture and in the list; None: none of them."""
        if annotation_id == self._highlighted:
            return
        annotation = self._annotations.get(annotation_id)
        found = None if annotation is None else self.annotation_outlines.get(annotation)
        self._highlighted = None if annotation is None else annotation.id
        shape = Shape(found, self.look.color(annotation, self._palette)) if annotation is not None and found else None
        self._layout.show_highlight(shape, self._highlighted)

    def draw_crops(self, annotation_ids: Iterable[int]) -> None:
        """Make the crops of these annotations, which the list shows now."""
        image, these = self._editor.image, [self._annotations.get(each) for each in annotation_ids]
        if image is not None:
            self.crops.want(image, [(a, self.look.color(a, self._palette)) for a in these if a is not None])

    @property
    def attribute_values(self) -> dict[str, bool | str] | None:
        """The attributes of the object being edited, else of the selected annotation; None: there is no object."""
        draft = self._editor.draft
        if draft and draft.attributes is not None:
            return dict(draft.attributes)
        found = self._annotations.get(draft.replaces if draft else self._annotations.selected)
        return dict(found.attributes) if found is not None else {} if draft else None

    def draw_attributes(self) -> None:
        """The declared attributes, and the values of the object."""
        self._layout.show_attributes(self.attributes, self.attribute_values)

    def _draw_overlap(self, drawn: Sequence[Annotation]) -> None:
        wanted = tuple(a for a in drawn if a.category not in self.look.hidden) if self.look.overlap else ()
        state = tuple((a.id, a.updated_at) for a in wanted)
        if state == self._overlap:
            return
        self._overlap = state
        if not wanted:
            self._layout.stage.show_overlap(None)
        else:
            self._worker.submit(partial(overlap_shape, wanted), partial(self._take_overlap, state), priority=_OVERLAP)

    def _take_overlap(self, state: object, shape: Shape | None, error: Exception | None) -> None:
        if error is not None:
            self.show_error("The overlaps could not be drawn", error)
            return
        with self._lock:
            if state == self._overlap:
                self._layout.stage.show_overlap(shape)

    def draw_categories(self) -> None:
        """The categories and the chosen one, which also colours the mask being edited."""
        self._layout.show_categories(self._palette.chips, self._palette.chosen, self.look.hidden)
        self._layout.stage.color_mask(self._palette.color(self._palette.chosen))

    # -- the view --------------------------------------------------------------------------------------

    def view_changed(self) -> None:
        """Make finer outlines after zooming in: of the draft's mask now, of the annotations in view on the worker."""
        if self._editor.image is None or self._tolerance() >= _COARSE:
            return
        if self._editor.is_ready and self._tolerance_drawn > self._tolerance():
            self._draw_mask()
        self.annotation_outlines.refine([a for a in self._annotations if self._in_view(a)])

    def _in_view(self, annotation: Annotation) -> bool:
        x0, y0, x1, y1 = self._layout.stage.view.visible
        x, y, width, height = annotation.bbox
        return x < x1 and y < y1 and x + width > x0 and y + height > y0

    def _tolerance(self) -> float:
        """Image pixels that outlines may lie off the pixels' edges: less than one of the image or of the screen."""
        scale = self._layout.stage.view.scale
        return 0.0 if scale > _CLOSE else max(_COARSE, 0.5 / scale)

    def outlines(self, mask: Mask | MaskPart) -> Outlines:
        """The outlines of a mask, as fine as the view needs them."""
        part = mask if isinstance(mask, MaskPart) else MaskPart.of(mask)
        return tuple(part.polygons(tolerance=self._tolerance(), exact=False))

    # -- the header ------------------------------------------------------------------------------------

    def draw_header(self, *, read: bool = True) -> None:
        """Session, dataset, image and counts; the filmstrip.

        Parameters
        ----------
        read : bool
            Ask the session which images have annotations, since others may have changed some.
        """
        image = self._editor.image
        filename = image.filename if image is not None else ""
        self._layout.show_header(self._session.name, self._dataset or "", filename, self._image_list.counts(read=read))
        self._layout.show_strip(self._image_list)

    def draw_badges(self) -> None:
        """The filmstrip's badges."""
        with self._lock:
            self._layout.strip.refresh()

    # -- without a kernel ------------------------------------------------------------------------------

    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB pixels of the image with its annotations, the mask being edited and its prompt."""
        with self._lock:
            image, mask = self._editor.image, self._editor.mask
            if image is None:
                return np.full((64, 96, 3), 240, np.uint8)
            if self._editor.is_large:
                return self.snapshot()
            drawn = self._annotations.in_drawing_order
            shown = [a for a in drawn if a.part.size_hw == image.size_hw and a.id != self._hidden]
            masks, colors = [a.part.whole for a in shown], [self._palette.color(a.category) for a in shown]
            if mask is not None:
                masks, colors = [*masks, mask], [*colors, self._palette.color(self._palette.chosen)]
            return draw_annotated(self._session.pixels(image), masks, colors, self._editor.draft.prompt)

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of what a page without a kernel shows: the same, made small, with title and legend."""
        with self._lock:
            image, shapes = self._editor.image, self._layout.shapes
            mask, prompt = self._editor.mask, self._editor.draft.prompt
            counts = Counter(annotation.category for annotation in self._annotations)
            legend = [(f"{name} · {count}", self._palette.color(name)) for name, count in counts.items()]
        if image is None:
            return self.pixels()
        title = " · ".join(filter(None, [self._session.name, image.dataset, image.filename]))
        if self._editor.is_large:
            small = self._session.thumbnail(image, style.PICTURE_SIZE[0])
            return draw_snapshot(small, shapes, size_hw=image.size_hw, prompt=prompt, title=title, legend=legend)
        pixels = self._session.pixels(image)
        return draw_snapshot(pixels, shapes, mask=mask, prompt=prompt, title=title, legend=legend)


@dataclass(eq=False)
class AnnotatorPart:
    """A part of the annotator that acts: it draws with the renderer, and its errors are shown in the widget."""

    renderer: Renderer

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        self.renderer.show_error(what, error)
