"""Two pictures for the tests of this package."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def scene() -> np.ndarray:
    """Something photograph-like: smooth, with a few shapes."""
    y, x = np.mgrid[:240, :320].astype(float)
    red = 120 + 80 * np.sin(x / 37) + 40 * np.cos(y / 53)
    green = 90 + 60 * np.cos((x + y) / 61)
    blue = np.where((x - 100) ** 2 + (y - 90) ** 2 < 50**2, 230, 60 + y / 4)
    return np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)
