"""How the Annotator looks: its parts in their places. Shows what it is told; knows no session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets

from . import style
from .canvas import Shape, Stage
from .gestures import BoxDrag, Click
from .notice import Notice
from .panels import Candidates, Categories, Counts, Entries, Entry, header

__all__ = ["Board", "Hand"]

_HINT = "click adds · shift-click removes · drag a box · Enter accept · Esc clear · Z undo · ← → image · 1 2 3 mask"


class Hand(Protocol):
    """What the parts call back."""

    def accept(self) -> None: ...
    def clear(self) -> None: ...
    def undo(self) -> None: ...
    def next(self) -> None: ...
    def previous(self) -> None: ...
    def choose(self, index: int) -> None: ...
    def remove(self, annotation_id: int) -> None: ...
    def key(self, name: str, ctrl: bool = False) -> None: ...
    def gesture(self, gesture: Click | BoxDrag) -> None: ...
    def choose_category(self, name: str) -> None: ...


class Board:
    """Header, tools, stage, side panel, status and notice.

    Parameters
    ----------
    hand : Hand
        Its methods are what buttons, keys and the mouse do.
    size : (width, height)
        Of the stage, CSS pixels.
    """

    def __init__(self, hand: Hand, size: tuple[int, int]):
        self.stage = Stage(size, on_gesture=hand.gesture, on_key=hand.key)
        self.notice = Notice()
        self.said = ""
        self._header, self._status = style.html(), style.html()
        self._candidates = Candidates(hand.choose)
        self._categories = Categories(hand.choose_category)
        self._entries = Entries(hand.remove)
        self._accept = _tool("Accept ⏎", hand.accept, "Keep this mask (Enter)", "samnb-primary")
        tools = style.box(
            _tool("", hand.previous, "Previous image (←)", icon="chevron-left"),
            _tool("", hand.next, "Next image (→)", icon="chevron-right"),
            _tool("", hand.undo, "Undo (Z)", icon="undo"),
            self._categories,
            classes=("samnb-row", "samnb-tools"),
        )
        clear = _tool("Clear", hand.clear, "Start this object again (Esc)")
        side = ipywidgets.VBox(
            [
                style.html(style.span("this object", "label")),
                self._candidates,
                style.box(self._accept, clear, classes=("samnb-row",)),
                self._entries,
            ]
        )
        side.add_class("samnb-side")
        side.layout.max_height = f"{size[1]}px"
        body = style.box(self.stage.widget, side, classes=("samnb-body",))
        self.parts = (style.sheet(), self._header, tools, body, self._status, self.notice)

    def show_header(self, session_name: str, dataset: str, filename: str, counts: Counts) -> None:
        """Where we are and how far."""
        self._header.value = header(session_name, dataset, filename, counts)

    def show_categories(self, names: Sequence[str], chosen: str) -> None:
        """The categories as chips."""
        self._categories.show(names, chosen)

    def show_annotations(self, shapes: Sequence[Shape], entries: Sequence[Entry]) -> None:
        """The annotations of the image, on the picture and as a list."""
        self.stage.show_saved(shapes)
        self._entries.show(entries)

    def show_mask(self, shape: Shape | None, scores: Sequence[float], chosen: int) -> None:
        """The mask in hand and its rivals' scores."""
        self.stage.show_mask(shape)
        self._candidates.show(scores, chosen)

    def say(self, text: str) -> None:
        """The left part of the status line; the keys stay on the right."""
        self.said = text
        hint = f'<span class="samnb-dim samnb-clip" title="{_HINT}">{_HINT}</span>'
        self._status.value = f'<div class="samnb-status">{style.span(text, "number")}{hint}</div>'

    def allow_accept(self, allowed: bool) -> None:
        """Whether there is something to accept."""
        self._accept.disabled = not allowed

    def close(self) -> None:
        """Let go of the browser's objects."""
        self.stage.close()


def _tool(text: str, action: Callable[[], Any], tooltip: str, *classes: str, icon: str = "") -> ipywidgets.Button:
    button = style.button(text, *classes, *(("samnb-icon",) if icon else ()), icon=icon, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button
