from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from samnb.masks import encode_rle, mask_bbox
from samnb.masks.rle import encode_part_rle
from samnb.proposals.covered import uncovered
from samnb.records import AnnotationRecord, ProposalRecord


def square(x: int, y: int, side: int, size: int = 60) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def proposal(mask: np.ndarray) -> ProposalRecord:
    shape: Any = {"rle": encode_rle(mask), "bbox": mask_bbox(mask), "area": int(mask.sum())}
    about: Any = {"pixel_hash": "", "model": "", "search": "", "query": {}, "review": "", "created_at": ""}
    return ProposalRecord(id=1, **shape, **about, score=1.0, prompt={}, stability=1.0)


def annotation(mask: np.ndarray, id: int = 1) -> AnnotationRecord:
    shape: Any = {"rle": encode_rle(mask), "bbox": mask_bbox(mask), "area": int(mask.sum())}
    about: Any = {"image_id": "", "image": "", "dataset": "", "category": "", "source": "", "model": ""}
    return AnnotationRecord(id=id, **shape, **about, score=1.0, prompt={}, created_at="")


@pytest.mark.parametrize(
    ("other", "offered"),
    [
        (square(10, 10, 20), False),
        (square(12, 10, 20), False),  # IoU 0.82
        (square(20, 10, 20), True),  # 0.33
        (square(10, 10, 8), True),  # a part
        (square(5, 5, 45), True),  # a whole
        (square(40, 40, 20), True),
        (square(10, 10, 20, size=61), True),  # of an earlier picture
    ],
)
def test_the_same_object_is_not_offered(other: np.ndarray, offered: bool) -> None:
    one = proposal(square(10, 10, 20))
    assert uncovered([one], [annotation(square(40, 0, 9)), annotation(other, 2)]) == ([one] if offered else [])


def test_masks_of_a_large_picture_are_not_decoded() -> None:
    """One of 100 megapixels takes 100 MB, and after many objects were taken each proposal has its annotation."""
    size = (10_000, 10_000)
    places = [(x, y) for x in range(0, 1000, 100) for y in range(0, 500, 100)]
    shapes: list[Any] = [
        {"rle": encode_part_rle(np.ones((80, 80), bool), place, size), "bbox": (*place, 80, 80), "area": 6400}
        for place in places
    ]
    proposals = [replace(proposal(square(1, 1, 1)), **shape) for shape in shapes]
    annotations = [replace(annotation(square(1, 1, 1), n), **shape) for n, shape in enumerate(shapes)]
    tracemalloc.start()
    assert uncovered(proposals, annotations[1:]) == proposals[:1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
