"""What `Session.add` takes, and the bad pictures it meets."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.images
import samnb.session
from samnb.errors import ImageError
from samnb.session import Session
from tests.support.numpy_model import NumpyModel

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def session(tmp_path, monkeypatch):
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        yield session


def save(folder, name, image, **options):
    folder.mkdir(exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(folder / name, **options)
    return folder / name


def test_odd_formats_become_upright_rgb(session, tmp_path):
    folder = tmp_path / "odd"
    save(folder, "16bit.png", np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    save(folder, "cmyk.jpg", Image.fromarray(NOISE).convert("CMYK"))
    save(folder, "palette.png", Image.fromarray(NOISE).convert("P"), transparency=0)
    save(folder, "one.png", NOISE[:1, :1])
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder, "rotated.jpg", NOISE, exif=exif)
    report = session.add(folder)
    assert report.failed == ()
    sizes = {image.filename: image.size_hw for image in report.images}
    assert sizes == {
        "16bit.png": (20, 30),
        "cmyk.jpg": (20, 30),
        "palette.png": (20, 30),
        "one.png": (1, 1),
        "rotated.jpg": (30, 20),
    }
    for image in report.images:
        assert session.pixels(image).shape == (*image.size_hw, 3)
    assert session.predict("one.png", points=[(0, 0)]).masks.shape == (3, 1, 1)


def test_a_very_large_picture_is_refused_by_its_header(session, tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.images, "MAX_PIXELS", 100)
    report = session.add([save(tmp_path / "big", "big.png", NOISE)])
    assert report.added == 0
    assert "30 x 20 = 600 pixels, more than the limit of 100" in report.failed[0].reason


def test_a_file_that_is_unchanged_is_not_read_again(session, tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    save(folder, "a.png", NOISE)
    save(folder, "b.png", NOISE[::-1])
    session.add(folder)
    read = []
    monkeypatch.setattr(
        "samnb.ingest.reading.read_picture",
        lambda path: read.append(Path(path).name) or samnb.images.read_picture(path),
    )
    save(folder, "b.png", NOISE[:, ::-1])
    os.utime(folder / "b.png", ns=(1, 1))
    report = session.add(folder)
    assert read == ["b.png"]
    assert report.added == 0
    assert len(session.images()) == 2
    np.testing.assert_array_equal(session.pixels("b.png"), NOISE[:, ::-1])


def test_the_log_speaks_of_duplicates_as_the_server_did(session, tmp_path, caplog):
    folder = tmp_path / "pictures"
    save(folder, "a.png", NOISE)
    session.add(folder)
    session.prewarm(show=False).wait(300)
    save(tmp_path / "more", "img1.png", NOISE)
    with caplog.at_level(logging.INFO, logger="samnb"):
        session.add(tmp_path / "more", dataset="more")
        session.predict("a.png", points=[(3, 3)])
    digest = session.image("more/img1.png").content_hash[:8]
    assert f"[DEDUP] Found duplicate image: img1.png (hash: {digest}..., cached: True)" in caplog.messages
    assert any(m.startswith("[SAM] Predicted mask in ") and m.endswith("s (cache_hit=True)") for m in caplog.messages)


def test_globs_and_generators(session, tmp_path):
    folder = tmp_path / "pictures"
    for name in ("a.png", "b.png", "c.bmp"):
        save(folder, name, NOISE)
    assert session.add(str(folder / "*.png")).added == 2
    assert session.add(path for path in [folder / "c.bmp"]).added == 1


def test_things_that_are_no_picture(session):
    with pytest.raises((ImageError, TypeError)):
        session.add(object())
    report = session.add([NOISE, np.zeros((2, 2, 7), np.uint8), None])
    assert (report.added, len(report.failed)) == (1, 2)


def test_a_name_that_is_not_text_is_reported(session, tmp_path):
    folder = tmp_path / "pictures"
    save(folder, "good.png", NOISE)
    bad = os.fsencode(folder) + b"/b\xffd.png"
    with open(bad, "wb") as file:
        file.write((folder / "good.png").read_bytes())
    report = session.add(folder)
    assert (report.added, len(report.failed)) == (1, 1)
    assert "Unicode" in report.failed[0].reason


def test_images_are_on_the_disk_before_they_are_reported(session, tmp_path, monkeypatch):
    """Once, and not batch by batch."""
    steps, sync = [], session.catalog.sync
    monkeypatch.setattr(session.catalog, "sync", lambda: (steps.append(len(session.images())), sync()))
    for number in range(5):
        save(tmp_path / "many", f"{number}.png", np.roll(NOISE, number, 0))
    assert session.add(tmp_path / "many", show=False).added == 5
    assert steps == [5]
