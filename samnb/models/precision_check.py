"""`checked`: whether bfloat16 suits a model on this machine, found out once and remembered.

bfloat16 is chosen if a block of the encoder, or all of it, is `MIN_SPEED` times as fast as in float32, and the masks of
some prompts on a drawn picture stay the same. The verdict is kept in a JSON file in the user's cache folder, for the
weights, the processor and the version of torch. Importing this module imports no torch.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import platformdirs
from numpy.typing import NDArray

from ..atomic_files import write_atomic
from ..json_files import read_json
from ..masks import mask_iou
from ..prompts import Embedding, Prediction, Prompt
from .devices import cpu_name

MIN_SPEED, MIN_MEAN_IOU, MIN_LOW_IOU = 1.3, 0.99, 0.95
"""Of bfloat16: times as fast on a block; the mean IoU with float32's masks, and what 19 of 20 masks reach."""

_SIDE, _VERSION = 768, 1
_log = logging.getLogger("samnb.models")


@dataclass(frozen=True)
class Verdict:
    """The precision that suits a model here, and why, for a person."""

    precision: str
    reason: str


class Checkable(Protocol):
    """What a check needs of a model: `samnb.models.base.LazyTorchModel` has it."""

    @property
    def name(self) -> str:
        """In the registry."""

    @property
    def fingerprint(self) -> str:
        """Of the weights."""

    def in_precision(self, precision: str) -> Checkable:
        """A second model of the same weights, on the CPU."""

    def seconds_of_block(self, precisions: Sequence[str]) -> dict[str, float]:
        """Of a block of the encoder, or of all of it, in each precision."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Run the encoder on (H, W, 3) RGB."""

    def decode_many(self, pairs: Sequence[tuple[Embedding, Prompt]]) -> list[Prediction]:
        """One prediction for each prompt."""


def checked(model: Checkable) -> Verdict:
    """The verdict on this model's weights here: remembered, or found now, which takes a few times an encode."""
    known = _read().get(_key(model))
    if isinstance(known, dict) and known.keys() == {"precision", "reason"}:
        return Verdict(**known)
    _log.warning("%s: finding out once whether bfloat16 suits this machine; precision='float32' skips it", model.name)
    try:
        found = compare(model)
    except (RuntimeError, MemoryError) as error:  # torch has no such product here, or no memory is left for two models
        failed = Verdict("float32", f"the check of bfloat16 ended: {error}")
        _log.warning("%s: %s: %s", model.name, failed.precision, failed.reason)
        return failed  # not remembered: there may be more memory the next time
    _log.warning("%s: %s: %s", model.name, found.precision, found.reason)
    _write(_key(model), found)
    return found


def compare(model: Checkable) -> Verdict:
    """Compare bfloat16 with float32 on this machine; nothing is remembered.

    The second encode runs only if the first comparison says that it is worth it.
    """
    exact = model.in_precision("float32")
    times = exact.seconds_of_block(["float32", "bfloat16"])
    speed = times["float32"] / times["bfloat16"]
    if speed < MIN_SPEED:
        return Verdict("float32", f"bfloat16 is {speed:.1f} times as fast here; less than {MIN_SPEED}")
    pixels = drawn_picture()
    prompts = _prompts()
    expected = exact.encode(pixels)
    del exact  # vit_h in float32 takes 2.6 GB
    ious = _ious(model, expected, model.in_precision("bfloat16").encode(pixels), prompts)
    mean, low = float(np.mean(ious)), float(np.quantile(ious, 0.05))
    told = f"mask IoU {np.floor(mean * 1e3) / 1e3:.3f} (19 of 20: {np.floor(low * 1e3) / 1e3:.3f}) with float32's"
    if mean < MIN_MEAN_IOU or low < MIN_LOW_IOU:
        return Verdict("float32", f"bfloat16 changes masks: {told}")
    return Verdict("bfloat16", f"{speed:.1f} times as fast here, {told}")


def _ious(model: Checkable, expected: Embedding, found: Embedding, prompts: list[Prompt]) -> list[float]:
    """Of the mask that float32 scores best, with the same candidate in bfloat16."""
    pairs = zip(*(model.decode_many([(one, prompt) for prompt in prompts]) for one in (expected, found)), strict=True)
    ious = []
    for ours, theirs in pairs:
        best = int(np.argmax(ours.scores))
        a, b = ours.masks[best], theirs.masks[best]
        ious.append(mask_iou(a, b) if a.any() or b.any() else 1.0)
    return ious


def drawn_picture() -> NDArray[np.uint8]:
    """Discs, stripes, a gradient and grain, (768, 768, 3) uint8: always the same."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    pixels = np.stack([80 + x / 12, 100 + y / 16, 140 - x / 16], axis=2)
    for centre_y, centre_x in _centres():
        radius = random.uniform(30, 75)
        inside = (y - centre_y) ** 2 + ((x - centre_x) / random.uniform(0.7, 1.0)) ** 2 < radius**2
        stripes = 25 * np.sin((x * random.uniform(-1, 1) + y * random.uniform(-1, 1)) / random.uniform(2, 12))
        pixels[inside] = random.uniform(20, 235, 3) + stripes[inside, None]
    return (pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)


def _centres() -> list[tuple[int, int]]:
    """(y, x) of the discs."""
    return [(row, column) for row in range(96, _SIDE, 192) for column in range(96, _SIDE, 192)]


def _prompts() -> list[Prompt]:
    """A click on each disc, a box round it, and clicks between them."""
    clicks = [Prompt.of(points=[(x, y)]) for y, x in _centres()]
    boxes = [Prompt.of(box=(x - 80, y - 80, x + 80, y + 80)) for y, x in _centres()]
    return clicks + boxes + [Prompt.of(points=[(x + 90, y + 90)]) for y, x in _centres()[:8]]


# -- what is remembered ----------------------------------------------------------------------------------


def verdicts_path() -> Path:
    """The JSON file; it may be deleted at any time, and is made again by checks."""
    return Path(platformdirs.user_cache_dir("samnb", appauthor=False)) / "precisions.json"


def _key(model: Checkable) -> str:
    return f"{model.fingerprint} {_VERSION} torch {version('torch')} {cpu_name()}"


def _read() -> dict[str, Any]:
    try:
        verdicts = read_json(verdicts_path())
    except (OSError, ValueError) as error:
        _log.debug("no remembered precisions: %s", error)
        return {}
    return verdicts if isinstance(verdicts, dict) else {}


def _write(key: str, verdict: Verdict) -> None:
    path = verdicts_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps({**_read(), key: asdict(verdict)}, indent=1).encode())
    except OSError as error:
        _log.debug("the precision is not remembered in %s: %s", path, error)
