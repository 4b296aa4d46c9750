"""Pictures and masks of others come out in one layout."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from training.real_masks import from_coco, from_masks, read_masks


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (1280, 640), (10, 200, 30)).save(folder / f"{name}.png")
    return folder


def test_a_file_of_numbers_or_of_black_and_white_or_a_folder(images: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (masks / "b").mkdir(parents=True)
    labels = np.zeros((640, 1280), np.uint8)
    labels[100:300, 100:300], labels[400:500, 600:900] = 7, 9
    cv2.imwrite(str(masks / "a.png"), labels)
    for number in (7, 9):
        cv2.imwrite(str(masks / "b" / f"{number}.png"), (labels == number) * np.uint8(255))
    assert from_masks(images, masks, tmp_path / "out") == {"images": 2, "objects": 4}
    for name in ("a", "b"):
        found = cv2.imread(str(tmp_path / "out" / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert found.shape == (320, 640)
        assert found[100, 100] == 1
        assert found[225, 375] == 2
        assert found[0, 0] == 0
    cv2.imwrite(str(masks / "c.png"), (labels > 0) * np.uint8(255))
    assert read_masks(masks / "c.png").max() == 2


def test_coco_polygons_of_free_licences(images: Path, tmp_path: Path) -> None:
    square = [0, 0, 400, 0, 400, 400, 0, 400]
    inner = [100, 100, 200, 100, 200, 200, 100, 200]
    told = {
        "images": [
            {"id": 1, "file_name": "a.png", "license": 4},
            {"id": 2, "file_name": "b.png", "license": 1},
        ],
        "annotations": [
            {"image_id": 1, "segmentation": [inner], "area": 1e4, "iscrowd": 0},
            {"image_id": 1, "segmentation": [square], "area": 16e4, "iscrowd": 0},
            {"image_id": 1, "segmentation": {"counts": []}, "area": 9e9, "iscrowd": 1},
            {"image_id": 2, "segmentation": [square], "area": 16e4, "iscrowd": 0},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(told))
    assert from_coco(tmp_path / "coco.json", images, tmp_path / "out", [4, 5]) == {"images": 1, "objects": 2}
    found = cv2.imread(str(tmp_path / "out" / "labels" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert found[75, 75] == 2
    assert found[20, 20] == 1
    assert found[300, 600] == 0
