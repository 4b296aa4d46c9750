"""Pictures and reference masks of the course: all come from scikit-image, or are drawn here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data, filters, measure, segmentation

from samnb.demo import COIN_CROPS


def coins(name: str = "coins_1.png") -> NDArray[np.uint8]:
    """One of the demo's pictures of coins, (H, W, 3) uint8."""
    x0, y0, x1, y1 = COIN_CROPS[name]
    return np.repeat(data.coins()[y0:y1, x0:x1, None], 3, axis=2)


def coin_masks(name: str = "coins_1.png") -> list[NDArray[np.bool_]]:
    """Reference masks (H, W) bool of the whole coins on that picture, from a watershed; not from a model."""
    sheet = data.coins()
    markers = np.zeros_like(sheet, dtype=int)
    markers[sheet < 30], markers[sheet > 150] = 1, 2
    filled = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(sheet), markers) == 2)
    labels = measure.label(ndimage.binary_opening(filled, iterations=3))
    x0, y0, x1, y1 = COIN_CROPS[name]
    part = labels[y0:y1, x0:x1]
    sizes = np.bincount(labels.ravel())
    whole = [number for number in np.unique(part[part > 0]) if (part == number).sum() == sizes[number] > 600]
    return [part == number for number in whole]


def middle(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(x, y) of the pixel of a mask that is farthest from its edge."""
    deep = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(deep.argmax(), deep.shape)
    return int(x), int(y)


def badge() -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """A badge, (240, 320, 3) uint8, and the masks of its parts: a dot in a ring on a plate; a click could mean each."""
    y, x = np.mgrid[:240, :320]
    distance = np.hypot(x - 160, y - 120)
    plate = (abs(x - 160) < 120) & (abs(y - 120) < 90)
    dot, disc = distance < 28, distance < 62
    picture = np.full((240, 320, 3), (38, 44, 52), np.uint8)
    picture[plate] = (196, 186, 160)
    picture[disc] = (160, 40, 44)
    picture[dot] = (240, 214, 70)
    noise = np.random.default_rng(0).integers(-6, 7, picture.shape)
    picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return picture, {"dot": dot, "ring": disc & ~dot, "disc": disc, "plate": plate}
