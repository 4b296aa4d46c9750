"""From mouse events to what they mean: a click, a box, a rubber band. No widgets here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BoxDrag", "Click", "Gestures"]

# A hand moves a little while it clicks; from this many CSS pixels on it drags.
DRAG_THRESHOLD = 5.0

_LEFT, _RIGHT = 0, 2


@dataclass(frozen=True)
class Click:
    """A press and release at one place, in fractions of the picture area: 0 to 1."""

    x: float
    y: float
    background: bool = False


@dataclass(frozen=True)
class BoxDrag:
    """A box drawn by dragging, in fractions of the picture area; `done` once the hand has let go."""

    x0: float
    y0: float
    x1: float
    y1: float
    done: bool


class Gestures:
    """Reads ipyevents' dictionaries in the order they come.

    Leaving the picture ends a box at its edge: the release outside is an event the page does not tell us of.

    Examples
    --------
    >>> gestures = Gestures()
    >>> place = {"relativeX": 50, "relativeY": 20, "boundingRectWidth": 100, "boundingRectHeight": 100}
    >>> gestures.read({"event": "mousedown", "button": 0, **place})
    >>> gestures.read({"event": "mouseup", "button": 0, **place})
    Click(x=0.5, y=0.2, background=False)
    """

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None
        self._background = False
        self._last: tuple[float, float] = (0.0, 0.0)

    @property
    def pressed(self) -> bool:
        """True between press and release: only then moves are of interest."""
        return self._start is not None

    def read(self, event: Mapping[str, Any]) -> Click | BoxDrag | None:
        """What the event completes or changes, if anything."""
        kind = event.get("event")
        if kind == "mousedown":
            self._press(event)
            return None
        if self._start is None:
            return None
        if kind in ("mousemove", "mouseup", "mouseleave"):
            self._last = _place(event)
        if kind == "mousemove":
            return self._box(event, done=False)
        if kind in ("mouseup", "mouseleave", "mouseenter"):
            return self._release(event)
        return None

    def _press(self, event: Mapping[str, Any]) -> None:
        button = event.get("button", _LEFT)
        if button not in (_LEFT, _RIGHT):
            self._start = None
            return
        self._start = self._last = _place(event)
        # Ctrl-click is the right click of a Mac.
        self._background = button == _RIGHT or bool(event.get("shiftKey")) or bool(event.get("ctrlKey"))

    def _release(self, event: Mapping[str, Any]) -> Click | BoxDrag | None:
        assert self._start is not None
        meant = self._box(event, done=True)
        start, self._start = self._start, None
        if meant is None and event.get("event") == "mouseup":
            return Click(*start, background=self._background)
        return meant

    def _box(self, event: Mapping[str, Any], *, done: bool) -> BoxDrag | None:
        assert self._start is not None
        (x0, y0), (x1, y1) = self._start, self._last
        width, height = _size(event)
        if max(abs(x1 - x0) * width, abs(y1 - y0) * height) < DRAG_THRESHOLD:
            return None
        return BoxDrag(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), done)


def _size(event: Mapping[str, Any]) -> tuple[float, float]:
    return float(event.get("boundingRectWidth") or 1), float(event.get("boundingRectHeight") or 1)


def _place(event: Mapping[str, Any]) -> tuple[float, float]:
    width, height = _size(event)
    x = float(event.get("relativeX") or 0) / width
    y = float(event.get("relativeY") or 0) / height
    return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
