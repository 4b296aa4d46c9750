"""The values that packages pass to each other: `Prompt`, `Embedding`, `Prediction`. All are frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import PointOutsideImage, PromptError

__all__ = ["BACKGROUND", "FOREGROUND", "Embedding", "LazyMasks", "Prediction", "Prompt", "one_prompt"]

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
        """A prompt from loose values, checked; missing labels mean foreground.

        Raises
        ------
        PromptError
            Wrong shapes, labels other than 0 and 1, values that are not finite, an empty prompt.
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
        """A new prompt with one more point; image pixels."""
        return Prompt((*self.points, (float(x), float(y))), (*self.point_labels, int(label)), self.box)

    def with_box(self, box: Sequence[float] | None) -> Prompt:
        """A new prompt with that box (XYXY, image pixels), or without one."""
        return Prompt(self.points, self.point_labels, None if box is None else _box(box))

    def check_inside(self, size_hw: tuple[int, int], image: str = "the image") -> None:
        """Raise `PointOutsideImage` for the first point or box corner outside (H, W)."""
        height, width = size_hw
        corners = () if self.box is None else (self.box[:2], self.box[2:])
        for x, y in (*self.points, *corners):
            if not (0 <= x <= width and 0 <= y <= height):
                raise PointOutsideImage((x, y), size_hw, image)

    def scaled(self, factor_x: float, factor_y: float) -> Prompt:
        """The same prompt at another scale: every x times `factor_x`, every y times `factor_y`."""
        points = tuple((x * factor_x, y * factor_y) for x, y in self.points)
        box = None
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            box = (x0 * factor_x, y0 * factor_y, x1 * factor_x, y1 * factor_y)
        return Prompt(points, self.point_labels, box)

    def moved(self, x: float, y: float) -> Prompt:
        """The same prompt, moved by (x, y) pixels."""
        points = tuple((px + x, py + y) for px, py in self.points)
        box = None if self.box is None else (self.box[0] + x, self.box[1] + y, self.box[2] + x, self.box[3] + y)
        return Prompt(points, self.point_labels, box)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, for JSON; `Prompt.from_dict` reads it back."""
        return {
            "points": [list(p) for p in self.points],
            "point_labels": list(self.point_labels),
            "box": None if self.box is None else list(self.box),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Prompt:
        """The inverse of `as_dict`; a mask drawn by hand has an empty prompt, which stays empty."""
        if not values.get("points") and values.get("box") is None:
            return cls()
        return cls.of(points=values.get("points"), point_labels=values.get("point_labels"), box=values.get("box"))


@dataclass(frozen=True, eq=False)
class Embedding:
    """The output of an image encoder for one image: named tensors and the sizes they belong to.

    Parameters
    ----------
    tensors : mapping of str to array
        Ordered, without the batch axis; segment-anything has one, ``{"image_embedding": (C, h, w)}``.
    original_size : (H, W)
        Of the upright picture, in pixels.
    input_size : (H, W)
        Of the resized picture inside the model's square input, before padding.
    """

    tensors: Mapping[str, NDArray[Any]]
    original_size: tuple[int, int]
    input_size: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        nbytes = getattr(self.tensors, "nbytes", None)  # of mappings that create their tensors on demand
        return sum(tensor.nbytes for tensor in self.tensors.values()) if nbytes is None else nbytes


class LazyMasks:
    """Masks at the size of a picture, each computed once, on first use; thread-safe.

    A model answers a click with three candidates, and most callers use one. On a picture of twelve megapixels the
    other two take 24 MB and a part of the click's time.

    Parameters
    ----------
    count : int
    size_hw : (H, W)
    make : callable
        Given an index and an (H, W) bool array of False, writes that mask into it.

    Examples
    --------
    >>> def make(index, out):
    ...     print("making", index)
    ...     out[:, : index + 1] = True
    >>> masks = LazyMasks(3, (1, 3), make)
    >>> masks.one(1)
    making 1
    array([[ True,  True, False]])
    >>> masks.all().sum(axis=(1, 2))
    making 0
    making 2
    array([1, 2, 3])
    """

    def __init__(self, count: int, size_hw: tuple[int, int], make: Callable[[int, NDArray[np.bool_]], object]):
        self.shape = (count, *size_hw)
        self._make, self._lock = make, Lock()
        self._masks: NDArray[np.bool_] | None = None
        self._made: set[int] = set()

    def __repr__(self) -> str:
        return f"<LazyMasks {self.shape}, {len(self._made)} made>"

    @property
    def made(self) -> frozenset[int]:
        """The indices of the masks that were computed."""
        return frozenset(self._made)

    def one(self, index: int) -> NDArray[np.bool_]:
        """The (H, W) mask of that index; IndexError if there is none."""
        index = range(self.shape[0])[index]
        with self._lock:
            if self._masks is None:
                # The system allocates pages of zeros when they are written to: unused masks take no memory.
                self._masks = np.zeros(self.shape, bool)
            if index not in self._made:
                try:
                    self._make(index, self._masks[index])
                except BaseException:
                    self._masks[index] = False  # a partly written mask is not a mask: the next access computes it again
                    raise
                self._made.add(index)
            return self._masks[index]

    def part(self, index: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The corner (x, y) of the part that is not empty, and the mask there: here the whole mask."""
        return (0, 0), self.one(index)

    def all(self) -> NDArray[np.bool_]:
        """All of them, (N, H, W)."""
        for index in range(self.shape[0]):
            self.one(index)
        return np.zeros(self.shape, bool) if self._masks is None else self._masks


