"""`machine_rates`: what limits a model on this machine, and which setting helps, for `samnb bench`."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from statistics import median

import numpy as np

TOKENS, WIDTH, HIDDEN = 512, 768, 3072
"""Of the products that are measured: a piece of ViT-B's first linear layer after attention."""

_JPEG_HW = (1500, 2000)
_COPIED = 256 << 20  # bytes, more than a processor's cache holds


def machine_rates() -> list[str]:
    """One line for each: products in each precision, memory, JPEG, and what follows; takes about three seconds."""
    import torch

    products = {name: product_rate(name) for name in ("float32", "bfloat16")}
    shown = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in products.items())
    a, b = np.ones(_COPIED, np.uint8), np.empty(_COPIED, np.uint8)
    memory = 2 * _COPIED / _seconds(lambda: np.copyto(b, a))
    jpeg = _JPEG_HW[0] * _JPEG_HW[1] / _seconds(_jpeg_reader())
    return [
        f"products of linear layers on {torch.get_num_threads()} threads: {shown}",
        f"memory: {memory / 1e9:.1f} GB/s copied, on one thread; JPEG: {jpeg / 1e6:.0f} megapixels/s on one thread",
        *advice(products["float32"], products["bfloat16"], jpeg),
    ]


def advice(float32: float, bfloat16: float, jpeg: float) -> list[str]:
    """What would help: by the rates of products in two precisions, and the pixels of JPEG files a second.

    >>> advice(3e11, 9e11, 3e8)[0]
    "setting: bfloat16 products are 3.0 times as fast: precision='auto' tries it, but not for tiny and sam3"
    """
    times = bfloat16 / float32
    helps = "tries it, but not for tiny and sam3" if times >= 1.3 else "stays with float32"
    ms = 12e6 / jpeg * 1000
    return [
        f"setting: bfloat16 products are {times:.1f} times as fast: precision='auto' {helps}",
        f"setting: a JPEG of 12 megapixels takes {ms:.0f} ms to decode; if a model of this machine encodes faster than "
        "that, DOWNSCALE_MAX=1024 shortens a prewarm",
    ]


def product_rate(precision: str) -> float:
    """FLOP/s of a linear layer as samnb's image encoder runs it: by oneDNN where torch has it."""
    import torch

    from .sam.fast_encoder import linear

    dtype = getattr(torch, precision)
    x, weight, bias = (torch.ones(shape, dtype=dtype) for shape in ((TOKENS, WIDTH), (HIDDEN, WIDTH), (HIDDEN,)))
    with torch.inference_mode():
        return 2 * TOKENS * WIDTH * HIDDEN / _seconds(lambda: linear(x, weight, bias))


def _jpeg_reader() -> Callable[[], object]:
    """Decodes a picture with blobs and grain, whose file is as large as a camera's."""
    from PIL import Image

    random = np.random.default_rng(0)
    height, width = _JPEG_HW
    coarse = Image.fromarray(random.integers(0, 256, (47, 63, 3), np.uint8)).resize((width, height))
    grain = random.integers(-8, 9, (height, width, 1), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return lambda: Image.open(io.BytesIO(file.getvalue())).load()


def _seconds(work: Callable[[], object], rounds: int = 9) -> float:
    """The median; two runs before warm up."""
    found = []
    for _ in range(rounds + 2):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return median(found[2:])
