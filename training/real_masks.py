"""Bring pictures with masks of others into the layout that training reads; see training/REAL_MASKS.md.

``masks`` takes a folder of pictures and one of mask files: ``NAME.png`` with a number for each object, or a folder
``NAME/`` with a file for each. ``coco`` takes an annotation file of COCO's kind; ``--licences`` keeps pictures of these
licence numbers only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

LONGEST, QUALITY = 640, 92
"""Longest side in pixels, and quality of the JPEG files."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}


def write_pair(out: Path, name: str, picture: Image.Image, labels: np.ndarray) -> int:
    """Write one picture and its (H, W) labels, scaled down; returns how many objects there are."""
    size = (picture.height, picture.width)
    if labels.shape != size:
        raise ValueError(f"{name}: the picture is {size}, its labels {labels.shape} (H, W)")
    small = picture.convert("RGB")
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    marks = cv2.resize(labels.astype(np.int32), small.size, interpolation=cv2.INTER_NEAREST_EXACT)
    numbers, marks = np.unique(marks, return_inverse=True)
    if numbers[0] != 0:
        marks = marks + 1
    marks = marks.reshape(small.height, small.width)
    for part in ("images", "labels"):
        (out / part).mkdir(parents=True, exist_ok=True)
    small.save(out / "images" / f"{name}.jpg", quality=QUALITY)
    depth = np.uint8 if marks.max() < 256 else np.uint16
    cv2.imwrite(str(out / "labels" / f"{name}.png"), marks.astype(depth))
    return int(marks.max())


def read_masks(path: Path) -> np.ndarray:
    """(H, W) labels from a file of numbers, or from a folder with a file for each object."""
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES)
        layers = [np.asarray(Image.open(one).convert("L")) > 127 for one in files]
        labels = np.zeros(layers[0].shape, np.int32)
        for number, layer in enumerate(layers, 1):
            labels[layer] = number
        return labels
    labels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.int32)
    if labels.ndim == 3:
        raise ValueError(f"{path}: expected one number a pixel, got colours of shape {labels.shape}")
    if set(np.unique(labels)) <= {0, 255}:  # black and white: each piece is an object
        labels = np.asarray(cv2.connectedComponents((labels > 0).astype(np.uint8))[1], np.int32)
    return labels


def from_masks(images: Path, masks: Path, out: Path) -> dict[str, int]:
    """Take pictures and mask files of the same names; pictures without masks are left out."""
    counts = {"images": 0, "objects": 0}
    for path in sorted(one for one in images.iterdir() if one.suffix.lower() in SUFFIXES):
        found = next((one for one in (masks / path.stem, *masks.glob(f"{path.stem}.*")) if one.exists()), None)
        if found is not None:
            counts["objects"] += write_pair(out, path.stem, Image.open(path), read_masks(found))
            counts["images"] += 1
    return counts


def from_coco(annotations: Path, images: Path, out: Path, licences: Iterable[int] = ()) -> dict[str, int]:
    """Take pictures and polygons of a COCO file; crowds are left out, small objects lie over large ones."""
    told: dict[str, Any] = json.loads(annotations.read_text())
    wanted, counts = set(licences), {"images": 0, "objects": 0}
    objects: dict[int, list[dict[str, Any]]] = {}
    for one in told["annotations"]:
        if not one.get("iscrowd") and isinstance(one.get("segmentation"), list):
            objects.setdefault(one["image_id"], []).append(one)
    for record in told["images"]:
        path = images / record["file_name"]
        mine = sorted(objects.get(record["id"], []), key=lambda one: -one["area"])
        if not mine or not path.exists() or (wanted and record.get("license") not in wanted):
            continue
        picture = Image.open(path)
        layer = Image.new("I", picture.size)
        brush = ImageDraw.Draw(layer)
        for number, one in enumerate(mine, 1):
            for polygon in one["segmentation"]:
                if len(polygon) >= 6:
                    brush.polygon(polygon, fill=number)
        counts["objects"] += write_pair(out, path.stem, picture, np.asarray(layer))
        counts["images"] += 1
    return counts


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("masks", "coco"))
    parser.add_argument("paths", nargs=2, type=Path, help="IMAGES MASKS, or ANNOTATIONS.json IMAGES")
    parser.add_argument("--out", type=Path, required=True, help="folder of this source")
    parser.add_argument("--licences", nargs="*", type=int, default=[], help="of COCO: 4, 5, 7 and 8 are free")
    arguments = parser.parse_args()
    if arguments.kind == "masks":
        print(from_masks(*arguments.paths, arguments.out))
    else:
        print(from_coco(*arguments.paths, arguments.out, arguments.licences))


if __name__ == "__main__":
    main()
