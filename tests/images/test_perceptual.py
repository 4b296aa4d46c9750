from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from samnb.images import perceptual_hash, read_pixels


def save(pixels: np.ndarray, path: Path, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def bits_apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_perceptual_hash_survives_resizing_and_recompression(scene, tmp_path):
    whole = perceptual_hash(scene)
    half = np.array(Image.fromarray(scene).resize((160, 120), Image.Resampling.BOX))
    squeezed = read_pixels(save(scene, tmp_path / "a.jpg", quality=40))
    brighter = (scene.astype(int) + 12).clip(0, 255).astype(np.uint8)
    for version in (half, squeezed, brighter):
        assert bits_apart(whole, perceptual_hash(version)) <= 32
    assert bits_apart(whole, perceptual_hash(np.ascontiguousarray(scene[::-1]))) > 60
    assert bits_apart(whole, perceptual_hash(np.ascontiguousarray(scene[:, ::-1]))) > 60


def test_perceptual_hash_of_unrelated_noise_differs_in_half_the_bits():
    rng = np.random.default_rng(0)
    one, other = (perceptual_hash(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(2))
    assert 90 < bits_apart(one, other) < 166


def test_perceptual_hash_of_flat_pictures_is_not_noise():
    hashes = {perceptual_hash(np.full((50, 70, 3), grey, np.uint8)) for grey in (1, 77, 128, 255)}
    assert hashes == {"8" + "0" * 63}
