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
_TRACING = ("polygon", "lasso")
# The part of a box under the pointer: left and right, top and bottom; 0 is between.
_Side = tuple[int, int]


@dataclass(frozen=True)
class Click:
    """A press and release at one place, in image pixels.

    Parameters
    ----------
    x, y : float
    background : bool
        With Shift, or with the right button.
    right : bool
        With the right button, or Ctrl-click, which is the same on a Mac.
    alt : bool
        With Alt.
    """

    x: float
    y: float
    background: bool = False
    right: bool = False
    alt: bool = False


@dataclass(frozen=True)
class DoubleClick:
    """Two quick clicks at one place, after their two `Click`s."""

    x: float
    y: float


@dataclass(frozen=True)
class BoxDrag:
    """A box drawn by dragging, in image pixels; `done` after the release, `resizes` if it is the prompt's, dragged."""

    x0: float
    y0: float
    x1: float
    y1: float
    done: bool
    resizes: bool = False


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
    """All (x, y) of a brush since it was pressed; `done` after the release, `lost` if the page took the pointer."""

    points: tuple[tuple[float, float], ...]
    done: bool
    lost: bool = False


@dataclass(frozen=True)
class Sweep:
    """All (x, y) of a drag over proposals since the press, in image pixels; `done` after the release."""

    points: tuple[tuple[float, float], ...]
    done: bool


@dataclass(frozen=True)
class Trace:
    """All (x, y) of a drag of the polygon tool or the lasso since the press, in image pixels.

    Parameters
    ----------
    points : tuple of (x, y)
    done : bool
        After the release.
    away : bool
        With Shift or Alt, or with the right button: takes away.
    lost : bool
        The page took the pointer: the drag counts for nothing.
    """

    points: tuple[tuple[float, float], ...]
    done: bool
    away: bool = False
    lost: bool = False


@dataclass(frozen=True)
class BrushScroll:
    """The wheel with Ctrl over brush or eraser, in CSS pixels: up is less than 0."""

    delta: float


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
    Click
    | DoubleClick
    | BoxDrag
    | PointDrag
    | PointRemove
    | Hover
    | HoverEnd
    | Stroke
    | Sweep
    | Trace
    | BrushScroll
    | Scroll
    | Pan
    | Zoom
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
    Click(x=50.0, y=25.0, background=False, right=False, alt=False)
    """

    def __init__(self) -> None:
        self.tool = "prompt"
        self._press: _Press | None = None

    @property
    def pressed(self) -> bool:
        """True between press and release."""
        return self._press is not None

    def read(
        self,
        event: Mapping[str, Any],
        view: Viewport,
        points: Sequence[tuple[float, float]] = (),
        box: tuple[float, float, float, float] | None = None,
    ) -> Gesture | None:
        """The gesture that the event completes or changes; `points` and `box` are the prompt's, in image pixels."""
        kind = event.get("event")
        x, y = _number(event.get("x")), _number(event.get("y"))
        if kind == "down":
            self._press = _Press.of(event, x, y, view, points, box, self.tool)
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
        if kind == "wheel" and self.tool in _PAINTING and event.get("ctrl"):
            return BrushScroll(_number(event.get("delta")))
        if kind == "wheel":
            at = (x * view.stage_size[0], y * view.stage_size[1])
            return Zoom(exp(-0.0016 * min(max(_number(event.get("delta")), -2000.0), 2000.0)), at)
        return None


