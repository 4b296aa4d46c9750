"""`Stage`: a picture with masks and prompts on it, zoomed and moved, with a pointer listener on top."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipycanvas
import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ...prompts import FOREGROUND, Prompt
from ..common import style
from ..common.closing import close_tree
from .background import Background
from .gestures import BoxDrag, Gesture, Gestures, Pan, Stroke, Zoom, box_handles
from .image_pyramid import ImagePyramid
from .picture_look import PictureLook
from .pointer_listener import PointerListener
from .prompt_drawing import draw_box, draw_cursor, draw_handles, draw_point, draw_trail
from .saved_layer import draw_offered, draw_saved
from .scale_bar import ScaleBar
from .shapes import LOCK, Look, Shape, draw_shapes, drawing, page_is_new
from .stage_overlay import StageOverlay
from .vertex_overlay import VertexOverlay
from .viewport import Viewport

if TYPE_CHECKING:
    from ...images.lazy import PixelSize

PICTURE, SAVED, MASK, PROMPT = range(4)

# Canvas pixels: enough for a large stage on a HiDPI screen; more only makes every drawing slow.
_MOST_PIXELS = 6_000_000


class Stage:
    """Shows one picture with masks and prompts, and reports gestures in image pixels.

    Parameters
    ----------
    size : (width, height)
        CSS pixels, until the page tells how large the stage is there.
    on_gesture : callable
        Called with a gesture of `samnb.ui.annotator.gestures`; drags and strokes come several times before they are
        done. Zooming and moving the picture are handled here and not reported.
    on_key : callable
        Called with a key's name, whether Ctrl or Cmd, Shift, and Alt are down, while the annotator has the focus
        or the pointer is over the stage.
    on_key_up : callable, optional
        Called with the name of a key of `key_bindings` that has an effect while it is held, after its release.
    on_view : callable, optional
        Called after the view changed.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        on_gesture: Callable[[Gesture], None],
        on_key: Callable[[str, bool, bool, bool], None],
        on_key_up: Callable[[str], None] = lambda name: None,
        on_view: Callable[[], None] | None = None,
    ):
        self.view = Viewport(size, size)
        """The view: scale, offset and the coordinates they give."""
        self._on_gesture, self._on_key, self._on_view, self._on_key_up = on_gesture, on_key, on_view, on_key_up
        self._gestures = Gestures()
        self._closed = False  # a command for a canvas that the page no longer has would stop all drawing
        self._look = Look()
        self._saved: Sequence[Shape] = ()
        self._selected: frozenset[int] = frozenset()
        self._offered: Sequence[Shape] = ()
        self._overlap: Shape | None = None
        self._hidden = False
        self._mask: Shape | None = None
        self._hover: Shape | None = None
        self._highlight: Shape | None = None
        self._vertices: Sequence[NDArray[np.float64]] = ()
        self._still_open = False
        self._prompt = Prompt()
        self._band: BoxDrag | None = None
        self._active: int | None = None
        self.is_accepted: Callable[[], bool] = lambda: False
        """Whether the prompt shown is accepted and its mask still computed: drags on it are the next object's."""
        self._cursor: tuple[float, float] | None = None
        self._trail: Stroke | None = None
        self._brush_radius = 0.0
        self._drawn: object = None
        self.pointer: tuple[float, float] | None = None
        """The image pixel under the pointer when a key was pressed; None: it was beside the picture."""
        width, height = self.view.canvas_size
        self.canvas = ipycanvas.MultiCanvas(4, width=width, height=height)
        # The page scales the canvas with its box, so coordinates are right before its size is known here.
        self.canvas.layout.width, self.canvas.layout.height = "100%", "100%"
        self.canvas.on_client_ready(self._on_client_ready)
        self._background = Background(self.canvas[PICTURE])
        self.listener = PointerListener(self._on_events)
        self.overlay = StageOverlay(self._center)
        self.vertex_overlay, self.scale_bar = VertexOverlay(), ScaleBar()
        self.widget = ipywidgets.Box([self.canvas, self.listener, self.overlay, self.vertex_overlay, self.scale_bar])
        self.widget.add_class("samnb-stage")

    # -- what is shown -----------------------------------------------------------------------------

    def show_picture(self, picture: NDArray[np.uint8] | ImagePyramid) -> None:
        """Show another picture, fitted; everything on the last one is removed."""
        size = picture.size if isinstance(picture, ImagePyramid) else (picture.shape[1], picture.shape[0])
        with LOCK, drawing():
            self.view = Viewport(size, self.view.stage_size, self.view.backing)
            self._saved, self._selected, self._mask, self._hover, self._offered = (), frozenset(), None, None, ()
            self._overlap = None
            self._highlight = None
            self.show_vertices(())
            self._prompt, self._band, self._active, self._trail, self._cursor = Prompt(), None, None, None, None
            self._background.show(picture, self.view)
            self.overlay.show_picture(picture.small(1024) if isinstance(picture, ImagePyramid) else picture)
            self._draw_above()
        self._view_changed()

    def replace_picture(self, picture: NDArray[np.uint8] | ImagePyramid) -> None:
        """Other pixels of the same picture: the view and everything on it stay."""
        with LOCK, drawing():
            if not self._closed:
                self._background.show(picture, self.view)
                self.overlay.show_picture(picture.small(1024) if isinstance(picture, ImagePyramid) else picture)
                self.overlay.show_view(self.view)

    def show_pixel_size(self, size: PixelSize | None) -> None:
        """The size of a pixel, for the scale bar; None hides it."""
        self.scale_bar.show_size(size, self.view)

    def show_saved(self, shapes: Sequence[Shape], selected: Iterable[int] = ()) -> None:
        """Show the annotations of this picture in their order, the later above; the selected ones, by id, stand out."""
        with LOCK:
            self._saved, self._selected = tuple(shapes), frozenset(selected)
            self._draw_saved()

    def show_proposals(self, shapes: Sequence[Shape]) -> None:
        """Show what may be taken, as quiet outlines under the annotations."""
        with LOCK:
            self._offered = tuple(shapes)
            self._draw_saved()

    def show_overlap(self, shape: Shape | None) -> None:
        """Mark the pixels that annotations have in common, or none."""
        with LOCK:
            self._overlap = shape
            self._draw_saved()

    def hide_masks(self, hidden: bool) -> None:
        """Draw the picture alone, or everything again."""
        with LOCK, drawing():
            self._hidden = bool(hidden)
            self._draw_all()
            if len(self._vertices):
                self._draw_vertices()

    def color_mask(self, color: str) -> None:
        """Show the mask being edited in another colour, "#rrggbb"."""
        with LOCK:
            if self._mask is not None and self._mask.color != color:
                self._mask = replace(self._mask, color=color)
                self._draw_mask()

    def set_picture_look(self, look: PictureLook) -> None:
        """Show the picture brighter, with more contrast, or one channel of it."""
        self._background.set_look(look, self.view)

    def show_mask(self, shape: Shape | None) -> None:
        """Show the mask being edited, or none."""
        with LOCK:
            self._mask, self._trail = shape, None
            self._draw_mask()

    def show_hover(self, shape: Shape | None) -> None:
        """Show the mask that a click here would give, or none."""
        with LOCK:
            if shape is not self._hover:
                self._hover = shape
                self._draw_mask()

    def show_highlight(self, shape: Shape | None) -> None:
        """Lift out an annotation under the pointer, on the picture or in the list; None: none of them."""
        with LOCK:
            if shape is not self._highlight:
                self._highlight = shape
                self._draw_mask()

    def show_vertices(self, rings: Sequence[NDArray[np.float64]], *, still_open: bool = False) -> None:
        """Show rings of vertices, (N, 2) image pixels each, of a mask or of a polygon that is still being drawn."""
        with LOCK:
            if len(rings) or len(self._vertices):
                self._vertices, self._still_open = rings, still_open
                self._draw_vertices()

    def end_preview(self) -> None:
        """What the page shows of a drag is done with."""
        with LOCK:
            self._draw_vertices()

    def show_prompt(self, prompt: Prompt, *, band: BoxDrag | None = None, active: int | None = None) -> None:
        """Show points and box; `band` is a box still being drawn, `active` a point that is being moved."""
        with LOCK:
            self._prompt, self._band, self._active = prompt, band, active
            self._draw_prompt()

    @property
    def brush_radius(self) -> float:
        """Radius in image pixels of the ring at the pointer while a brush is the tool, and of the stroke's trail.

        The page moves the ring without the kernel.
        """
        return self._brush_radius

    @brush_radius.setter
    def brush_radius(self, radius: float) -> None:
        self._brush_radius = max(float(radius), 0.0)
        self._update_listener()

    def set_look(self, *, opacity: float | None = None, contour: bool | None = None, saved: bool | None = None) -> None:
        """Set the style of masks; None keeps a value."""
        with LOCK:
            self._look = Look(
                self._look.opacity if opacity is None else min(max(float(opacity), 0.0), 1.0),
                self._look.contour if contour is None else bool(contour),
                self._look.saved if saved is None else bool(saved),
            )
            with drawing():
                self._draw_saved()
                self._draw_mask()

    def show_cursor(self, place: tuple[float, float] | None) -> None:
        """Show the keyboard's cursor at an image pixel, or none."""
        with LOCK:
            self._cursor = place
            self._draw_prompt()

    def redraw(self) -> None:
        """Draw everything again, for a reloaded page, which starts blank."""
        page_is_new()
        with LOCK, drawing():
            self._background.send_again()
            self._draw_all()

    # -- the view ------------------------------------------------------------------------------------

    def fit(self) -> None:
        """The whole picture."""
        self.set_view(self.view.fitted())

    def actual_size(self) -> None:
        """One image pixel on one pixel of the screen."""
        self.set_view(self.view.at_actual_size())

    def zoom(self, factor: float, at: tuple[float, float] | None = None) -> None:
        """Zoom by `factor` around a point of the stage, CSS pixels; None: its middle."""
        self.set_view(self.view.zoomed(factor, at))

    def pan(self, dx: float, dy: float) -> None:
        """Move the picture by (dx, dy) CSS pixels."""
        self.set_view(self.view.panned(dx, dy))

    def _pinch(self, factor: float, x: float, y: float, dx: float, dy: float) -> None:
        """Zoom around a place and move it, both as fractions of the stage."""
        width, height = self.view.stage_size
        zoomed = self.view.zoomed(min(max(factor, 0.02), 50.0), (x * width, y * height))
        self.set_view(zoomed.panned(dx * width, dy * height))

    def set_view(self, view: Viewport) -> None:
        """Show that part."""
        with LOCK:
            if view == self.view:
                return
            self.view = view
            self._draw_all()
        self._view_changed()

    def _center(self, x: float, y: float) -> None:
        """Bring that place, fractions of the picture, into the middle."""
        width, height = self.view.image_size
        self.set_view(self.view.centered_at(x * width, y * height))

    def _view_changed(self) -> None:
        if len(self._vertices):
            self._draw_vertices()
        self._update_listener()
        self.overlay.show_view(self.view)
        self.scale_bar.show_view(self.view)
        if self._on_view is not None:
            self._on_view()

    # -- input -------------------------------------------------------------------------------------------

    @property
    def tool(self) -> str:
        """The meaning of a drag, one of `samnb.ui.annotator.tool_settings.TOOLS`: "select" moves the picture."""
        return self._gestures.tool

    @tool.setter
    def tool(self, name: str) -> None:
        self._gestures.tool = name
        self.listener.tool = self.vertex_overlay.tool = name
        self._update_listener()

    @property
    def wants_hover(self) -> bool:
        """Whether the page reports a pointer that moves without a button."""
        return bool(self.listener.hover)

    @wants_hover.setter
    def wants_hover(self, wanted: bool) -> None:
        self.listener.hover = bool(wanted)

    def _update_listener(self) -> None:
        self.listener.zoomed = not self.view.is_fit
        painting = self.tool in ("brush", "erase")
        width = self.view.stage_size[0]
        self.listener.ring = round(self._brush_radius * self.view.scale / width, 6) if painting else 0.0

    def _on_events(self, events: Sequence[dict[str, Any]]) -> None:
        for event in events:
            kind = event.get("event")
            if kind == "size":
                width, height, ratio = (float(event.get(name) or 0) for name in ("width", "height", "ratio"))
                self._resize(width, height, ratio or 1)
            elif kind == "settled":
                self.redraw()
            elif kind == "key_up":
                self._on_key_up(str(event.get("key", "")))
            elif kind == "pinch":
                self._pinch(*(float(event.get(name) or 0) for name in ("factor", "x", "y", "dx", "dy")))
            elif kind == "key":
                self._note_pointer(event)
                self._on_key(str(event.get("key", "")), *(bool(event.get(name)) for name in ("ctrl", "shift", "alt")))
            else:
                prompt = Prompt() if self.is_accepted() else self._prompt
                meant = self._gestures.read(event, self.view, prompt.points, prompt.box)
                if meant is not None:
                    self._pass_on(meant)

    def _note_pointer(self, event: dict[str, Any]) -> None:
        x, y = event.get("x"), event.get("y")
        self.pointer = None
        if isinstance(x, int | float) and isinstance(y, int | float) and self.view.holds(x, y):
            self.pointer = self.view.to_image(x, y)

    def _pass_on(self, meant: Gesture) -> None:
        if isinstance(meant, Zoom):
            self.zoom(meant.factor, meant.at)
        elif isinstance(meant, Pan):
            self.pan(meant.dx, meant.dy)
        else:
            if isinstance(meant, Stroke):
                with LOCK:
                    self._trail = None if meant.done else meant
                    self._draw_prompt()
            self._on_gesture(meant)

    def _resize(self, width: float, height: float, ratio: float) -> None:
        """Set size and device pixel ratio of the stage: it gets as many canvas pixels as the screen has."""
        if min(width, height) < 1:
            return
        backing = min(max(ratio, 0.5), 4.0, (_MOST_PIXELS / (width * height)) ** 0.5)
        view = self.view.resized((width, height), backing)
        with LOCK:
            if view == self.view:
                return
            self.view = view
            if (self.canvas.width, self.canvas.height) != view.canvas_size:
                self.canvas.width, self.canvas.height = view.canvas_size
            self._draw_all()
        self._view_changed()

    def _on_client_ready(self) -> None:
        self.redraw()

    def wait(self, timeout: float = 30.0) -> None:
        """Block until the picture is sharp; for scripts and tests."""
        self._background.wait(timeout)

    def close(self) -> None:
        """Release the browser's objects."""
        with LOCK:
            self._closed = True
            self._background.close()
            close_tree(self.widget)
            close_tree(self.canvas)

    # -- drawing -----------------------------------------------------------------------------------

    def _draw_all(self) -> None:
        if self._closed:
            return
        with drawing():
            self._background.draw(self.view)
            self._draw_above()

    def _draw_above(self) -> None:
        self._draw_saved()
        self._draw_mask()
        self._drawn = None
        self._draw_prompt()

    def _draw_saved(self) -> None:
        if self._closed:
            return
        canvas = self.canvas[SAVED]
        with drawing():
            canvas.clear()
            if self._hidden:
                return
            draw_offered(canvas, self._offered, self.view)
            if self._look.saved:
                selected, overlap = self._selected, self._overlap
                draw_saved(canvas, self._saved, self.view, self._look, selected=selected, overlap=overlap)

    def _draw_mask(self) -> None:
        if self._closed:
            return
        canvas, alpha = self.canvas[MASK], 0.0 if self._look.contour else self._look.opacity
        self.overlay.show_mask(None if self._hidden else self._mask, self.view)
        with drawing():
            canvas.clear()
            if self._hidden:
                return
            if self._highlight is not None:
                draw_shapes(canvas, (self._highlight,), self.view, alpha=0.5 * alpha, line=2.5, halo=True)
            if self._hover is not None:
                draw_shapes(canvas, (self._hover,), self.view, alpha=0.6 * alpha, line=1.25)
            if self._mask is not None:
                draw_shapes(canvas, (self._mask,), self.view, alpha=min(1.1 * alpha, 1.0), line=2.0, halo=True)

    def _draw_vertices(self) -> None:
        if not self._closed:
            rings = () if self._hidden else self._vertices
            self.vertex_overlay.show(rings, self.view, still_open=self._still_open)

    def _draw_prompt(self) -> None:
        if self._closed:
            return
        now = (self._prompt, self._band, self._active, self._trail, self._cursor, self.view)
        if now == self._drawn:
            return
        self._drawn = now
        canvas, unit, view = self.canvas[PROMPT], float(self.view.backing), self.view
        prompt, band = self._prompt, self._band
        with drawing():
            canvas.clear()
            if self._hidden:
                return
            if self._trail is not None:
                width = 2 * max(self._brush_radius, 1.0) * view.scale * unit
                color = style.BACKGROUND_POINT if self.tool == "erase" else style.ACCENT
                draw_trail(canvas, view.to_canvas(self._trail.points), width, color)
            if prompt.box is not None:
                draw_box(canvas, view.to_canvas([prompt.box[:2], prompt.box[2:]]).tolist(), unit, dashed=False)
                draw_handles(canvas, view.to_canvas(list(box_handles(prompt.box, view).values())), unit)
            if band is not None:
                corners = view.to_canvas([(band.x0, band.y0), (band.x1, band.y1)]).tolist()
                draw_box(canvas, corners, unit, dashed=True)
            places = view.to_canvas(prompt.points).tolist()
            for index, (place, label) in enumerate(zip(places, prompt.point_labels, strict=True)):
                draw_point(canvas, place, unit, foreground=label == FOREGROUND, active=index == self._active)
            if self._cursor is not None:
                [place] = view.to_canvas([self._cursor]).tolist()
                draw_cursor(canvas, place, unit)
