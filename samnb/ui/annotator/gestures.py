"""`Gestures`: turns pointer events into gestures: a click, a box, a moved point, a stroke. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, hypot, isfinite
from typing import Any

from .viewport import Viewport

# CSS pixels: movement from which a press is a drag and not a click; and the radius of a point.
DRAG_THRESHOLD = 5.0
POINT_RADIUS = 9.0

_LEFT, _MIDDLE, _RIGHT = 0, 1, 2
_PAINTING = ("brush", "erase")


@dataclass(frozen=True)
class Click:
    """A press and release at one place, in image pixels."""

    x: float
    y: float
    background: bool = False


@dataclass(frozen=True)
class DoubleClick:
    """Two quick clicks at one place, after their two `Click`s."""

    x: float
    y: float


@dataclass(frozen=True)
class BoxDrag:
    """A box drawn by dragging, in image pixels; `done` after the release."""

    x0: float
    y0: float
    x1: float
    y1: float
    done: bool


@dataclass(frozen=True)
class PointDrag:
    """A point of the prompt, counted from 0, moved to another place; `done` after the release."""

    index: int
    x: float
    y: float
    done: bool


@dataclass(frozen=True)
class PointRemove:
    """A right-click or Alt-click on a point of the prompt, counted from 0."""

    index: int


@dataclass(frozen=True)
class Hover:
    """The pointer rests or moves over the picture without a button."""

    x: float
    y: float


@dataclass(frozen=True)
class HoverEnd:
    """The pointer left the picture."""


@dataclass(frozen=True)
class Stroke:
    """All (x, y) of a brush since it was pressed; `done` after the release."""

    points: tuple[tuple[float, float], ...]
    done: bool


@dataclass(frozen=True)
class Sweep:
    """All (x, y) of a drag over proposals since the press, in image pixels; `done` after the release."""

    points: tuple[tuple[float, float], ...]
    done: bool


@dataclass(frozen=True)
class Scroll:
    """The wheel over proposals, in CSS pixels: up is less than 0."""

    delta: float


@dataclass(frozen=True)
class Pan:
    """The picture is moved by (dx, dy) CSS pixels."""

    dx: float
    dy: float


@dataclass(frozen=True)
class Zoom:
    """The picture is enlarged by `factor` around a point of the stage, CSS pixels."""

    factor: float
    at: tuple[float, float]


Gesture = (
    Click | DoubleClick | BoxDrag | PointDrag | PointRemove | Hover | HoverEnd | Stroke | Sweep | Scroll | Pan | Zoom
)


class Gestures:
    """Reads the events of the page, in their order.

    An event is a dictionary with "event" (down, move, up, cancel, hover, leave, double, wheel) and "x", "y":
    fractions of the stage, less than 0 or more than 1 while a button is held outside of it.

    Examples
    --------
    >>> view = Viewport((100, 50), (400, 300))
    >>> gestures = Gestures()
    >>> gestures.read({"event": "down", "button": 0, "x": 0.5, "y": 0.5}, view)
    >>> gestures.read({"event": "up", "button": 0, "x": 0.5, "y": 0.5}, view)
    Click(x=50.0, y=25.0, background=False)
    """

    def __init__(self) -> None:
        self.tool = "prompt"
        self._press: _Press | None = None

    @property
    def pressed(self) -> bool:
        """True between press and release."""
        return self._press is not None

    def read(
        self, event: Mapping[str, Any], view: Viewport, points: Sequence[tuple[float, float]] = ()
    ) -> Gesture | None:
        """The gestures that the event completes or changes; `points` are those of the prompt, in image pixels."""
        kind = event.get("event")
        x, y = _number(event.get("x")), _number(event.get("y"))
        if kind == "down":
            self._press = _Press.of(event, x, y, view, points, self.tool)
            return self._press.read([], view, done=False) if self._press.meaning == "stroke" else None
        if kind in ("move", "up", "cancel"):
            press = self._press
            if kind != "move":
                self._press = None
            if press is None:
                return None
            way = [(_number(px), _number(py)) for px, py in event.get("way") or ()] or [(x, y)]
            return press.read(way, view, done=kind != "move", lost=kind == "cancel")
        if kind == "hover":
            return Hover(*view.to_image(x, y)) if view.holds(x, y) else HoverEnd()
        if kind == "leave":
            return HoverEnd()
        if kind == "double":
            return DoubleClick(*view.to_image(x, y))
        if kind == "wheel" and self.tool == "proposals" and not event.get("ctrl"):
            return Scroll(_number(event.get("delta")))
        if kind == "wheel":
            at = (x * view.stage_size[0], y * view.stage_size[1])
            return Zoom(exp(-0.0016 * min(max(_number(event.get("delta")), -2000.0), 2000.0)), at)
        return None


class _Press:
    """A gesture from the press of a button to its release."""

    def __init__(self, meaning: str, start: tuple[float, float], *, background: bool = False, index: int = -1):
        self.meaning = meaning
        self._start = self._last = start
        self._background, self._index = background, index
        self._dragged = False
        self._way: list[tuple[float, float]] = [start]

    @classmethod
    def of(
        cls,
        event: Mapping[str, Any],
        x: float,
        y: float,
        view: Viewport,
        points: Sequence[tuple[float, float]],
        tool: str,
    ) -> _Press:
        button = event.get("button", _LEFT)
        if button == _MIDDLE or event.get("space"):
            return cls("pan", (x, y))
        if button not in (_LEFT, _RIGHT):
            return cls("nothing", (x, y))
        if tool in _PAINTING:
            return cls("stroke" if button == _LEFT else "pan", (x, y))
        # Ctrl-click is the right click on a Mac.
        right = button == _RIGHT or bool(event.get("ctrl"))
        if tool == "proposals":
            return cls("sweep", (x, y), background=right or bool(event.get("shift")))
        index = _point_at(points, view, x * view.stage_size[0], y * view.stage_size[1])
        if index is not None and (right or event.get("alt")):
            return cls("remove", (x, y), index=index)
        if index is not None and tool == "prompt" and not event.get("shift"):
            return cls("point", (x, y), index=index)
        return cls("select" if tool == "select" else "box", (x, y), background=right or bool(event.get("shift")))

    def read(self, way: list[tuple[float, float]], view: Viewport, *, done: bool, lost: bool = False) -> Gesture | None:
        """The gesture so far; `way` are the places since the last call, fractions of the stage."""
        before, self._last = self._last, (way[-1] if way else self._last)
        self._way += way
        width, height = view.stage_size
        (x0, y0), (x1, y1) = self._start, self._last
        if max(abs(x1 - x0) * width, abs(y1 - y0) * height) >= DRAG_THRESHOLD:
            self._dragged = True
        if self.meaning == "pan" or (self.meaning == "select" and self._dragged):
            return Pan((x1 - before[0]) * width, (y1 - before[1]) * height)
        if self.meaning == "sweep" and self._dragged and not self._background:
            return None if lost else Sweep(tuple(view.to_image(*place) for place in self._way), done)
        if self.meaning == "stroke":
            return Stroke(tuple(view.to_image(*place) for place in self._way), done)
        if self.meaning == "remove":
            return PointRemove(self._index) if done and not self._dragged and not lost else None
        if self.meaning == "point" and self._dragged:
            return PointDrag(self._index, *view.to_image(x1, y1), done)
        if self.meaning == "box" and self._dragged:
            left, top = view.to_image(min(x0, x1), min(y0, y1))
            return BoxDrag(left, top, *view.to_image(max(x0, x1), max(y0, y1)), done)
        if done and not lost and self.meaning != "nothing":
            return Click(*view.to_image(x0, y0), background=self._background)
        return None


def _point_at(points: Sequence[tuple[float, float]], view: Viewport, x: float, y: float) -> int | None:
    """The drawn point nearest to that place of the stage, the later one of two, if it is under it."""
    best, found = POINT_RADIUS, None
    for index, point in enumerate(points):
        px, py = view.to_stage(*point)
        away = hypot(px - x, py - y)
        if away <= best:
            best, found = away, index
    return found


def _number(value: Any) -> float:
    number = float(value or 0.0)
    return number if isfinite(number) else 0.0
