"""Groups of proposals that look alike."""

from __future__ import annotations

import time

import numpy as np
import pytest

from samnb.proposals.grouping import LARGER, group_alike


def joined_one_by_one(means: np.ndarray, areas: np.ndarray, alike: float) -> list[list[int]]:
    """Average linkage as it is defined: of all pairs of groups, the most alike are joined."""
    groups = [[number] for number in range(len(means))]
    cosines = (means @ means.T).astype(float)
    cosines[np.abs(np.subtract.outer(np.log(areas), np.log(areas))) > np.log(LARGER)] = -np.inf
    while len(groups) > 1:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        likeness = [cosines[np.ix_(groups[i], groups[j])].mean() for i, j in pairs]
        if max(likeness) < alike:
            break
        i, j = pairs[int(np.argmax(likeness))]
        groups[j] += groups.pop(i)
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group[0]))


@pytest.mark.parametrize("alike", [-1.0, 0.2, 0.6, 0.9])
def test_groups_are_those_of_average_linkage(alike: float) -> None:
    random = np.random.default_rng(1)
    for count in (1, 2, 12, 25):
        means = random.normal(size=(count, 6))
        means[:, 0] += 1
        means = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
        areas = np.exp(random.normal(size=count))
        assert group_alike(means, areas, alike=alike) == joined_one_by_one(means, areas, alike)


def test_nothing_has_no_groups() -> None:
    assert group_alike(np.zeros((0, 4), np.float32), []) == []


def test_two_thousand_masks_take_seconds() -> None:
    random = np.random.default_rng(0)
    means = random.normal(size=(2000, 32)).astype(np.float32)
    means[:, 0] += 6
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    started = time.process_time()
    groups = group_alike(means, np.ones(len(means)))
    assert time.process_time() - started < 60
    assert sorted(number for group in groups for number in group) == list(range(2000))
