"""Real pictures for the notebooks of the browser tests, and a model for those about something else."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from skimage import data

# Middles of two coins of scikit-image's `coins`, and dark ground between coins; (x, y).
COIN, OTHER_COIN, GROUND = (110, 204), (221, 200), (80, 158)

# In a notebook: discs of 15 pixels round the first point at once, instead of a network.
FAKE_MODEL = """
import numpy as np
from samnb.prompts import Embedding, Prediction

def encode(pixels):
    return Embedding({"image_embedding": np.zeros((4, 4, 4), "float32")}, pixels.shape[:2], pixels.shape[:2])

def decode(embedding, prompt, *, multimask=True, mask_input=None):
    height, width = embedding.original_size
    x, y = prompt.points[0] if prompt.points else prompt.box[:2]
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns - x, rows - y)
    masks = np.stack([distance < 15, distance < 30, distance < 60])
    return Prediction(masks, np.array([0.94, 0.81, 0.4], "float32"), np.zeros((3, 4, 4), "float32"), prompt)

session.model.encode, session.model.decode = encode, decode
# A prewarm asks for the two halves of `encode`.
session.model.prepare = np.asarray
session.model.encode_prepared = lambda batch: [session.model.encode(pixels) for pixels in batch]
"""

# The colour that the screen shows at a place of the page: [red, green, blue].
PIXEL = """([x, y]) => {
  const canvas = document.querySelector(".samnb-stage canvas");
  const box = canvas.getBoundingClientRect();
  const cx = Math.floor((x - box.left) / box.width * canvas.width);
  const cy = Math.floor((y - box.top) / box.height * canvas.height);
  return Array.from(canvas.getContext("2d").getImageData(cx, cy, 1, 1).data).slice(0, 3);
}"""


def write_photos(folder: Path, *, crops: int = 2) -> Path:
    """coins.png and pieces of it, drawer-1.png, drawer-2.png …"""
    folder.mkdir(parents=True, exist_ok=True)
    coins = data.coins()
    Image.fromarray(coins).save(folder / "coins.png")
    for number in range(1, crops + 1):
        x, y = 8 * (number % 11), 6 * (number % 12)
        Image.fromarray(coins[y : y + 227, x : x + 288]).save(folder / f"drawer-{number}.png")
    return folder
