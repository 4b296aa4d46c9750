"""Large images that are open to be read in parts."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import samnb
from samnb.encoding.large_images import LargeImages
from samnb.encoding.on_workers import WorkerSetup, worker_encoder
from samnb.errors import ImageChanged


def test_a_file_of_another_size_is_refused_every_time(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((40, 60), np.uint8), tile=(16, 16))
    with samnb.Session(tmp_path / "s") as session:
        session.add(file, show=False)
        image = replace(session.images()[0], width=80)
    large = LargeImages()
    for _ in range(2):
        with pytest.raises(ImageChanged):
            large.open(image)


def test_a_damaged_overview_and_one_of_another_picture_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samnb.encoding.large_images.TILED_ABOVE", 1000)
    file, folder = tmp_path / "a.tif", tmp_path / "s" / "overviews"
    tifffile.imwrite(file, np.full((40, 5000), 7, np.uint8), tile=(16, 16))
    with samnb.Session(tmp_path / "s") as session:
        session.add(file, show=False)
        image = session.images()[0]
    folder.mkdir(exist_ok=True)
    jpeg = io.BytesIO()
    Image.new("RGB", (4, 3)).save(jpeg, "JPEG")
    for content in (b"\xff\xd8 no picture", jpeg.getvalue()):
        (folder / f"{image.pixel_hash}.jpg").write_bytes(content)
        large = LargeImages(folder)
        overview = large.open(image).overview
        large.close()
        assert overview is not None
        assert overview.shape == (20, 2500, 3)
        assert abs(int(overview.mean()) - 7) < 2


def test_a_large_image_that_is_gone_fails_alone_in_a_prewarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samnb.encoding.large_images.TILED_ABOVE", 1000)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((40, 60), np.uint8), tile=(16, 16))
    with samnb.Session(tmp_path / "s") as session:
        session.add([file, np.ones((20, 20, 3), np.uint8)], show=False)
        file.unlink()
        ends = [event.status for event in session.prewarm_stream()]
    assert ends == ["computed", "failed", "done"]


def test_workers_tile_what_the_session_tiles(tmp_path: Path) -> None:
    with samnb.Session(tmp_path / "s") as session:
        session._encoder.large.above = 1234
        setup = WorkerSetup.of(session._encoder)
        session._encoder.cache.folder.mkdir(exist_ok=True)
    assert worker_encoder(setup).large.above == 1234
