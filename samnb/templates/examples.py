"""The examples of a template: `Example`, an annotated object; `ImageExemplars`, boxes; `CategoryExamples`, both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..prompts import Box, Prompt


def _float32(values: Any) -> NDArray[np.float32]:
    """Numbers of a file; those beyond float32 become infinite, and `samnb.templates.checks` refuses them."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


@dataclass(frozen=True, eq=False)
class Place:
    """The features of an object and its surroundings, cell by cell.

    Parameters
    ----------
    top, left : int
        The first row and column of its cells on the example's image.
    basis : (K, C) float32
        Directions among embeddings.
    patch : (K, h, w) float32
        The cells in these directions.
    """

    top: int
    left: int
    basis: NDArray[np.float32]
    patch: NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "top": self.top,
            "left": self.left,
            "basis": self.basis.astype(float).round(4).tolist(),
            "patch": self.patch.astype(float).round(3).tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Place:
        """Read what `as_dict` wrote."""
        basis, patch = (_float32(values[name]) for name in ("basis", "patch"))
        return cls(int(values["top"]), int(values["left"]), basis, patch)


@dataclass(frozen=True, eq=False)
class Example:
    """One annotated object of a template.

    Parameters
    ----------
    pixel_hash : str
        Of the image it was annotated on.
    prompt : Prompt
        Relative to the image: 0 to 1 from left to right and from top to bottom.
    prototype : (C,) float32
        Mean embedding inside the mask, of length 1; empty for strategy "fixed".
    area : float
        Of the mask, as a fraction of the image.
    diameter : float
        Square root of the mask's area, in pixels of the model's input frame.
    rle : mapping
        The mask, COCO's uncompressed run lengths; {} in templates of older versions.
    place : Place, optional
        For strategy "fixed", to find out how far the object has moved.
    parts : tuple of (C,) float32
        Mean features of groups of cells inside the mask, each of length 1, the largest group first; () in templates of
        older versions.
    around : tuple of (C,) float32
        The same of cells outside the mask that look different, for "reverse_check"; () in templates of older versions.

    Examples
    --------
    `Session.template` makes them of accepted annotations.

    >>> prototype = np.array([0.6, 0.8], np.float32)
    >>> example = Example("9f2c", Prompt.of(points=[(0.25, 0.5)]), prototype, area=0.04, diameter=210.0)
    >>> example.prompt.points, example.area
    (((0.25, 0.5),), 0.04)
    """

    pixel_hash: str
    prompt: Prompt
    prototype: NDArray[np.float32]
    area: float
    diameter: float
    rle: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None
    parts: tuple[NDArray[np.float32], ...] = ()
    around: tuple[NDArray[np.float32], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON.

        Returns
        -------
        dict
            The fields by their names, arrays as lists of numbers; features are rounded to 4 to 6 places.

        Examples
        --------
        >>> example = Example("9f2c", Prompt.of(points=[(0.25, 0.5)]), np.array([0.6, 0.8], np.float32), 0.04, 210.0)
        >>> example.as_dict()["prototype"]
        [0.6, 0.8]
        """
        groups = {
            name: [cell.astype(float).round(4).tolist() for cell in cells]
            for name, cells in (("parts", self.parts), ("around", self.around))
            if cells
        }
        return {
            "pixel_hash": self.pixel_hash,
            "prompt": self.prompt.as_dict(),
            "prototype": [round(float(v), 6) for v in self.prototype],
            "area": self.area,
            "diameter": self.diameter,
            "rle": dict(self.rle),
            "place": None if self.place is None else self.place.as_dict(),
            **groups,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Example:
        """Read what `as_dict` wrote.

        Parameters
        ----------
        values : mapping
            As of `as_dict`; what older versions did not write may be left out.

        Returns
        -------
        Example

        Raises
        ------
        KeyError, TypeError, AttributeError, ValueError
            Values that `as_dict` did not write: one is missing, or of another kind.

        Examples
        --------
        >>> example = Example("9f2c", Prompt.of(points=[(0.25, 0.5)]), np.array([0.6, 0.8], np.float32), 0.04, 210.0)
        >>> Example.from_dict(example.as_dict()).prompt == example.prompt
        True
        """
        return cls(
            values["pixel_hash"],
            Prompt.from_dict(values["prompt"]),
            _float32(values["prototype"]),
            float(values["area"]),
            float(values["diameter"]),
            values.get("rle", {}),
            Place.from_dict(values["place"]) if values.get("place") else None,
            *(tuple(_float32(cell) for cell in values.get(name, ())) for name in ("parts", "around")),
        )


@dataclass(frozen=True, eq=False)
class ImageExemplars:
    """Boxes on one image, for strategy "phrase": what the model made of them, and where they were.

    Parameters
    ----------
    pixel_hash : str
        Of the image.
    boxes : tuple of (x0, y0, x1, y1)
        As fractions of the image.
    positive : tuple of bool
        One for each box: False for what is mistaken for the object.
    tokens : (N, C) float32
        What is searched with: `samnb.models.ExemplarTokens.values`. The image is not needed again.

    Examples
    --------
    `Session.template` makes them of `examples`, with a model that finds phrases.

    >>> tokens = np.zeros((2, 4), np.float32)
    >>> boxes = ((0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.7, 0.4))
    >>> exemplars = ImageExemplars("9f2c", boxes, (True, False), tokens)
    >>> [box for box, positive in zip(exemplars.boxes, exemplars.positive) if positive]
    [(0.1, 0.2, 0.3, 0.4)]
    """

    pixel_hash: str
    boxes: tuple[Box, ...]
    positive: tuple[bool, ...]
    tokens: NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON.

        Returns
        -------
        dict
            The fields by their names, arrays as lists of numbers; tokens are rounded to 5 places.

        Examples
        --------
        >>> exemplars = ImageExemplars("9f2c", ((0.1, 0.2, 0.3, 0.4),), (True,), np.zeros((1, 2), np.float32))
        >>> exemplars.as_dict()["boxes"]
        [[0.1, 0.2, 0.3, 0.4]]
        """
        return {
            "pixel_hash": self.pixel_hash,
            "boxes": [list(box) for box in self.boxes],
            "positive": list(self.positive),
            "tokens": [[round(float(v), 5) for v in token] for token in self.tokens],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageExemplars:
        """Read what `as_dict` wrote.

        Parameters
        ----------
        values : mapping
            As of `as_dict`.

        Returns
        -------
        ImageExemplars

        Raises
        ------
        KeyError, TypeError, ValueError
            Values that `as_dict` did not write: one is missing, or of another kind.

        Examples
        --------
        >>> exemplars = ImageExemplars("9f2c", ((0.1, 0.2, 0.3, 0.4),), (True,), np.zeros((1, 2), np.float32))
        >>> ImageExemplars.from_dict(exemplars.as_dict()).boxes == exemplars.boxes
        True
        """
        boxes = tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in values["boxes"])
        tokens = _float32(values["tokens"])
        return cls(values["pixel_hash"], boxes, tuple(bool(one) for one in values["positive"]), tokens)


@dataclass(frozen=True, eq=False)
class CategoryExamples:
    """The examples of one category.

    Parameters
    ----------
    category : str
        Its name: what found objects are called.
    examples : tuple of Example
        The objects that are looked for; empty for a phrase alone.
    background : tuple of (C,) float32
        Background examples: embeddings of cells, each of length 1.
    phrase : str
        For strategy "phrase": what is searched; "" for the exemplars alone.
    exemplars : tuple of ImageExemplars
        For strategy "phrase".

    Examples
    --------
    >>> example = Example("9f2c", Prompt.of(points=[(0.25, 0.5)]), np.array([0.6, 0.8], np.float32), 0.04, 210.0)
    >>> coins = CategoryExamples("coin", (example,))
    >>> len(coins.examples), sorted(coins.pixel_hashes)
    (1, ['9f2c'])
    """

    category: str
    examples: tuple[Example, ...]
    background: tuple[NDArray[np.float32], ...] = ()
    phrase: str = ""
    exemplars: tuple[ImageExemplars, ...] = ()

    @property
    def pixel_hashes(self) -> frozenset[str]:
        """Of the images that hold the examples."""
        return frozenset(one.pixel_hash for one in self.examples) | {one.pixel_hash for one in self.exemplars}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON.

        Returns
        -------
        dict
            "category", "examples", "background"; "phrase" and "exemplars" where there are some.

        Examples
        --------
        >>> CategoryExamples("taxi", (), phrase="yellow taxi").as_dict()
        {'category': 'taxi', 'examples': [], 'background': [], 'phrase': 'yellow taxi'}
        """
        return {
            "category": self.category,
            "examples": [example.as_dict() for example in self.examples],
            "background": [[round(float(v), 6) for v in cell] for cell in self.background],
            **({"phrase": self.phrase} if self.phrase else {}),
            **({"exemplars": [one.as_dict() for one in self.exemplars]} if self.exemplars else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CategoryExamples:
        """Read what `as_dict` wrote.

        Parameters
        ----------
        values : mapping
            As of `as_dict`; what older versions did not write may be left out.

        Returns
        -------
        CategoryExamples

        Raises
        ------
        KeyError, TypeError, AttributeError, ValueError
            Values that `as_dict` did not write: one is missing, or of another kind.

        Examples
        --------
        >>> CategoryExamples.from_dict({"category": "taxi", "examples": [], "phrase": "yellow taxi"}).phrase
        'yellow taxi'
        """
        examples = tuple(Example.from_dict(example) for example in values["examples"])
        background = tuple(_float32(cell) for cell in values.get("background", ()))
        exemplars = tuple(ImageExemplars.from_dict(one) for one in values.get("exemplars", ()))
        return cls(values["category"], examples, background, values.get("phrase", ""), exemplars)
