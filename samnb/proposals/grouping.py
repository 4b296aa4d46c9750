"""Groups of proposals that look alike, by the features of the image inside their masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.6
"""Mean cosine of two groups' features from which they are one group."""

LARGER = 4.0
"""Ratio of areas from which two masks are never alike: a part is not like its whole, whatever its features."""


def group_alike(
    means: NDArray[np.float32], areas: Sequence[float] | NDArray[np.float64], *, alike: float = ALIKE
) -> list[list[int]]:
    """Cluster masks by their mean features: average linkage of cosines, the largest group first.

    Parameters
    ----------
    means : (N, C) float32
        Of length 1 each.
    areas : (N,)
        Of the masks; those of the same image, or as shares of their images.
    alike : float
        -1 to 1: groups are joined down to this mean cosine.

    Returns
    -------
    list of list of int
        Each index once; in a group in ascending order.

    Examples
    --------
    >>> group_alike(np.array([[1, 0], [0, 1], [1, 0]], "f"), [10, 10, 12])
    [[0, 2], [1]]
    """
    count = len(means)
    if not count:
        return []
    groups = {number: [number] for number in range(count)}
    # Sums of cosines between groups; dividing by both sizes gives the mean.
    sums = np.asarray(means @ means.T, np.float64)
    logs = np.log(np.maximum(np.asarray(areas, np.float64), 1e-9))
    sums[np.abs(logs[:, None] - logs[None]) > np.log(LARGER)] = -np.inf
    np.fill_diagonal(sums, -np.inf)
    sizes = np.ones(count)
    # Of each group, the mean cosine with the one that is most like it, and which that is: a search through all pairs
    # for each join would take minutes for a few thousand masks.
    nearest = sums.argmax(1)
    best = sums[np.arange(count), nearest]
    while np.isfinite(best.max()) and best.max() >= alike:
        one = int(best.argmax())
        other = int(nearest[one])
        sums[one] += sums[other]
        sums[:, one] = sums[one]
        sums[one, one] = -np.inf
        sums[other] = sums[:, other] = best[other] = -np.inf
        sizes[one] += sizes[other]
        groups[one] += groups.pop(other)
        changed = np.fromiter((number for number in groups if number == one or nearest[number] in (one, other)), int)
        means_now = sums[changed] / (sizes[changed, None] * sizes[None])
        nearest[changed] = means_now.argmax(1)
        best[changed] = means_now.max(1)
    return sorted((sorted(group) for group in groups.values()), key=lambda group: (-len(group), group[0]))
