import os

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageChanged
from samnb.images import change_check, content_hash, pixel_hash
from samnb.images.change_check import ChangeCheck
from samnb.records import ImageRecord


@pytest.fixture
def image(tmp_path):
    path, pixels = tmp_path / "a.png", np.full((3, 4, 3), 7, np.uint8)
    Image.fromarray(pixels).save(path)
    found = path.stat()
    return ImageRecord(
        id="1", dataset="monday", dataset_id="1", filename=path.name, path=str(path), content_hash=content_hash(path),
        pixel_hash=pixel_hash(pixels), perceptual_hash="", width=4, height=3, size_bytes=found.st_size,
        mtime_ns=found.st_mtime_ns, inode=found.st_ino, embedding_cached=True, position=0,
    )  # fmt: skip


def test_an_unchanged_file_is_not_read(image, monkeypatch):
    monkeypatch.setattr(change_check, "content_hash", None)
    ChangeCheck().check(image)


def test_a_file_with_another_time_is_read_once(image, monkeypatch):
    read = []
    monkeypatch.setattr(change_check, "content_hash", lambda path: read.append(path) or content_hash(path))
    os.utime(image.path, ns=(1, 1))
    check = ChangeCheck()
    check.check(image)
    check.check(image)
    assert read == [image.path]


def test_other_pixels_are_noticed_each_time_and_others_of_the_same_pixels_are_not(image):
    check = ChangeCheck()
    Image.fromarray(np.full((3, 4, 3), 7, np.uint8)).save(image.path, compress_level=0)
    check.check(image)
    Image.fromarray(np.full((3, 4, 3), 8, np.uint8)).save(image.path)
    for _ in range(2):
        with pytest.raises(ImageChanged):
            check.check(image)


def test_what_was_encoded_serves_while_the_file_is_not_there(image):
    os.unlink(image.path)
    ChangeCheck().check(image)