@dataclass(frozen=True, eq=False)
class Prediction:
    """Candidate masks of one prompt, not accepted yet.

    Parameters
    ----------
    masks : (N, H, W) bool
        At the size of the upright picture, best score first is *not* implied: see `best`. May be given as `LazyMasks`:
        then each is computed on first use, and reading this computes all; `mask` and `mask_of` compute one.
    scores : (N,) float32
        The model's own estimate of each mask's IoU, about 0 to 1.
    low_res_logits : (N, h, w) float32
        Unscaled mask logits; the next click may pass one as `mask_input`.
    prompt : Prompt
        The prompt, in image pixels.
    image : str
        File name of the image, "" when decoded without a session.
    image_id : str
        The catalog's id of the image, "" when decoded without a session.
    cache_hit : bool
        True when the embedding was in the cache and the encoder did not run.
    ms : float
        Milliseconds from prompt to masks, the encoder included if it ran.
    model : str
        Fingerprint of the model.
    region : (x0, y0, x1, y1) or None
        The part of the image that the model saw, if not all of it; `low_res_logits` are of this part.

    Examples
    --------
    >>> masks = np.arange(8).reshape(2, 2, 2) > 4
    >>> prediction = Prediction(masks, np.array([0.4, 0.9]), np.zeros((2, 1, 1)), Prompt.of(points=[(1, 1)]))
    >>> prediction.best, prediction.mask.tolist()
    (1, [[False, True], [True, True]])
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    prompt: Prompt
    image: str = ""
    image_id: str = ""
    cache_hit: bool = False
    ms: float = 0.0
    model: str = field(default="")
    region: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.masks, LazyMasks):
            object.__setattr__(self, "_lazy", self.masks)
            object.__delattr__(self, "masks")

    if not TYPE_CHECKING:  # mypy would take every misspelt name for one of these

        def __getattr__(self, name: str) -> Any:
            lazy = self.__dict__.get("_lazy") if name == "masks" else None
            if lazy is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            object.__setattr__(self, "masks", lazy.all())
            return self.__dict__["masks"]

    def __getstate__(self) -> dict[str, Any]:
        """With all masks: the function that computes them cannot be pickled."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def but(self, **changes: Any) -> Prediction:
        """The same with some values changed; unlike ``dataclasses.replace`` it computes no unused masks.

        Examples
        --------
        >>> prediction = Prediction(np.ones((1, 2, 2), bool), np.ones(1, "f"), np.ones((1, 1, 1), "f"), Prompt())
        >>> prediction.but(image="coins.png").image
        'coins.png'
        """
        values = {each.name: self.__dict__.get(each.name) for each in fields(self)}
        values["masks"] = self.__dict__.get("_lazy", values["masks"])
        return Prediction(**{**values, **changes})

    def mask_of(self, index: int) -> NDArray[np.bool_]:
        """The (H, W) mask of that index; the others are not computed for it."""
        lazy: LazyMasks | None = self.__dict__.get("_lazy")
        return self.masks[index] if lazy is None else lazy.one(index)

    def part_of(self, index: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The part of a mask that the model saw: its corner (x, y), and an (h, w) mask, which is false elsewhere.

        For large images, whose whole masks would take gigabytes, and for regions.

        Examples
        --------
        >>> prediction = Prediction(np.ones((1, 2, 3), bool), np.ones(1, "f"), np.ones((1, 1, 1), "f"), Prompt())
        >>> corner, mask = prediction.part_of(0)
        >>> corner, mask.shape
        ((0, 0), (2, 3))
        """
        lazy: LazyMasks | None = self.__dict__.get("_lazy")
        return ((0, 0), self.mask_of(index)) if lazy is None else lazy.part(index)

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) of the masks."""
        lazy: LazyMasks | None = self.__dict__.get("_lazy")
        height, width = (self.masks if lazy is None else lazy).shape[1:]
        return (height, width)

    @property
    def best(self) -> int:
        """Index of the highest score."""
        return int(np.argmax(self.scores))

    def best_for(self, prompt: Prompt) -> int:
        """Index of the mask that satisfies most of the prompt's points; of equal ones the highest score.

        Examples
        --------
        >>> masks = np.array([[[True, True]], [[True, False]]])
        >>> prediction = Prediction(masks, np.array([0.9, 0.8], "f"), np.zeros((2, 1, 1), "f"), Prompt())
        >>> prediction.best_for(Prompt.of(points=[(0.5, 0.5)]))
        0
        >>> prediction.best_for(Prompt.of(points=[(0.5, 0.5), (1.5, 0.5)], point_labels=[1, 0]))
        1
        """
        if len(self.scores) == 1:
            return 0
        right = np.zeros(len(self.scores), int)
        for index in range(len(self.scores)):
            (left, top), mask = self.part_of(index)
            for (x, y), label in zip(prompt.points, prompt.point_labels, strict=True):
                # A point on the right or lower border belongs to the last pixel.
                row, column = (
                    min(max(int(v), 0), side - 1) for v, side in zip((y - top, x - left), mask.shape, strict=True)
                )
                right[index] += bool(mask[row, column]) == (label == FOREGROUND)
        return int(np.lexsort((self.scores, right))[-1]) if len(set(right.tolist())) > 1 else self.best

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The (H, W) mask with the highest score."""
        return self.mask_of(self.best)

    @property
    def score(self) -> float:
        """The highest score."""
        return float(self.scores[self.best])

    def __repr__(self) -> str:
        where = f" on {self.image}" if self.image else ""
        scores = ", ".join(f"{s:.2f}" for s in self.scores)
        return f"<Prediction{where}: {len(self.scores)} masks, scores {scores}, cache_hit={self.cache_hit}>"


def _numbers(what: str, values: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
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
