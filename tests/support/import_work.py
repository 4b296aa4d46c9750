"""Pictures, and files of other tools to import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samnb import Session
from tests.support.export_work import SIZE


def drawn(path: Path, *, seed: int = 0, orientation: int = 1, size_hw: tuple[int, int] = SIZE) -> Path:
    """A picture of that size when upright; its file lies as the orientation says."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), np.uint8)
    lying = Image.fromarray(pixels)
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
    if orientation in back:
        lying = lying.transpose(back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    lying.save(path, exif=exif)
    return path


def contents(session: Session) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each image's name, and its objects from the lowest to the topmost."""
    found = []
    for image in session.images():
        objects = sorted(session.annotations(image=image), key=lambda one: (one.layer, one.id))
        found.append((image.filename, [(one.category, str(one.record.rle)) for one in objects]))
    return found


def coco_file(path: Path, annotations: list[Any], **more: Any) -> Path:
    images = [{"id": 1, "file_name": "left/a.png", "height": SIZE[0], "width": SIZE[1]}]
    records = [
        {"id": n, "image_id": 1, "category_id": 7} | one if isinstance(one, dict) else one
        for n, one in enumerate(annotations, 1)
    ]
    document = {"images": images, "annotations": records, "categories": [{"id": 7, "name": "coin"}]}
    path.write_text(json.dumps(document | more))
    return path


def labelme_file(path: Path, shapes: list[Any], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"imagePath": "münze 1.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    path.write_text(json.dumps(about | {"shapes": shapes} | more), encoding="utf-8")
    return path


def polygon(x: int, y: int, side: int) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]
