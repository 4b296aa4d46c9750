"""Cut training crops out of pictures with labels, change their colours, and prompt for a mask as hands do."""

from __future__ import annotations

import cv2
import numpy as np

from samnb.models.tiny.config import FRAME

STRIP_SHARE, STRIP_RATIO = 0.2, 5.5
"""How many of the whole scenes are strips, as lines of text and panoramas are, and how long the longest are."""


def draw_crop(
    rng: np.random.Generator, pixels: np.ndarray, labels: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a crop and scale it so that its longest side is `size`; only full-size crops may be less than square."""
    side = pixels.shape[0]
    if size >= FRAME:
        width = height = side * rng.uniform(0.58, 1)
        chance = rng.random()
        if chance < STRIP_SHARE:
            width = side * rng.uniform(0.8, 1)
            height = width / np.exp(rng.uniform(np.log(2), np.log(STRIP_RATIO)))
        elif chance < 0.65:
            width *= rng.uniform(0.5, 1)
    else:
        width = height = min(size * np.exp(rng.uniform(np.log(0.55), np.log(1.9))), side)
    if rng.random() < 0.5:
        width, height = height, width
    w, h = int(width), int(height)
    x, y = int(rng.integers(0, side - w + 1)), int(rng.integers(0, side - h + 1))
    scale = size / max(w, h)
    shape = (max(round(w * scale), 1), max(round(h * scale), 1))
    crop = cv2.resize(
        np.ascontiguousarray(pixels[y : y + h, x : x + w]),
        shape,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    marks = cv2.resize(np.ascontiguousarray(labels[y : y + h, x : x + w]), shape, interpolation=cv2.INTER_NEAREST)
    turns = int(rng.integers(4))
    crop, marks = np.rot90(crop, turns), np.rot90(marks, turns)
    if rng.random() < 0.5:
        crop, marks = crop[:, ::-1], marks[:, ::-1]
    return np.ascontiguousarray(crop), np.ascontiguousarray(marks)


def augment(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Change colours and quality of (H, W, 3) uint8 pixels as cameras, scanners and files do."""
    image: np.ndarray = pixels[..., rng.permutation(3)].astype(np.float32)
    if rng.random() < 0.2:
        image = 255 - image
    if rng.random() < 0.4:
        image = np.repeat((image @ rng.dirichlet([2, 2, 2]).astype(np.float32))[..., None], 3, -1)
    image = (image - 128) * rng.uniform(0.4, 1.4) + 128 + rng.uniform(-45, 45)
    if rng.random() < 0.3:
        image = 255 * (np.clip(image, 0, 255) / 255) ** np.exp(rng.uniform(-0.7, 0.7))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.4:
        image = image + rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(1, 14)
    done = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        coded = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])[1]
        done = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return done


def draw_click(rng: np.random.Generator, mask: np.ndarray, middles: float = 0.25) -> tuple[int, int]:
    """Draw x, y inside a mask: its deepest point (a share `middles` of the clicks), somewhere deep, or anywhere."""
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    kind = rng.random()
    lowest = depth.max() * (0.999 if kind < middles else 0.4 if kind < 0.85 else 0.0)
    y, x = np.nonzero((depth >= lowest) & (depth > 0))
    pick = int(rng.integers(len(x)))
    return int(x[pick]), int(y[pick])


def draw_box(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Give the mask's box as x0, y0, x1, y1 with each side moved a little, as hands do."""
    x, y, w, h = cv2.boundingRect(mask)
    jitter = rng.standard_normal(4) * rng.uniform(0, 0.08) * np.array([w, h, w, h])
    box = np.array([x, y, x + w, y + h]) + np.clip(jitter, -12, 12)
    limit = np.array([mask.shape[1], mask.shape[0]] * 2)
    return np.clip(box, 0, limit)
