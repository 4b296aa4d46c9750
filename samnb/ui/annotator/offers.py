"""`Offers`: the proposals on the image shown, and which of them lie at a place. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, hypot
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...masks.part import MaskPart

if TYPE_CHECKING:
    from ...proposals import Proposal
    from .annotation_outlines import Outlines

SHARED = 0.7
"""Share of the smaller of two offers that lies in the other, from which one stroke takes only the one with the
better score: a coin and its relief are one thing there."""

_STEP = 2.0  # image pixels between the places of a drag that are looked at


@dataclass(frozen=True, eq=False)
class Offer:
    """One proposal, its mask inside its box, and its outlines.

    Parameters
    ----------
    proposal : Proposal
    part : (h, w) bool
        The mask inside the proposal's bbox: whole masks of a large picture would take gigabytes.
    outlines : tuple of Polygon
        In image pixels.
    """

    proposal: Proposal
    part: NDArray[np.bool_]
    outlines: Outlines

    @classmethod
    def of(cls, proposal: Proposal, outline: Callable[[MaskPart], Outlines]) -> Offer:
        """Decode a proposal's mask for a moment."""
        part = MaskPart.of_rle(proposal.rle)
        return cls(proposal, part.mask, outline(part))

    def holds(self, x: float, y: float) -> bool:
        """Whether a place, in image pixels, lies in the mask."""
        left, top, width, height = self.proposal.bbox
        column, row = int(x - left), int(y - top)
        return x >= left and y >= top and column < width and row < height and bool(self.part[row, column])

    def holds_each(self, places_xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) bool: `holds` for (N, 2) places."""
        left, top, width, height = self.proposal.bbox
        x, y = places_xy[:, 0] - left, places_xy[:, 1] - top
        held = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        held[held] = self.part[y[held].astype(int), x[held].astype(int)]
        return held

    def shares(self, other: Offer) -> float:
        """The share of the smaller mask that lies in the other one, 0 to 1."""
        (x0, y0), (x1, y1) = ((int(o.proposal.bbox[0]), int(o.proposal.bbox[1])) for o in (self, other))
        left, top = max(x0, x1), max(y0, y1)
        right = min(x0 + self.part.shape[1], x1 + other.part.shape[1])
        bottom = min(y0 + self.part.shape[0], y1 + other.part.shape[0])
        if right <= left or bottom <= top:
            return 0.0
        mine = self.part[top - y0 : bottom - y0, left - x0 : right - x0]
        theirs = other.part[top - y1 : bottom - y1, left - x1 : right - x1]
        return float(np.count_nonzero(mine & theirs) / min(self.proposal.area, other.proposal.area))


class Offers:
    """Offers in the order of their scores, the best first.

    Parameters
    ----------
    offers : sequence of Offer
    """

    def __init__(self, offers: Iterable[Offer] = ()):
        self._offers = sorted(offers, key=lambda offer: -offer.proposal.score)

    def __len__(self) -> int:
        return len(self._offers)

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._offers)

    def at(self, x: float, y: float) -> list[Offer]:
        """Those at a place, in image pixels, from the smallest to the largest: from part to whole."""
        return sorted((offer for offer in self._offers if offer.holds(x, y)), key=lambda offer: offer.proposal.area)

    def touched(self, way: Sequence[tuple[float, float]]) -> list[Offer]:
        """At each place of a way the best one; of two that are nearly one thing, only the better one."""
        places = np.array(list(_dense(way)), float).reshape(-1, 2)
        met = []
        for offer in self._offers:
            held = offer.holds_each(places)
            if held.any():
                met.append(offer)
                places = places[~held]  # worse ones are covered here
        return distinct(met)

    def without(self, ids: set[int]) -> Offers:
        """The others."""
        return Offers(offer for offer in self._offers if offer.proposal.id not in ids)


def distinct(offers: Iterable[Offer]) -> list[Offer]:
    """Offers by score, the best first; of two that are nearly one thing, or where one holds the other, the better."""
    kept: list[Offer] = []
    for offer in sorted(offers, key=lambda each: -each.proposal.score):
        if all(offer.shares(other) < SHARED for other in kept):
            kept.append(offer)
    return kept


def _dense(way: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    yield from way[:1]
    for (x0, y0), (x1, y1) in pairwise(way):
        steps = max(1, ceil(hypot(x1 - x0, y1 - y0) / _STEP))
        yield from ((x0 + (x1 - x0) * n / steps, y0 + (y1 - y0) * n / steps) for n in range(1, steps + 1))
