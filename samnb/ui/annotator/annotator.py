"""The Annotator: a picture, a hand, and masks that are kept in the session."""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets

from ...images import encode_png, thumbnail
from ..common import style
from ..common.background import LatestOnlyWorker
from ..common.error_line import show_errors
from .annotation_actions import AnnotationActions
from .brush_tool import BrushTool
from .category_palette import Palette
from .editor import Editor
from .history import edit_state_of
from .hover import Hover
from .image_list import ImageList
from .key_bindings import command_for
from .layout import AnnotatorLayout
from .navigation import Navigator
from .prompt_tool import PromptTool
from .snapshot import Snapshot, show_with_snapshot
from .viewport import stage_size

if TYPE_CHECKING:
    from ...session import Session

__all__ = ["Annotator"]


class Annotator(PromptTool, AnnotationActions, BrushTool, Navigator, ipywidgets.VBox):
    """Click an object, see its mask, accept it.

    Everything the mouse does is a method here, in image pixels, and works without a browser. Handlers never raise:
    what goes wrong is shown in a red line in the widget and logged to "samnb.widgets". What is in hand, and the steps
    to undo, belong to the session: another annotator of it shows the same.

    Parameters
    ----------
    session : Session
        Where images come from and annotations go to.
    image : str, path or ImageRecord, optional
        The first one shown; None: the first of the dataset.
    dataset : str, optional
        None: all images of the session, or those of `image`'s dataset.

    Raises
    ------
    UnknownName
        No such image or dataset.
    """

    def __init__(self, session: Session, *, image: Any = None, dataset: str | None = None):
        self.session = session
        first = None if image is None else session.image(image)
        self.dataset = dataset if dataset is not None or first is None else first.dataset
        self._edit_state = edit_state_of(session)
        self._lock = self._edit_state.lock
        self._image_list = ImageList(session, self.dataset)
        self._palette = Palette(session.category_records())
        self._annotations, self._outlined, self._fine, self._outlining = {}, {}, set(), set()
        self._drawn_with = 0.0
        self._selected = self._hidden = None
        self._acting = self._turn = 0
        self._tool, self._hover_on, self._detail_on, self._brush_radius = "prompt", False, False, 8.0
        self._opacity, self._contour = 0.4, False
        self._accept_as = None
        failed = partial(self.show_error, "No mask for this prompt")
        shows: dict[str, Any] = {"on_change": self._draw_hand, "on_pictures": self._draw_candidates}
        self._editor = Editor(session, self._edit_state, **shows, on_failure=failed)
        self._editor.detail = self._on_screen
        self._hover = Hover(session, self._editor, outline=self._outlines, show=self._draw_hover)
        self._refreshing = LatestOnlyWorker()
        self._snapshot = Snapshot(self._draw_still)
        self._layout = AnnotatorLayout(self, stage_size(self._image_list.sizes, style.PICTURE_SIZE))
        self._layout.on_changed = self._snapshot.changed
        super().__init__(self._layout.parts)
        self.add_class("samnb")
        self.tool, self.brush_radius = self._tool, self._brush_radius
        self._listen()
        self.show(first if first is not None else self._image_list.first)

    # -- the mouse and the keys ------------------------------------------------------------------------

    @show_errors("This was not understood")
    def gesture(self, gesture: Any) -> None:
        """What the mouse did on the stage, see `samnb.ui.annotator.gestures`."""
        act = getattr(self, f"_on_{type(gesture).__name__.lower()}")
        act(gesture)

    def _on_click(self, click: Any) -> None:
        if self._tool == "select":
            self.select_at(click.x, click.y)
        else:
            self.click(click.x, click.y, background=click.background)

    def _on_doubleclick(self, click: Any) -> None:
        self.edit_at(click.x, click.y)

    def _on_boxdrag(self, drag: Any) -> None:
        self._drag_band(drag)

    def _on_pointdrag(self, drag: Any) -> None:
        self._drag_point(drag.index, drag.x, drag.y, drag.done)

    def _on_pointremove(self, remove: Any) -> None:
        self.remove_point(remove.index)

    def _on_hover(self, hover: Any) -> None:
        self.hover(hover.x, hover.y)

    def _on_hoverend(self, _: Any) -> None:
        self.hover_end()

    def _on_stroke(self, stroke: Any) -> None:
        erase = self._tool == "erase"
        if stroke.done:
            self.stroke(stroke.points, erase=erase)
        else:
            self._preview_stroke(stroke.points, erase)

    @show_errors("This key did nothing")
    def key(self, name: str, ctrl: bool = False, shift: bool = False) -> None:
        """What a key does while the pointer is over the picture, see `samnb.ui.annotator.key_bindings`."""
        meant = command_for(name, ctrl=ctrl, shift=shift, in_hand=self.prediction is not None)
        if meant is not None:
            getattr(self, meant.method)(*meant.arguments)

    def ask_for_name(self) -> None:
        """Put the cursor into the field for a file name."""
        self._layout.ask_for_name()

    def toggle_help(self) -> None:
        """Show or hide the keys."""
        self._layout.toggle_help()

    # -- the view --------------------------------------------------------------------------------------

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

    @property
    def opacity(self) -> float:
        """Of masks, 0 to 1."""
        return self._opacity

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._opacity = min(max(float(value), 0.0), 1.0)
        self._draw_look()

    @property
    def contour(self) -> bool:
        """Whether masks are drawn as outlines alone."""
        return self._contour

    @contour.setter
    def contour(self, value: bool) -> None:
        self._contour = bool(value)
        self._draw_look()

    def _draw_look(self) -> None:
        with self._lock:
            self._layout.stage.set_look(opacity=self._opacity, contour=self._contour, saved=True)
            self._layout.show_look(self._opacity, self._contour)

    # -- as a widget -----------------------------------------------------------------------------------

    def wait(self, timeout: float = 30.0) -> None:
        """Block until no mask is being computed and show what came; for scripts and tests."""
        self._editor.wait(timeout)
        self._refreshing.wait(timeout)

    def close(self) -> None:
        """Let go of the browser's objects."""
        # ipywidgets also closes what never came into being, when a constructor raised.
        if hasattr(self, "_layout"):
            self._fall_silent()
            self._snapshot.close()
            self._layout.close()
        super().close()

    def __repr__(self) -> str:
        where = self.image.filename if self.image is not None else "no images"
        place = " · ".join(filter(None, [self.session.name, self.dataset]))
        return f"<Annotator {place}: {where}, {len(self._annotations)} annotations>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        # For pages without a kernel, such as a notebook on a code hosting site: the widget as a still picture.
        still = encode_png(thumbnail(self.snapshot(), style.PICTURE_SIZE[0]))
        return {**bundle, "text/plain": repr(self), "image/png": b64encode(still).decode()}

    def _ipython_display_(self) -> None:
        show_with_snapshot(self._repr_mimebundle_(), self._snapshot)
