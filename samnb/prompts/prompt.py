"""`Prompt`: points, their labels and a box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PointOutsideImage, PromptError

FOREGROUND, BACKGROUND = 1, 0

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Prompt:
    """What a user marks of one object: points, their labels and a box.

    Parameters
    ----------
    points : tuple of (x, y)
        Image pixels, x to the right, y down.
    point_labels : tuple of int
        1 foreground, 0 background; one for each point.
    box : (x0, y0, x1, y1) or None
        Image pixels, XYXY.

    Examples
    --------
    >>> Prompt.of(points=[(120, 80)])
    Prompt(points=((120.0, 80.0),), point_labels=(1,), box=None)
    >>> Prompt().with_point(3, 4).with_point(9, 9, label=0).point_labels
    (1, 0)
    """

    points: tuple[Point, ...] = ()
    point_labels: tuple[int, ...] = ()
    box: Box | None = None

    @classmethod
    def of(
        cls,
        *,
        points: Sequence[Sequence[float]] | NDArray[Any] | None = None,
        point_labels: Sequence[int] | NDArray[Any] | None = None,
        box: Sequence[float] | NDArray[Any] | None = None,
    ) -> Prompt:
        """Make a prompt from lists or arrays, checked.

        Parameters
        ----------
        points : (N, 2) array-like, optional
            Pairs (x, y) in image pixels, x to the right, y down, from the upper left corner of the picture; fractions
            are fine. One point may be given as (x, y). Default: none.
        point_labels : (N,) array-like of int, optional
            1 foreground (on the object), 0 background (not on it). Default: all are foreground.
        box : (x0, y0, x1, y1), optional
            Image pixels, the upper left and the lower right corner. Default: none.

        Returns
        -------
        Prompt

        Raises
        ------
        PromptError
            No points and no box, a wrong shape, labels other than 0 and 1 or not one for each point, values that are
            not finite numbers, a box without width or height.

        Examples
        --------
        >>> Prompt.of(points=[(120, 80), (30, 40)], point_labels=[1, 0])
        Prompt(points=((120.0, 80.0), (30.0, 40.0)), point_labels=(1, 0), box=None)
        >>> Prompt.of(box=(10, 20, 60, 90)).box
        (10.0, 20.0, 60.0, 90.0)
        """
        coords = _numbers("points", points if points is not None else [])
        if coords.size == 0:
            coords = coords.reshape(0, 2)
        if coords.ndim == 1 and coords.shape == (2,):
            coords = coords[None]
        if coords.ndim != 2 or coords.shape[1] != 2:
            raise PromptError(f"points: expected (x, y) pairs, shape (N, 2); got shape {coords.shape}.")
        labels = np.ones(len(coords), int) if point_labels is None else _labels(point_labels)
        if labels.shape != (len(coords),):
            raise PromptError(f"point_labels: expected {len(coords)} labels, one for each point; got {labels.size}.")
        if not np.isin(labels, (BACKGROUND, FOREGROUND)).all():
            raise PromptError(f"point_labels: expected 1 (foreground) or 0 (background); got {labels.tolist()}.")
        if box is None and not len(coords):
            raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
        return cls(
            tuple((float(x), float(y)) for x, y in coords),
            tuple(int(v) for v in labels),
            None if box is None else _box(box),
        )

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None

    def with_point(self, x: float, y: float, *, label: int = FOREGROUND) -> Prompt:
        """A new prompt with one more point.

        Parameters
        ----------
        x, y : float
            Image pixels, x to the right, y down.
        label : int
            1 foreground, the default; 0 background.

        Returns
        -------
        Prompt

        Raises
        ------
        PromptError
            A label other than 0 and 1, or a coordinate that is not a finite number.

        Examples
        --------
        >>> Prompt.of(points=[(120, 80)]).with_point(30, 40, label=0).point_labels
        (1, 0)
        """
        added = Prompt.of(points=[(x, y)], point_labels=[label])
        return Prompt((*self.points, *added.points), (*self.point_labels, *added.point_labels), self.box)

    def with_box(self, box: Sequence[float] | None) -> Prompt:
        """A new prompt with another box, or without one.

        Parameters
        ----------
        box : (x0, y0, x1, y1) or None
            Image pixels, the upper left and the lower right corner. None takes the box away.

        Returns
        -------
        Prompt

        Raises
        ------
        PromptError
            Not four finite numbers, or a box without width or height.

        Examples
        --------
        >>> Prompt.of(points=[(120, 80)]).with_box((100, 60, 140, 100))
        Prompt(points=((120.0, 80.0),), point_labels=(1,), box=(100.0, 60.0, 140.0, 100.0))
        """
        return Prompt(self.points, self.point_labels, None if box is None else _box(box))

    def check_inside(self, size_hw: tuple[int, int], image: str = "the image") -> None:
        """Raise an error if a point or a corner of the box lies outside a picture; its border is inside.

        Parameters
        ----------
        size_hw : (H, W)
            Size of the picture in pixels: height, then width.
        image : str
            Its name in the message.

        Raises
        ------
        PointOutsideImage
            For the first of them with x below 0 or above W, or y below 0 or above H.

        Examples
        --------
        >>> Prompt.of(points=[(640, 480)]).check_inside((480, 640))
        >>> Prompt.of(points=[(480, 640)]).check_inside((480, 640), "coins.png")
        Traceback (most recent call last):
        ...
        samnb.errors.PointOutsideImage: (480, 640) lies outside coins.png, which is 640 wide and 480 high. ...
        """
        height, width = size_hw
        corners = () if self.box is None else (self.box[:2], self.box[2:])
        for x, y in (*self.points, *corners):
            if not (0 <= x <= width and 0 <= y <= height):
                raise PointOutsideImage((x, y), size_hw, image)

    def scaled(self, factor_x: float, factor_y: float) -> Prompt:
        """The same prompt for the picture at another size.

        Parameters
        ----------
        factor_x, factor_y : float
            What every x and every y is multiplied with, above 0: the new width over the old one, and so for the height.

        Returns
        -------
        Prompt

        Examples
        --------
        From a picture of 640 x 480 pixels to one of 320 x 120:

        >>> Prompt.of(points=[(120, 80)]).scaled(320 / 640, 120 / 480).points
        ((60.0, 20.0),)
        """
        points = tuple((x * factor_x, y * factor_y) for x, y in self.points)
        box = None
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            box = (x0 * factor_x, y0 * factor_y, x1 * factor_x, y1 * factor_y)
        return Prompt(points, self.point_labels, box)

    def moved(self, x: float, y: float) -> Prompt:
        """The same prompt with all points and the box moved.

        Parameters
        ----------
        x, y : float
            Pixels to the right, and down; negative ones to the left, and up.

        Returns
        -------
        Prompt

        Examples
        --------
        From a picture to its part whose upper left corner is (100, 50):

        >>> Prompt.of(points=[(120, 80)]).moved(-100, -50).points
        ((20.0, 30.0),)
        """
        points = tuple((px + x, py + y) for px, py in self.points)
        box = None if self.box is None else (self.box[0] + x, self.box[1] + y, self.box[2] + x, self.box[3] + y)
        return Prompt(points, self.point_labels, box)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which `from_dict` reads back.

        Returns
        -------
        dict
            "points": list of [x, y]; "point_labels": list of int; "box": [x0, y0, x1, y1] or None.

        Examples
        --------
        >>> Prompt.of(points=[(120, 80)]).as_dict()
        {'points': [[120.0, 80.0]], 'point_labels': [1], 'box': None}
        """
        return {
            "points": [list(p) for p in self.points],
            "point_labels": list(self.point_labels),
            "box": None if self.box is None else list(self.box),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Prompt:
        """Read what `as_dict` wrote; a mask drawn by hand has an empty prompt, which stays empty.

        Parameters
        ----------
        values : mapping
            As of `as_dict`; what is left out is as for `of`.

        Returns
        -------
        Prompt

        Raises
        ------
        PromptError
            As `of`, but for an empty prompt.

        Examples
        --------
        >>> prompt = Prompt.of(points=[(120, 80)], box=(100, 60, 140, 100))
        >>> Prompt.from_dict(prompt.as_dict()) == prompt
        True
        """
        if not values.get("points") and values.get("box") is None:
            return cls()
        return cls.of(points=values.get("points"), point_labels=values.get("point_labels"), box=values.get("box"))


def _numbers(what: str, values: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise PromptError(f"{what}: expected numbers; got {values!r}.") from error
    if not np.isfinite(array).all():
        raise PromptError(f"{what}: expected finite numbers; got {array.tolist()}.")
    return array


def _labels(values: Any) -> NDArray[Any]:
    try:
        return np.atleast_1d(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise PromptError(f"point_labels: expected 1 (foreground) or 0 (background); got {values!r}.") from error


def _box(values: Any) -> Box:
    array = _numbers("box", values)
    if array.shape != (4,):
        raise PromptError(f"box: expected (x0, y0, x1, y1); got shape {array.shape}.")
    x0, y0, x1, y1 = (float(v) for v in array)
    if x1 <= x0 or y1 <= y0:
        raise PromptError(f"box: expected x0 < x1 and y0 < y1; got ({x0:g}, {y0:g}, {x1:g}, {y1:g}).")
    return (x0, y0, x1, y1)


def one_prompt(prompt: Prompt | None, points: Any, point_labels: Any, box: Any) -> Prompt:
    """The prompt that the arguments of a call mean: `prompt`, or the others."""
    if prompt is None:
        return Prompt.of(points=points, point_labels=point_labels, box=box)
    if points is not None or point_labels is not None or box is not None:
        raise PromptError("Give either prompt=, or points=, point_labels= and box=; not both.")
    return prompt
