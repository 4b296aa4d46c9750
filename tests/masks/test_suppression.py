from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samnb.masks.suppression import suppress

corner = st.integers(0, 12)
boxes = st.lists(st.tuples(corner, corner, corner, corner, st.integers(0, 5)), max_size=12)


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - common
    return common / union if union else 0.0


@given(boxes, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_it_is_greedy_by_score(rows: list[tuple[int, ...]], max_iou: float) -> None:
    corners = [(x, y, x + w, y + h) for x, y, w, h, _ in rows]
    scores = [row[4] for row in rows]
    kept: list[int] = []
    for number in sorted(range(len(rows)), key=lambda n: -scores[n]):
        if all(iou(corners[number], corners[other]) <= max_iou for other in kept):
            kept.append(number)
    assert suppress(np.array(corners).reshape(-1, 4), scores, max_iou) == kept


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (5, 5, 5, 9)])
def test_a_box_without_an_area_overlaps_with_nothing(box: tuple[int, ...]) -> None:
    assert suppress([box, box], [1, 2], 0.5) == [1, 0]