class _Press:
    """A gesture from the press of a button to its release."""

    def __init__(
        self,
        meaning: str,
        start: tuple[float, float],
        *,
        background: bool = False,
        right: bool = False,
        alt: bool = False,
        index: int = -1,
        box: tuple[float, float, float, float] | None = None,
        side: _Side = (0, 0),
    ):
        self.meaning = meaning
        self._start = self._last = start
        self._background, self._right, self._alt = background, right, alt
        self._index, self._box, self._side = index, box, side
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
        box: tuple[float, float, float, float] | None,
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
        held: dict[str, Any] = {
            "background": right or bool(event.get("shift")),
            "right": right,
            "alt": bool(event.get("alt")),
        }
        if tool == "proposals":
            return cls("sweep", (x, y), **held)
        if tool in _TRACING or tool == "select":
            return cls("select" if tool == "select" else "trace", (x, y), **held)
        index = _point_at(points, view, x * view.stage_size[0], y * view.stage_size[1])
        if index is not None and (right or event.get("alt")):
            return cls("remove", (x, y), index=index)
        if index is not None and not event.get("shift"):
            return cls("point", (x, y), index=index)
        side = None
        if box is not None and not right and not event.get("shift"):
            side = _side_at(box, view, x * view.stage_size[0], y * view.stage_size[1])
        if side is not None:
            return cls("side", (x, y), box=box, side=side, **held)
        return cls("box", (x, y), **held)

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
        if self.meaning == "trace" and self._dragged:
            way_xy = tuple(view.to_image(*place) for place in self._way)
            return Trace(way_xy, done, away=self._background or self._alt, lost=lost)
        if lost and self._dragged and self.meaning in ("side", "point", "box"):
            return BoxDrag(*view.to_image(x0, y0), *view.to_image(x0, y0), False)  # the page took it: nothing is shown
        if self.meaning == "side" and self._dragged and self._box is not None:
            return _resized(self._box, self._side, view.to_image(x1, y1), done)
        if self.meaning == "sweep" and self._dragged and not self._background:
            return None if lost else Sweep(tuple(view.to_image(*place) for place in self._way), done)
        if self.meaning == "stroke":
            return Stroke(tuple(view.to_image(*place) for place in self._way), done, lost)
        if self.meaning == "remove":
            return PointRemove(self._index) if done and not self._dragged and not lost else None
        if self.meaning == "point" and self._dragged:
            return PointDrag(self._index, *view.to_image(x1, y1), done)
        if self.meaning == "box" and self._dragged:
            left, top = view.to_image(min(x0, x1), min(y0, y1))
            return BoxDrag(left, top, *view.to_image(max(x0, x1), max(y0, y1)), done)
        if done and not lost and self.meaning != "nothing":
            place = view.to_image(x0, y0)
            return Click(*place, background=self._background, right=self._right, alt=self._alt)
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


def box_handles(box: tuple[float, float, float, float], view: Viewport) -> dict[_Side, tuple[float, float]]:
    """The places of a box that a drag moves, in image pixels: its corners and the middles of its sides.

    Of a box that is small on the screen only the corners.
    """
    x0, y0, x1, y1 = box
    xs, ys = {-1: x0, 0: (x0 + x1) / 2, 1: x1}, {-1: y0, 0: (y0 + y1) / 2, 1: y1}
    small = min(x1 - x0, y1 - y0) * view.scale < 5 * POINT_RADIUS
    return {(i, j): (xs[i], ys[j]) for i in xs for j in ys if (i, j) != (0, 0) and not (small and 0 in (i, j))}


def _side_at(box: tuple[float, float, float, float], view: Viewport, x: float, y: float) -> _Side | None:
    """The handle of a box under that place of the stage."""
    handles = box_handles(box, view)
    sides = list(handles)
    found = _point_at([handles[side] for side in sides], view, x, y)
    return None if found is None else sides[found]


def _resized(box: tuple[float, float, float, float], side: _Side, place: tuple[float, float], done: bool) -> BoxDrag:
    """The box with one corner or side at another place; dragged over its opposite, it turns round."""
    x0, y0, x1, y1 = box
    if side[0]:
        x0, x1 = sorted((x1 if side[0] < 0 else x0, place[0]))
    if side[1]:
        y0, y1 = sorted((y1 if side[1] < 0 else y0, place[1]))
    return BoxDrag(x0, y0, x1, y1, done, resizes=True)


def _number(value: Any) -> float:
    number = float(value or 0.0)
    return number if isfinite(number) else 0.0
