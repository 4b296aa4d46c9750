"""Records and masks for tests of exports: a ring with holes, one pixel, squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from samnb.masks import encode_rle, mask_area, mask_bbox
from samnb.records import AnnotationRecord, ImageRecord

SIZE = (40, 60)


def image(number: int, filename: str, *, dataset: str = "monday", folder: str = "photos") -> ImageRecord:
    return ImageRecord(
        id=f"{number:032x}",
        dataset=dataset,
        dataset_id=dataset,
        filename=filename,
        path=f"/{folder}/{filename}",
        content_hash="c" * 64,
        pixel_hash="d" * 64,
        perceptual_hash="e" * 64,
        width=SIZE[1],
        height=SIZE[0],
        size_bytes=1,
        mtime_ns=1,
        inode=1,
        embedding_cached=False,
        position=number,
    )


def annotation(number: int, on: ImageRecord, category: str, mask: np.ndarray, **values: Any) -> AnnotationRecord:
    return AnnotationRecord(
        id=number,
        image_id=on.id,
        image=on.filename,
        dataset=on.dataset,
        category=category,
        rle=encode_rle(mask),
        bbox=mask_bbox(mask),
        area=mask_area(mask),
        score=values.get("score", 0.9),
        source=values.get("source", "prompt"),
        prompt={},
        model="",
        created_at="2024-01-01T00:00:00+00:00",
        layer=values.get("layer", 0),
    )


def ring() -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(x - 25, y - 20)
    mask = (distance < 16) & (distance > 7)
    mask[19:22, 9:40:4] ^= True
    return mask


def dot() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[39, 59] = True
    return mask


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask
