"""`Prediction`: candidate masks of one prompt."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .lazy_masks import LazyMasks
from .prompt import FOREGROUND, Prompt


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

        Parameters
        ----------
        **changes
            New values, by the names of the parameters of `Prediction`.

        Returns
        -------
        Prediction

        Raises
        ------
        TypeError
            No parameter of that name.

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
        """One of the candidate masks; the others are not computed for it.

        Parameters
        ----------
        index : int
            From 0; negative ones count from the end.

        Returns
        -------
        (H, W) bool ndarray
            At the size of the upright picture, True on the object.

        Raises
        ------
        IndexError
            There is no mask of that index.

        Examples
        --------
        >>> masks = np.arange(8).reshape(2, 2, 2) > 4
        >>> prediction = Prediction(masks, np.array([0.4, 0.9]), np.zeros((2, 1, 1)), Prompt.of(points=[(1, 1)]))
        >>> prediction.mask_of(1).tolist()
        [[False, True], [True, True]]
        """
        lazy: LazyMasks | None = self.__dict__.get("_lazy")
        return self.masks[index] if lazy is None else lazy.one(index)

    def part_of(self, index: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """The part of a mask that the model saw: its corner (x, y), and an (h, w) mask, which is false elsewhere.

        For large images, whose whole masks would take gigabytes, and for regions.

        Parameters
        ----------
        index : int
            As for `mask_of`.

        Returns
        -------
        corner : (x, y)
            Where the upper left corner of `mask` lies, in image pixels; (0, 0) if the model saw the whole image.
        mask : (h, w) bool ndarray
            The mask there; the whole mask if the model saw the whole image.

        Raises
        ------
        IndexError
            There is no mask of that index.

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

        Parameters
        ----------
        prompt : Prompt
            In image pixels. A foreground point is satisfied inside the mask, a background point outside of it; a point
            outside the image counts as the nearest pixel. The box does not count.

        Returns
        -------
        int
            From 0, for `mask_of`.

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
