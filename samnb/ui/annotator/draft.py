"""`Draft`: the object being edited and not saved yet, as one immutable value: prompt, choice, paint. No widgets."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...encoding.regions import Region
from ...masks.geometry import Mask
from ...masks.part import MaskPart
from ...masks.polygons import fill_polygon
from ...prompts import Point, Prompt


@dataclass(frozen=True)
class PackedMask:
    """A mask in few bytes, compared by its pixels: a history holds hundreds.

    Examples
    --------
    >>> mask = np.eye(3, dtype=bool)
    >>> PackedMask.of(mask) == PackedMask.of(mask.copy()), bool((PackedMask.of(mask).mask == mask).all())
    (True, True)
    """

    size_hw: tuple[int, int]
    bbox: tuple[int, int, int, int]
    bits: bytes

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> PackedMask:
        """Pack an (H, W) bool mask."""
        return cls.of_part(MaskPart.of(mask))

    @classmethod
    def of_part(cls, part: MaskPart) -> PackedMask:
        """Pack the part of a mask inside its box."""
        return cls(part.size_hw, part.bbox, zlib.compress(np.packbits(part.mask).tobytes(), 1))

    @property
    def mask(self) -> Mask:
        """The (H, W) bool mask."""
        return self.part.inside((0, 0, self.size_hw[1], self.size_hw[0]))

    @property
    def part(self) -> MaskPart:
        """The mask inside its box."""
        x, y, width, height = self.bbox
        bits = np.unpackbits(np.frombuffer(zlib.decompress(self.bits), np.uint8), count=width * height)
        return MaskPart(bits.reshape(height, width).astype(bool), (x, y), self.size_hw)

    @property
    def empty(self) -> bool:
        """True for a mask without pixels."""
        return not self.bbox[2]


@dataclass(frozen=True)
class PackedLogits:
    """Low-resolution logits that the model gets with the next click, as float16."""

    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, logits: NDArray[np.float32]) -> PackedLogits:
        """Pack (h, w) floats."""
        return cls(logits.shape, logits.astype(np.float16).tobytes())

    @property
    def array(self) -> NDArray[np.float32]:
        """(h, w) float32."""
        return np.frombuffer(self.data, np.float16).reshape(self.shape).astype(np.float32)


Request = tuple[Prompt, PackedLogits | None, Region | None]


@dataclass(frozen=True)
class Draft:
    """One object being edited. Its mask is the model's prediction, or `drawn`, with the paint on top.

    Parameters
    ----------
    prompt : Prompt
        Empty at the start.
    hint : PackedLogits, optional
        Logits of the mask shown when the last point was added; the model gets them with the prompt.
    region : (x0, y0, x1, y1), optional
        The part of the image that the model gets; None: all of it.
    chosen : int, optional
        Candidate mask, counted from 0; None: the automatic choice.
    drawn : PackedMask, optional
        Used instead of the model's prediction: the mask of an edited annotation, until its prompt changes.
    score : float
        Of `drawn`.
    added, removed : PackedMask, optional
        Pixels that strokes and tools added or removed; they stay when the prompt changes.
    replaces : int, optional
        Id of the annotation that is edited.
    attributes : tuple of (name, value), optional
        Set for when it is accepted; None: those of the edited annotation stay.
    ring : tuple of (x, y)
        Vertices of a polygon that is still being drawn, image pixels; its pixels count as added.

    Examples
    --------
    >>> draft = Draft().with_prompt(Prompt.of(points=[(1, 1)]))
    >>> bool(Draft()), bool(draft), draft.needs_model
    (False, True, True)
    >>> draft = draft.painted(np.zeros((2, 2), bool), np.eye(2, dtype=bool))
    >>> draft.composed(None, (2, 2)).astype(int).tolist()
    [[1, 0], [0, 1]]
    """

    prompt: Prompt = field(default_factory=Prompt)
    hint: PackedLogits | None = None
    chosen: int | None = None
    drawn: PackedMask | None = None
    score: float = 1.0
    added: PackedMask | None = None
    removed: PackedMask | None = None
    replaces: int | None = None
    region: Region | None = None
    attributes: tuple[tuple[str, bool | str], ...] | None = None
    ring: tuple[Point, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.prompt) or self.drawn is not None or self.added is not None or bool(self.ring)

    @property
    def needs_model(self) -> bool:
        """True if the mask comes from the model."""
        return bool(self.prompt) and self.drawn is None

    @property
    def is_painted(self) -> bool:
        """True if the mask differs from the model's."""
        return self.drawn is not None or self.added is not None or self.removed is not None or bool(self.ring)

    @property
    def request(self) -> Request:
        """The values that the model's prediction depends on."""
        return self.prompt, self.hint, self.region

    def with_prompt(self, prompt: Prompt, *, hint: PackedLogits | None = None, region: Region | None = None) -> Draft:
        """The same object with another prompt."""
        return replace(self, prompt=prompt, hint=hint, region=region, chosen=None, drawn=None)

    def painted(self, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Draft:
        """Add the difference between the mask `before`, which this draft composes, and `after` as paint."""
        plus, minus = after & ~before, before & ~after
        added = (self._paint(self.added, before) | plus) & ~minus
        removed = (self._paint(self.removed, before) | minus) & ~plus
        return replace(self, added=_packed(added), removed=_packed(removed))

    def composed(self, base: NDArray[np.bool_] | None, size_hw: tuple[int, int]) -> Mask:
        """The (H, W) mask: `drawn` or else the model's `base`, without what was removed, with what was added."""
        if self.drawn is not None:
            base = self.drawn.mask
        mask = np.zeros(size_hw, bool) if base is None else base
        if self.removed is not None:
            mask = mask & ~self.removed.mask
        if self.added is not None:
            mask = mask | self.added.mask
        return mask | self._inside(size_hw) if self.ring else mask

    def closed(self, size_hw: tuple[int, ...]) -> Draft:
        """The same object with its polygon, if one is being drawn, as paint."""
        if not self.ring:
            return self
        inside = self._inside(size_hw)
        return replace(self.painted(np.zeros_like(inside), inside), ring=())

    def _inside(self, size_hw: tuple[int, ...]) -> Mask:
        height, width = size_hw
        if len(self.ring) < 3:
            return np.zeros((height, width), bool)
        return fill_polygon(np.array(self.ring, np.float64), (height, width))

    @staticmethod
    def _paint(paint: PackedMask | None, like: NDArray[np.bool_]) -> Mask:
        return np.zeros_like(like) if paint is None else paint.mask


def _packed(mask: NDArray[np.bool_]) -> PackedMask | None:
    packed = PackedMask.of(mask)
    return None if packed.empty else packed
