"""What a model offers that finds objects by words and by examples: `SupportsPhrases`, and its values.

Such a model answers a phrase with every object that it names, not with one mask for a click. Examples are boxes: on the
searched image itself (`Exemplar`), or on another one, as `ExemplarTokens` that were computed there.

Boxes are (x0, y0, x1, y1) in image pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import PromptError
from ..prompts import Box, Embedding, LazyMasks, Prompt

VISUAL = "visual"
"""The phrase of a search by examples alone: the one that SAM 3 was trained with."""

MIN_SCORE = 0.3
"""Score from which an object is kept, as in the processor of ``transformers``."""


@dataclass(frozen=True)
class Exemplar:
    """A box around an example of what is searched, or of what is mistaken for it.

    Parameters
    ----------
    box : (x0, y0, x1, y1)
        Image pixels, XYXY.
    positive : bool
        False: objects like this one are not meant.

    Examples
    --------
    >>> Exemplar.of((4, 4, 20, 16))
    Exemplar(box=(4.0, 4.0, 20.0, 16.0), positive=True)
    """

    box: Box
    positive: bool = True

    @classmethod
    def of(cls, value: Exemplar | Sequence[float]) -> Exemplar:
        """Make an exemplar of a box, and check it.

        Parameters
        ----------
        value : Exemplar or (x0, y0, x1, y1)
            A box alone, in image pixels, is a positive example. Whether it is inside the image is checked when it is
            searched for.

        Returns
        -------
        Exemplar
            Its box as floats.

        Raises
        ------
        PromptError
            Not four finite numbers with x0 < x1 and y0 < y1.

        Examples
        --------
        >>> Exemplar.of(Exemplar((4, 4, 20, 16), positive=False))
        Exemplar(box=(4.0, 4.0, 20.0, 16.0), positive=False)
        """
        given = value if isinstance(value, Exemplar) else cls(value)  # type: ignore[arg-type]
        if given.box is None:
            raise PromptError("An example is a box: expected (x0, y0, x1, y1); got None.")
        box = Prompt.of(box=given.box).box
        assert box is not None
        return cls(box, bool(given.positive))


@dataclass(frozen=True, eq=False)
class ExemplarTokens:
    """Examples of one image as their model describes them, for a search on other images.

    Parameters
    ----------
    values : (N, C) float32
        One token for each example and one for all of them.
    model : str
        Fingerprint of the model that computed them; no other can read them.

    Examples
    --------
    >>> tokens = ExemplarTokens(np.zeros((3, 256), np.float32), model="sam3-0123abcd")
    >>> tokens.values.shape  # of two examples
    (3, 256)
    """

    values: NDArray[np.float32]
    model: str


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """The objects that a phrase or examples name on one image, the highest score first.

    Parameters
    ----------
    phrase : str
    scores : (N,) float32
        0 to 1.
    boxes : (N, 4) float32
        (x0, y0, x1, y1) in image pixels.
    masks : LazyMasks
        N masks (H, W) bool, each computed when it is first read.
    small : (N, h, w) bool
        The masks of the whole image, at the size at which they were computed.
    model : str
        Fingerprint of the model.
    ms : float
        Milliseconds that the search took.

    Examples
    --------
    >>> masks = LazyMasks(2, (4, 4), lambda index, out: None)
    >>> boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32)
    >>> found = FoundObjects("coin", np.array([0.9, 0.4], np.float32), boxes, masks, np.ones((2, 2, 2), bool))
    >>> len(found), len(found.above(0.5))
    (2, 1)
    """

    phrase: str
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    masks: LazyMasks = field(repr=False)
    small: NDArray[np.bool_] = field(repr=False)
    model: str = ""
    ms: float = 0.0

    def __len__(self) -> int:
        return len(self.scores)

    def prompt(self, index: int) -> Prompt:
        """Make a prompt of the box of an object, for a model that draws masks.

        Parameters
        ----------
        index : int
            0 for the object with the highest score, up to N - 1; -1 for the last one.

        Returns
        -------
        Prompt
            Its box, cut to the image; the whole image for a box without an area there.

        Raises
        ------
        IndexError
            No object has that index.

        Examples
        --------
        >>> masks = LazyMasks(1, (4, 4), lambda index, out: None)
        >>> boxes = np.array([[1, 1, 9, 3]], np.float32)
        >>> found = FoundObjects("coin", np.array([0.9], np.float32), boxes, masks, np.ones((1, 2, 2), bool))
        >>> found.prompt(0).box
        (1.0, 1.0, 4.0, 3.0)
        """
        height, width = self.masks.shape[1:]
        x0, x1 = np.clip(self.boxes[index, [0, 2]].astype(float), 0, width)
        y0, y1 = np.clip(self.boxes[index, [1, 3]].astype(float), 0, height)
        return Prompt.of(box=(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (0, 0, width, height))

    def above(self, min_score: float) -> FoundObjects:
        """Keep the objects with a score above a limit.

        Parameters
        ----------
        min_score : float
            0 to 1. Objects with this score or a lower one are left out.

        Returns
        -------
        FoundObjects
            In the same order; without objects if none is above it.

        Examples
        --------
        >>> masks = LazyMasks(2, (4, 4), lambda index, out: None)
        >>> boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32)
        >>> found = FoundObjects("coin", np.array([0.9, 0.4], np.float32), boxes, masks, np.ones((2, 2, 2), bool))
        >>> len(found.above(0.3)), len(found.above(0.4)), len(found.above(1))
        (2, 1, 0)
        """
        count = int((self.scores > min_score).sum())  # they are sorted by it
        whole = self.masks

        def make(index: int, out: NDArray[np.bool_]) -> None:
            out[:] = whole.one(index)

        masks = LazyMasks(count, (whole.shape[1], whole.shape[2]), make)
        return replace(
            self, scores=self.scores[:count], boxes=self.boxes[:count], masks=masks, small=self.small[:count]
        )


Exemplars = Sequence[Exemplar | ExemplarTokens]

Find = Callable[..., FoundObjects]
"""`SupportsPhrases.find`."""


@runtime_checkable
class SupportsPhrases(Protocol):
    """A `Model` that finds all objects that a phrase or examples name, from an embedding."""

    def find(
        self,
        embedding: Embedding,
        *,
        phrase: str | None = None,
        exemplars: Exemplars = (),
        min_score: float = MIN_SCORE,
    ) -> FoundObjects:
        """Find the objects.

        Parameters
        ----------
        embedding : Embedding
        phrase : str, optional
            A short noun phrase, such as "yellow taxi". None: the exemplars alone.
        exemplars : sequence of Exemplar or ExemplarTokens
            Boxes on this image; tokens of other images.
        min_score : float
            Objects with this score or a lower one are left out, 0 to 1.

        Raises
        ------
        PromptError
            Neither a phrase nor a positive example, a phrase that is too long, or a box outside the image.
        ModelError
            Tokens of another model, or a failure in torch.
        """

    def exemplar_tokens(self, embedding: Embedding, exemplars: Sequence[Exemplar]) -> ExemplarTokens:
        """Describe examples on one image for searches on others.

        Raises
        ------
        PromptError
            No example, or a box outside the image.
        """


def check_search(phrase: str | None, exemplars: Sequence[Any], size_hw: tuple[int, int]) -> str:
    """The phrase to search with; for exemplars alone it is `VISUAL`.

    Raises
    ------
    PromptError
        Nothing to search for, something else than text and exemplars, or a box outside (H, W).

    Examples
    --------
    >>> check_search(" yellow taxi ", (), (40, 60)), check_search(None, [Exemplar((0, 0, 9, 9))], (40, 60))
    ('yellow taxi', 'visual')
    """
    if phrase is not None and not (isinstance(phrase, str) and phrase.strip()):
        raise PromptError(f'phrase: expected some text, such as "yellow taxi"; got {phrase!r}.')
    for one in exemplars:
        if not isinstance(one, Exemplar | ExemplarTokens):
            raise PromptError(
                f"exemplars: expected Exemplar(box) on this image, or ExemplarTokens of others; got {one!r}."
            )
    boxes = [one for one in exemplars if isinstance(one, Exemplar)]
    check_boxes(boxes, size_hw)
    if phrase is None and not any(one.positive for one in boxes) and len(boxes) == len(exemplars):
        raise PromptError(
            'Nothing to search for: give a phrase, such as "yellow taxi", or an example with positive=True.'
        )
    return VISUAL if phrase is None else phrase.strip()


def check_boxes(exemplars: Sequence[Exemplar], size_hw: tuple[int, int]) -> None:
    """Raise `PromptError` for a box that is none, or is outside (H, W)."""
    for one in exemplars:
        Prompt.of(box=one.box).check_inside(size_hw)
