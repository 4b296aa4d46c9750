import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageChanged
from samnb.images import pixel_cache, pixel_hash
from samnb.images.pixel_cache import PixelCache, read_checked
from samnb.images.reading import read_known
from samnb.records import ImageRecord


def test_pixels_that_changed_are_not_filed_under_the_old_hash(tmp_path):
    path = tmp_path / "a.png"
    before = np.zeros((4, 4, 3), np.uint8)
    Image.fromarray(before).save(path)
    np.testing.assert_array_equal(read_checked(path, pixel_hash(before), "monday"), before)
    Image.fromarray(before + 1).save(path)
    with pytest.raises(ImageChanged, match=r"a\.png.*changed since it was added.*dataset='monday'"):
        read_checked(path, pixel_hash(before), "monday")


def image(folder, number):
    pixels = np.full((3, 4, 3), number, np.uint8)
    path = folder / f"{number}.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(
        id=str(number), dataset="monday", dataset_id="1", filename=path.name, path=str(path), content_hash="",
        pixel_hash=pixel_hash(pixels), perceptual_hash="", width=4, height=3, size_bytes=1, mtime_ns=1, inode=1,
        embedding_cached=False, position=number,
    )  # fmt: skip


def test_the_images_that_were_read_last_are_kept_read_only(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(pixel_cache, "read_known", lambda path, *about: read.append(path) or read_known(path, *about))
    images, cache = [image(tmp_path, number) for number in range(3)], PixelCache(size=2)
    first = cache.of(images[0])
    assert (first == 0).all()
    assert not first.flags.writeable
    cache.of(images[1])
    assert cache.of(images[0]) is first
    cache.of(images[2])
    assert cache.of(images[0]) is first
    assert len(read) == 3
    cache.of(images[1])
    assert len(read) == 4


def test_a_changed_file_is_not_kept(tmp_path):
    one, cache = image(tmp_path, 1), PixelCache()
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(one.path)
    for _ in range(2):
        with pytest.raises(ImageChanged):
            cache.of(one)
