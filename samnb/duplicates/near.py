"""Groups pictures that look alike, by their perceptual hashes, around a representative.

Groups are never chained from neighbour to neighbour: in a slow pan every frame is like the next, but the first is
unlike the last. So everything in a group is near its representative.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..images.perceptual import MIN_DETAIL, PERCEPTUAL_VERSION
from ..records import ImageRecord
from .hamming import Words, as_words, clusters, within

THRESHOLD = 51
"""The number of the 256 bits in which two near duplicates may differ."""

SURE = 31
"""Up to this number of bits it is almost surely the same picture."""

EXACT = 20_000
"""Up to this number of pictures all pairs are compared; above, at thresholds up to `THRESHOLD`: `Search.exact`."""

_ROWS = 64

Verdicts = Mapping[tuple[str, str], bool]
"""By `pair` of the pixel hashes of two pictures: True if they are the same picture, False if not."""

Apart = Mapping[int, set[int]]
Star = tuple[int, list[tuple[int, int]]]  # center, [(distance, other)]


@dataclass(frozen=True)
class Lookalike:
    """An image, and the number of the 256 bits in which it differs from its group's representative.

    `same` is True if a person gave the verdict that it is the same picture as the representative.
    """

    image: ImageRecord
    distance: int
    same: bool = False


@dataclass(frozen=True)
class NearGroup:
    """Images that look alike: the representative, the largest in pixels and then bytes; the others, nearest first."""

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
        Images with too little detail to compare.
    unhashed : int
        Without a perceptual hash of this version.
    exact : bool
        False for more pictures than `EXACT`, because the time to compare all pairs grows with their square. Grouped
        images are near their representative anyway; a few pairs near the threshold may be missed, the share is in
        `benchmarks/near_duplicates.py`.
    """

    groups: tuple[NearGroup, ...]
    compared: int
    flat: int
    unhashed: int
    exact: bool = True


def near_groups(
    images: Sequence[ImageRecord],
    threshold: int = THRESHOLD,
    *,
    verdicts: Verdicts | None = None,
    first: Collection[str] = (),
) -> Search:
    """Groups of images that look alike and have different pixels.

    Parameters
    ----------
    images : sequence of ImageRecord
        Of several with the same pixels, the first stands for all.
    threshold : int
        Bits that may differ, 0 to 255.
    verdicts : mapping, optional
        Different pictures are not put together; those said to be the same are marked.
    first : collection of str
        Pixel hashes of images that represent their group even if others are larger.

    Raises
    ------
    ValueError
        An invalid threshold.
    """
    if not 0 <= threshold <= 255:
        raise ValueError(f"threshold: expected 0 to 255 differing bits of 256; got {threshold}.")
    hashed = [image for image in images if image.perceptual_version == PERCEPTUAL_VERSION]
    distinct = list({image.pixel_hash: image for image in reversed(hashed)}.values())[::-1]
    telling = [image for image in distinct if image.perceptual_detail >= MIN_DETAIL]
    place = {image.id: number for number, image in enumerate(images)}
    # The largest first, so that the original is the representative of its thumbnails.
    telling.sort(key=lambda image: (image.pixel_hash not in first, *smallness(image), place[image.id]))
    verdicts = verdicts or {}
    exact = len(telling) <= EXACT or threshold > THRESHOLD
    stars = _stars if exact else _stars_of_clusters
    words = as_words([image.perceptual_hash for image in telling])
    groups = [
        _group(telling[center], [(distance, telling[other]) for distance, other in sorted(others)], verdicts)
        for center, others in stars(words, threshold, _apart(telling, verdicts))
    ]
    groups.sort(key=lambda group: place[group.representative.id])
    return Search(tuple(groups), len(telling), len(distinct) - len(telling), len(images) - len(hashed), exact)


def pair(first: ImageRecord, second: ImageRecord) -> tuple[str, str]:
    """The pixel hashes of two images, the smaller first."""
    one, other = sorted((first.pixel_hash, second.pixel_hash))
    return one, other


def smallness(image: ImageRecord) -> tuple[int, int]:
    """Sort key: the most pixels first, then the larger file."""
    return -image.width * image.height, -image.size_bytes


def in_words(distance: int) -> str:
    """The meaning of a distance in bits, in words.

    >>> in_words(12), in_words(40), in_words(120)
    ('almost surely the same picture', 'probably the same picture, changed', 'another picture, by its looks')
    """
    if distance <= SURE:
        return "almost surely the same picture"
    if distance <= THRESHOLD:
        return "probably the same picture, changed"
    return "perhaps the same picture" if distance < 90 else "another picture, by its looks"


def _group(representative: ImageRecord, others: Sequence[tuple[int, ImageRecord]], verdicts: Verdicts) -> NearGroup:
    marked = (Lookalike(other, bits, verdicts.get(pair(representative, other), False)) for bits, other in others)
    return NearGroup(representative, tuple(marked))


def _stars(words: Words, threshold: int, apart: Apart) -> Iterator[Star]:
    """In order, each ungrouped picture forms a group with the ungrouped pictures near it."""
    free = np.ones(len(words), bool)
    for first in range(0, len(words), _ROWS):
        rows = np.flatnonzero(free[first : first + _ROWS]) + first
        columns = np.flatnonzero(free[first:]) + first
        query, stored, distance = within(words[columns], words[rows], threshold)
        bounds = np.searchsorted(query, np.arange(len(rows) + 1))
        for number, center in enumerate(rows.tolist()):
            if not free[center]:
                continue
            free[center] = False
            span = slice(bounds[number], bounds[number + 1])
            others = columns[stored[span]]
            open_ones = free[others] & (others > center)
            if center in apart:
                open_ones &= ~np.isin(others, list(apart[center]))
            if open_ones.any():
                free[others[open_ones]] = False
                yield (
                    center,
                    list(zip(distance[span][open_ones].tolist(), others[open_ones].tolist(), strict=True)),
                )


def _stars_of_clusters(words: Words, threshold: int, apart: Apart) -> Iterator[Star]:
    """The same among very many: only pictures of one cluster of `clusters` are compared."""
    for members in clusters(words, threshold):
        places = members.tolist()
        there = {place: number for number, place in enumerate(places)}
        inside = {there[p]: {there[o] for o in apart[p] if o in there} for p in places if p in apart}
        for center, others in _stars(words[members], threshold, inside):
            yield places[center], [(distance, places[other]) for distance, other in others]


def _apart(images: Sequence[ImageRecord], verdicts: Verdicts) -> Apart:
    """For each place, the places of pictures that differ from it."""
    place = {image.pixel_hash: number for number, image in enumerate(images)}
    apart: dict[int, set[int]] = {}
    for (first, second), same in verdicts.items():
        if not same and first in place and second in place:
            apart.setdefault(place[first], set()).add(place[second])
            apart.setdefault(place[second], set()).add(place[first])
    return apart
