"""DOWNSCALE_MAX: pictures above it are encoded smaller under keys of their own; masks keep the full size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samnb import Session
from samnb.errors import SettingError
from samnb.images import encode_png
from samnb.masks import mask_iou

LARGE, SMALL = (900, 1200), (150, 200)


def disc_picture(size_hw: tuple[int, int]) -> np.ndarray:
    """A light disc in the middle, on a dark ground with a little noise."""
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    disc = np.hypot(rows - size_hw[0] / 2, columns - size_hw[1] / 2) < size_hw[0] / 4
    noise = np.random.default_rng(0).integers(0, 12, (*size_hw, 3))
    return (np.where(disc[..., None], (220, 190, 60), (30, 60, 90)) + noise).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("large", LARGE), ("small", SMALL)):
        (tmp_path / f"{name}.png").write_bytes(encode_png(disc_picture(size)))
    return tmp_path


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Session]:
    def open_with(longest: str) -> Session:
        monkeypatch.setenv("DOWNSCALE_MAX", longest)
        session = Session(folder / "session")
        session.add(folder / "*.png", show=False)
        return session

    return open_with


def test_entries_never_mix(opened: Callable[[str], Session]) -> None:
    computed = []
    for longest in ("", "512", "256", "512"):
        with opened(longest) as session:
            computed.append(list(session.prewarm_stream())[-1]["computed"])
            assert all(session.is_cached(image) for image in session.images())
            assert all(image.embedding_cached for image in session.images())
    assert computed == [2, 1, 1, 0]  # the small picture is below every limit, and encoded once


@pytest.mark.parametrize("longest", ["512", "384"])
def test_masks_have_the_full_size_and_are_nearly_the_same(opened: Callable[[str], Session], longest: str) -> None:
    masks = []
    for limit in ("", longest):
        with opened(limit) as session:
            prediction = session.predict("large.png", points=[(600, 450)])
            assert prediction.masks.shape[1:] == LARGE
            masks.append(prediction.mask)
            assert session.predict("large.png", points=[(600, 450)]).cache_hit
    assert mask_iou(*masks) > 0.97


def test_a_click_and_a_prewarm_give_the_same_embedding(opened: Callable[[str], Session]) -> None:
    with opened("512") as session:
        [image] = [image for image in session.images() if image.filename == "large.png"]
        clicked, hit = session.embedding(image)
        session.cache.remove(session._encoder.task(image).key)
        list(session.prewarm_stream())
        prewarmed, _ = session.embedding(image)
        assert not hit
        assert clicked.original_size == prewarmed.original_size == LARGE
        for name, values in clicked.tensors.items():
            np.testing.assert_allclose(values, prewarmed.tensors[name], atol=1e-2)


def test_a_region_keeps_its_detail(opened: Callable[[str], Session]) -> None:
    regions = []
    for limit in ("", "256"):
        with opened(limit) as session:
            regions.append(session.predict("large.png", points=[(600, 450)], region=(300, 150, 900, 750)).cache_hit)
    assert regions == [False, True]


def test_a_limit_that_is_no_number_is_said(opened: Callable[[str], Session]) -> None:
    with pytest.raises(SettingError, match="DOWNSCALE_MAX"):
        opened("-3")
