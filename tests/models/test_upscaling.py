"""The two scalings in one step are `Sam.postprocess_masks`, pixel for pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from samnb.models.preprocessing import input_size_of
from samnb.models.upscaling import _axis, small_mask, upscale_mask, upscale_with_stability

SIZES = [
    (400, 600),
    (600, 400),
    (1536, 2048),
    (333, 1000),
    (999, 1000),
    (1024, 1024),
    (1, 1),
    (1, 3000),
    (900, 2),
    (50, 70),
]
KINDS = ["noise", "blobs", "a small one", "nothing", "everything", "a corner"]


def official(logits: NDArray[np.float32], side: int, size: tuple[int, int]) -> NDArray[np.float32]:
    height, width = input_size_of(size, side)
    frame = interpolate(torch.from_numpy(logits)[None, None], (side, side), mode="bilinear", align_corners=False)
    image = interpolate(frame[..., :height, :width], size, mode="bilinear", align_corners=False)
    answer: NDArray[np.float32] = image[0, 0].numpy()
    return answer


def logits_of(kind: str, side: int) -> NDArray[np.float32]:
    import cv2

    noise = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    blobs = 50 * cv2.GaussianBlur(noise, (0, 0), side / 15)
    corner = np.full((side, side), -4, np.float32)
    corner[0, 0] = 3
    made: NDArray[np.float32] = {
        "noise": noise,
        "blobs": blobs,
        "a small one": blobs - np.percentile(blobs, 97),
        "nothing": np.zeros((side, side), np.float32),
        "everything": np.full((side, side), 1e-3, np.float32),
        "a corner": corner,
    }[kind].astype(np.float32)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("side", "frame"), [(256, 1024), (192, 384)])
def test_masks_are_the_official_ones(kind: str, size: tuple[int, int], side: int, frame: int) -> None:
    logits = logits_of(kind, side)
    expected = official(logits, frame, size)
    mask = upscale_mask(logits, frame=frame, input_size=input_size_of(size, frame), original_size=size)
    assert mask.shape == size
    differing = mask != (expected > 0)
    # Sums are taken in another order: a pixel may turn whose logit is nothing beside its neighbours'.
    assert np.abs(expected[differing]).max(initial=0) <= 1e-6 * np.abs(logits).max()
    assert differing.sum() <= 2


@pytest.mark.parametrize(("part", "length"), [(768, 1536), (683, 400), (1024, 1000), (576, 3000), (1024, 17), (3, 9)])
def test_the_weights_are_torchs_own(part: int, length: int) -> None:
    each = torch.eye(256)[None, None]
    frame = interpolate(each, (1024, 256), mode="bilinear", align_corners=False)[..., :part, :]
    expected = interpolate(frame, (length, 256), mode="bilinear", align_corners=False)[0, 0].numpy()
    axis = _axis(256, 1024, part, length)
    weights = np.zeros((length, 256), np.float32)
    for pixels, block, cells in axis.pieces(slice(0, length)):
        weights[pixels, cells] = block
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)
    for row, first, last in zip(weights, axis.first, axis.last, strict=True):
        assert not row[:first].any()
        assert not row[last:].any()


def test_logits_of_any_layout_and_a_place_to_write_to() -> None:
    logits = logits_of("blobs", 256)
    sizes = {"frame": 1024, "input_size": (683, 1024), "original_size": (400, 600)}
    room = np.zeros((400, 600), bool)
    mask = upscale_mask(np.asfortranarray(logits), out=room, **sizes)  # type: ignore[arg-type]
    assert mask is room
    assert np.array_equal(mask, upscale_mask(logits.astype(np.float64), **sizes))  # type: ignore[arg-type]


def test_small_masks_leave_the_padding_out() -> None:
    logits = np.ones((2, 256, 256), np.float32)
    assert small_mask(logits, frame=1024, input_size=(683, 1024)).shape == (2, 171, 256)
    assert small_mask(logits, frame=1024, input_size=(1, 1024)).shape == (2, 1, 256)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(400, 600), (1536, 2048), (1, 1), (50, 70)], ids=str)
@pytest.mark.parametrize("offset", [0.0, 0.5, 3.0])
def test_stability_is_that_of_segment_anything(kind: str, size: tuple[int, int], offset: float) -> None:
    logits, side = logits_of(kind, 256), 1024
    expected = official(logits, side, size)
    high, low = int((expected > offset).sum()), int((expected > -offset).sum())
    sizes: Any = {"frame": side, "input_size": input_size_of(size, side), "original_size": size}
    mask, stability = upscale_with_stability(logits, offset, **sizes)
    np.testing.assert_array_equal(mask, upscale_mask(logits, **sizes))
    assert stability == pytest.approx(high / low if low else 0.0, abs=4 / max(low, 4))
