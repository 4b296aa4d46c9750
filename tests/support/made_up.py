"""Rows for a catalog: pictures that were never taken, and what somebody saw on them."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from samnb.records import ImageRecord, NewAnnotation, NewImage


def digest(*words: object) -> str:
    return sha256(repr(words).encode()).hexdigest()


def picture(number: int, **changes: Any) -> NewImage:
    new = NewImage(
        path=f"/photos/img{number}.jpg",
        filename=f"img{number}.jpg",
        content_hash=digest("content", number),
        pixel_hash=digest("pixels", number),
        perceptual_hash=digest("looks", number),
        width=640,
        height=480,
        size_bytes=1000 + number,
        mtime_ns=1_700_000_000_000_000_000 + number,
        inode=number,
    )
    return replace(new, **changes)


def coin(image: ImageRecord, **changes: Any) -> NewAnnotation:
    rle = {"size": [480, 640], "counts": [10, 20, 307170]}
    new = NewAnnotation(image.id, "coin", rle, (0, 10, 1, 20), 20, 0.94, "hand", {"points": [[0.0, 12.5]]}, "tiny-abc")
    return replace(new, **changes)
