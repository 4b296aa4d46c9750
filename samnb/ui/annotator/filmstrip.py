"""`Filmstrip`: the images of a dataset in a row, a window of reused cells that slides over all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets

from ...cards import count_text
from ...records import DONE, EMPTY, SKIP
from ..common import style
from ..common.thumbnails import BLANK, Thumbnails
from .image_list import KINDS, ImageList
from .scroll_listener import ScrollListener

if TYPE_CHECKING:
    from ...records import ImageRecord


_KIND_NAMES = {"unsure": "unsure finds", "draft": "with a draft", "skip": "skipped images"}

_STATE_BUTTONS = (
    (DONE, "Done", "this image is finished; on to the next unfinished one (M)"),
    (EMPTY, "Empty", "no object is on this image; on to the next unfinished one (Shift M)"),
    (SKIP, "Skip", "leave this image out; on to the next unfinished one (K)"),
)

# CSS pixels of a cell and the gap after it; the number of cells, enough for the widest notebook.
_CELL_WIDTH, _CELLS = 92, 18


class FilmstripActions(Protocol):
    """The calls that the filmstrip makes."""

    def show(self, image: Any) -> None: ...
    def filter(self, kind: str) -> None: ...
    def jump(self, text: str) -> bool: ...
    def mark_image(self, state: str) -> None: ...


class Filmstrip(ipywidgets.Box):
    """Thumbnails with names and badges (see `ImageList.badges`); a click opens an image.

    Ten thousand images are as fast as ten: only the cells in view exist, and a thread reads only their pictures.

    Parameters
    ----------
    actions : FilmstripActions
    """

    def __init__(self, actions: FilmstripActions):
        self._actions = actions
        # Clicks, the wheel and thumbnails that are ready may each come on a thread of their own.
        self._lock = threading.RLock()
        self._image_list: ImageList | None = None
        self._images: Sequence[ImageRecord] = ()
        self._current: ImageRecord | None = None
        self._first = 0
        self._in_view = 8  # fits a narrow notebook; the page reports the real number
        self._sliding = False
        self.thumbnails = Thumbnails(self._thumbnails_ready)
        self._cells = [_Cell(self._go) for _ in range(_CELLS)]
        self._listener = ScrollListener(self._on_turn, self._on_width)
        self._strip = style.box(*(cell.widget for cell in self._cells), self._listener, classes=("samnb-strip",))
        self._left = style.tool("", lambda: self.page(-1), "Scroll back", icon="chevron-left")
        self._right = style.tool("", lambda: self.page(+1), "Scroll on", icon="chevron-right")
        reel = style.box(self._left, self._strip, self._right, classes=("samnb-reel",))
        super().__init__([self._tools(), reel])
        self.add_class("samnb-film")

    def _tools(self) -> ipywidgets.Box:
        self._kind = ipywidgets.Dropdown(options=[(_KIND_NAMES.get(k, f"{k} images"), k) for k in KINDS], value="all")
        self._kind.tooltip = "Which images are shown and stepped through"
        self._kind.observe(self._on_kind, "value")
        self.name = ipywidgets.Text(placeholder="go to name", continuous_update=False)
        self.name.tooltip = "Part of a file name, then Enter (key /)"
        self.name.observe(self._on_name, "value")
        self._slider = ipywidgets.IntSlider(0, 0, 1, readout=False)
        self._slider.tooltip = "Scroll through the images"
        self._slider.observe(self._on_slide, "value")
        self._count = style.html("", "samnb-dim", "samnb-number")
        self._states = {
            state: style.tool(text, partial(self._mark, state), f"{text}: {does}")
            for state, text, does in _STATE_BUTTONS
        }
        states = style.box(*self._states.values(), classes=("samnb-group",))
        find = style.box(self._kind, self.name, classes=("samnb-reel-find",))
        where = style.box(self._slider, self._count, classes=("samnb-reel-place",))
        return style.box(states, find, where, classes=("samnb-reel-tools",))

    # -- what is shown -----------------------------------------------------------------------------

    def show(self, image_list: ImageList) -> None:
        """Show these images; the strip scrolls just far enough to bring the current one into view."""
        moved = self._current is not image_list.current
        self._image_list, self._images, self._current = image_list, image_list.shown, image_list.current
        if moved and self._current is not None:
            self._bring_into_view(next((i for i, image in enumerate(self._images) if image is self._current), 0))
        if self._kind.value != image_list.kind:
            self._kind.value = image_list.kind
        self._draw()

    def refresh(self) -> None:
        """Draw the badges again."""
        if self._image_list is not None:
            self._images = self._image_list.shown
            self._draw()

    def scroll(self, by: int) -> None:
        """Scroll by that many cells."""
        self._scroll_to(self._first + by)

    def page(self, by: int) -> None:
        """Scroll by that many windows."""
        self.scroll(by * max(self._in_view - 1, 1))

    @property
    def window(self) -> tuple[int, int]:
        """(first, last + 1) of the images with a cell."""
        return self._first, min(self._first + _CELLS, len(self._images))

    def close(self) -> None:
        """Release the browser's objects and the thread."""
        self.thumbnails.close()
        self._listener.close()
        super().close()

    def _bring_into_view(self, place: int) -> None:
        if place < self._first:
            self._first = max(place - 1, 0)
        elif place >= self._first + self._in_view:
            self._first = place - self._in_view + 2
        self._clamp()

    def _scroll_to(self, first: int) -> None:
        self._first = first
        self._clamp()
        self._draw()

    def _clamp(self) -> None:
        self._first = max(0, min(self._first, len(self._images) - self._in_view))

    def _draw(self) -> None:
        with self._lock:
            self._clamp()
            first, last = self.window
            window = self._images[first:last]
            for cell, image in zip(self._cells, [*window, *[None] * (_CELLS - len(window))], strict=True):
                self._draw_cell(cell, image)
            self._draw_tools()
        self.thumbnails.want(window)

    def _draw_cell(self, cell: _Cell, image: ImageRecord | None) -> None:
        if image is None or self._image_list is None:
            cell.hide()
            return
        signs, words = self._image_list.badges(image)
        unread = self.thumbnails.why(image)
        if unread and "⚠" not in signs:
            signs, words = signs + "⚠", ", ".join(filter(None, [words, "cannot be read"]))
        cell.show(image, signs, words, self.thumbnails.of(image), image is self._current)

    def _draw_tools(self) -> None:
        count = len(self._images)
        most = max(count - self._in_view, 0)
        self._sliding = True
        try:
            if self._slider.max != most:
                self._slider.value = min(self._slider.value, most)
                self._slider.max = most
            self._slider.value = self._first
        finally:
            self._sliding = False
        self._slider.disabled = not most
        self._left.disabled, self._right.disabled = self._first == 0, self._first >= most
        now = self._image_list.state(self._current) if self._image_list is not None and self._current else ""
        for state, text, does in _STATE_BUTTONS:
            widget = self._states[state]
            widget.tooltip = f"{text}: {'click again to open it again' if state == now else does}"
            widget.disabled = self._current is None
            style.set_class(widget, "samnb-chosen", state == now)
        kind = self._kind.value
        self._count.value = count_text(count, "image") if kind == "all" else f"{count:,} shown"

    def _thumbnails_ready(self) -> None:
        with self._lock:
            for cell in self._cells:
                if cell.image is not None and not cell.has_picture:
                    self._draw_cell(cell, cell.image)

    # -- input ----------------------------------------------------------------------------------

    def _go(self, image: ImageRecord) -> None:
        self._actions.show(image)

    def _mark(self, state: str) -> None:
        self._actions.mark_image(state)

    def _on_kind(self, change: dict[str, Any]) -> None:
        if self._image_list is None or self._image_list.kind != change["new"]:
            self._actions.filter(change["new"])

    def _on_name(self, change: dict[str, Any]) -> None:
        text = change["new"].strip()
        if text:
            self.name.value = ""
            self._actions.jump(text)

    def _on_slide(self, change: dict[str, Any]) -> None:
        if not self._sliding:
            self._scroll_to(change["new"])

    def _on_turn(self, turned: float) -> None:
        self.scroll(2 if turned > 0 else -2)

    def _on_width(self, width: float) -> None:
        self._in_view = max(1, min(_CELLS, int((width + 4) // _CELL_WIDTH)))
        self._draw_tools()


class _Cell:
    def __init__(self, go: Any):
        self.image: ImageRecord | None = None
        self.has_picture = False
        self._picture = ipywidgets.Image(value=BLANK, format="png")
        self._button = style.tool("", lambda: self.image is not None and go(self.image), "")
        self.widget = style.box(self._picture, self._button, classes=("samnb-cell",))

    def show(self, image: ImageRecord, signs: str, words: str, picture: bytes | None, current: bool) -> None:
        """Show this image in this cell."""
        if picture is not None or self.image is not image:
            self._set_picture(picture)
        self.image = image
        self._button.description = f"{signs} {image.filename}".strip()
        self._button.tooltip = " · ".join(filter(None, [image.filename, words, "shown now" if current else ""]))
        style.set_class(self._button, "samnb-chosen", current)
        style.show(self.widget, True)

    def hide(self) -> None:
        """Show no image."""
        self.image = None
        style.show(self.widget, False)

    def _set_picture(self, picture: bytes | None) -> None:
        self.has_picture = picture is not None
        value = BLANK if picture is None else picture
        if self._picture.value != value:
            self._picture.value = value
