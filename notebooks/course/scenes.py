"""Pictures and reference masks of the course: all come from scikit-image, or are drawn here.

Below are what draws masks, and what the lessons compute with as long as an exercise is open.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import data, draw, filters, measure, segmentation

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


def portrait() -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """A photograph, (512, 512, 3) uint8, and masks of what surely is hair, face and collar on it: ellipses by hand."""
    y, x = np.mgrid[:512, :512]

    def ellipse(middle_x: int, middle_y: int, width: int, height: int) -> NDArray[np.bool_]:
        return np.hypot((x - middle_x) / width, (y - middle_y) / height) < 1

    hair = ellipse(222, 50, 50, 18) | ellipse(178, 110, 8, 16) | ellipse(268, 100, 6, 14)
    return data.astronaut(), {"hair": hair, "face": ellipse(222, 125, 30, 42), "collar": ellipse(215, 250, 100, 15)}


def badge() -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """A badge, (240, 320, 3) uint8, and the masks of its parts: a dot in a ring on a plate."""
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


def hasty_outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask as somebody draws it in a hurry: five corners."""
    middle_yx, radius = np.argwhere(mask).mean(axis=0), np.sqrt(mask.sum() / np.pi)
    turns = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    corners = middle_yx + 1.2 * radius * np.stack([-np.cos(turns), np.sin(turns)], axis=1)
    return np.asarray(draw.polygon2mask(mask.shape, corners), bool)


def invoice(price: str) -> NDArray[np.uint8]:
    """A page of an office, (320, 480, 3) uint8, with a price."""
    page = Image.new("RGB", (480, 320), "white")
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 480, 50), fill=(30, 70, 130))
    pen.text((20, 12), "INVOICE", fill="white", font_size=24)
    for y in (110, 160, 210, 260):
        pen.line((20, y, 460, y), fill=(180, 180, 180))
    pen.text((20, 80), "Microscope slides, box of 50", fill="black", font_size=20)
    pen.text((20, 230), "Total", fill="black", font_size=20)
    for y in (80, 230):
        pen.text((460, y), price, fill="black", font_size=20, anchor="ra")
    return np.asarray(page)


def lit(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture, dark where the mask is not."""
    return np.where(mask[..., None], picture, picture // 4)


def show_prompt(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], points: Any, point_labels: Any, title: str
) -> None:
    """Draw a mask of the portrait, with its points: a dot on the object, a cross beside it."""
    plt.imshow(lit(picture, mask))
    for (x, y), label in zip(np.reshape(points, (-1, 2)), np.ravel(point_labels), strict=True):
        plt.plot(x, y, "o" if label else "x", color="white")
    plt.title(title)
    plt.xlim(80, 340)
    plt.ylim(270, 0)
    plt.show()


def similarity(features: NDArray[np.float32], y: int, x: int) -> NDArray[np.float32]:
    """Cosine of one cell of an embedding (C, rows, columns) with every cell, (rows, columns)."""
    unit = features / np.linalg.norm(features, axis=0)
    return np.tensordot(unit[:, y, x], unit, axes=1)


def distance(one: str, other: str) -> int:
    """Number of differing bits of two hashes in hexadecimal."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
