"""Which pictures look alike: perceptual hashes compared in blocks, groups round a representative.

Grouping never goes from neighbour to neighbour: in a slow pan every frame is like the next, and the first has nothing
to do with the last. So everything in a group is near its representative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .looks import FLAT, PERCEPTUAL_VERSION
from .records import ImageRecord

__all__ = ["THRESHOLD", "Lookalike", "NearGroup", "Search", "as_words", "near_groups", "within"]

THRESHOLD = 51
"""Bits of 256 two near duplicates may differ in. At 31 and fewer it is almost surely the same picture."""

_ROWS, _COLUMNS = 64, 4096  # a block of 64-bit words that fits a processor's cache

Words = NDArray[np.uint64]
Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Lookalike:
    """An image, and in how many of 256 bits its perceptual hash differs from its group's representative."""

    image: ImageRecord
    distance: int


@dataclass(frozen=True)
class NearGroup:
    """Images that look alike: the representative, which is the largest, and the others, the nearest first."""

    representative: ImageRecord
    others: tuple[Lookalike, ...]

    @property
    def images(self) -> tuple[ImageRecord, ...]:
        """All of them, the representative first."""
        return (self.representative, *(other.image for other in self.others))


@dataclass(frozen=True)
class Search:
    """The groups, and what was left out of the search.

    Parameters
    ----------
    groups : tuple of NearGroup
        By the place of their representatives in the catalog.
    compared : int
        Pictures with different pixels that were compared.
    flat : int
        With too little in them to be compared.
    unhashed : int
        Without a perceptual hash of this version.
    """

    groups: tuple[NearGroup, ...]
    compared: int
    flat: int
    unhashed: int


def near_groups(images: Sequence[ImageRecord], threshold: int = THRESHOLD) -> Search:
    """Groups of images that look alike and have different pixels.

    Parameters
    ----------
    images : sequence of ImageRecord
        Of several with the same pixels, the first stands for all.
    threshold : int
        Bits that may differ, 0 to 255.

    Raises
    ------
    ValueError
        Another threshold.
    """
    if not 0 <= threshold <= 255:
        raise ValueError(f"threshold: expected 0 to 255 differing bits of 256; got {threshold}.")
    hashed = [image for image in images if image.perceptual_version == PERCEPTUAL_VERSION]
    distinct = list({image.pixel_hash: image for image in reversed(hashed)}.values())[::-1]
    telling = [image for image in distinct if image.perceptual_detail >= FLAT]
    place = {image.id: number for number, image in enumerate(images)}
    # The largest first, so that the original is what its thumbnails are near to.
    telling.sort(key=lambda image: (-image.width * image.height, place[image.id]))
    stars = _stars(as_words([image.perceptual_hash for image in telling]), threshold)
    groups = [
        NearGroup(telling[center], tuple(Lookalike(telling[other], distance) for distance, other in sorted(others)))
        for center, others in stars
    ]
    groups.sort(key=lambda group: place[group.representative.id])
    return Search(tuple(groups), len(telling), len(distinct) - len(telling), len(images) - len(hashed))


def as_words(hashes: Sequence[str]) -> Words:
    """Perceptual hashes as (N, 4) 64-bit words.

    >>> as_words(["f" * 64]).shape
    (1, 4)
    """
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4)


def within(words: Words, queries: Words, threshold: int) -> Found:
    """Which stored hashes are near which queries.

    Parameters
    ----------
    words : (N, 4) uint64
    queries : (Q, 4) uint64
    threshold : int

    Returns
    -------
    query, stored, distance : three (M,) int64
        One place for each pair, by query and stored.

    Examples
    --------
    >>> stored = as_words(["0" * 64, "f" * 64, "7" + "0" * 63])
    >>> [part.tolist() for part in within(stored, stored[:1], 51)]
    [[0, 0], [0, 2], [0, 3]]
    """
    nothing = np.empty(0, np.int64)
    found = [(nothing, nothing, nothing)]
    for first in range(0, len(queries), _ROWS):
        for start in range(0, len(words), _COLUMNS):
            block = _block(words[start : start + _COLUMNS], queries[first : first + _ROWS], threshold)
            found.append((block[0] + first, block[1] + start, block[2]))
    query, stored, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((stored, query))
    return query[order], stored[order], distance[order]


def _block(words: Words, queries: Words, threshold: int) -> Found:
    half = _bits(queries[:, None, 0] ^ words[None, :, 0]) + _bits(queries[:, None, 1] ^ words[None, :, 1])
    # Of unrelated pictures, one pair in a hundred is still near after half of its bits: only those are finished.
    query, stored = np.nonzero(half <= threshold)
    rest = _bits(queries[query, 2:] ^ words[stored, 2:]).sum(axis=1, dtype=np.int64)
    distance = half[query, stored] + rest
    near = distance <= threshold
    return query[near], stored[near], distance[near]


def _stars(words: Words, threshold: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """(center, [(distance, other)]): each that is in no group yet, in order, takes what is near it and in none."""
    free = np.ones(len(words), bool)
    for first in range(0, len(words), _ROWS):
        rows = np.flatnonzero(free[first : first + _ROWS]) + first
        columns = np.flatnonzero(free[first:]) + first
        query, stored, distance = within(words[columns], words[rows], threshold)
        bounds = np.searchsorted(query, np.arange(len(rows) + 1))
        for number, center in enumerate(rows):
            if not free[center]:
                continue
            free[center] = False
            span = slice(bounds[number], bounds[number + 1])
            others = columns[stored[span]]
            open_ones = free[others] & (others > center)
            if open_ones.any():
                free[others[open_ones]] = False
                yield (
                    int(center),
                    list(zip(distance[span][open_ones].tolist(), others[open_ones].tolist(), strict=True)),
                )


def _bits_by_table(values: Words) -> NDArray[Any]:
    counts = np.array([number.bit_count() for number in range(256)], np.uint8)
    return counts[np.ascontiguousarray(values)[..., None].view(np.uint8)].sum(axis=-1, dtype=np.uint8)


_bits = getattr(np, "bitwise_count", _bits_by_table)  # NumPy 2 has it as one instruction
