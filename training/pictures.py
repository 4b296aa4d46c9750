"""Cut-outs and photographs that scenes are pasted together from.

``python -m training.pictures --out pictures FOLDER...`` walks folders of pictures and keeps two kinds:
``cutouts/`` pictures whose transparency outlines one thing, and ``photographs/`` opaque pictures large enough to be a
background. Archives of games (``.pk3``) are looked into as well. `Pictures` reads what was kept.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

CUTOUT_SIDE, PHOTOGRAPH_SIDE = 320, 1100
"""Longest side kept, in pixels."""

SMALLEST_CUTOUT, SMALLEST_PHOTOGRAPH = 64, 450
CUTOUT_BYTES = (8e3, 8e4)
"""File sizes between which a cut-out is drawn in proportion to its size."""

SOLID = (0.15, 0.93)
"""Share of its own box that a cut-out may fill: less is line work, more is a rectangle such as a flag."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".tga", ".webp"}

Pixels = npt.NDArray[np.uint8]


def crop_cutout(picture: Image.Image) -> Image.Image | None:
    """Cut to what is not transparent and scale down; None where the transparency outlines no solid thing."""
    rgba = picture.convert("RGBA")
    alpha = np.asarray(rgba)[..., 3]
    if alpha.min() > 20:
        return None
    x, y, w, h = cv2.boundingRect((alpha > 128).astype(np.uint8))
    if max(w, h) < SMALLEST_CUTOUT or min(w, h) < 16:
        return None
    solid = alpha[y : y + h, x : x + w] > 128
    if not SOLID[0] <= solid.mean() <= SOLID[1] or _largest_share(solid) < 0.7:
        return None
    cut = rgba.crop((x, y, x + w, y + h))
    cut.thumbnail((CUTOUT_SIDE, CUTOUT_SIDE), Image.Resampling.LANCZOS)
    return cut


def _largest_share(solid: npt.NDArray[np.bool_]) -> float:
    """Share of the solid pixels that lie in one piece."""
    sizes = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return float(sizes.max() / sizes.sum()) if len(sizes) else 0.0


def shrink_photograph(picture: Image.Image) -> Image.Image | None:
    """Scale an opaque picture down; None where it is too small, or smooth enough to be a drawing."""
    if picture.mode in ("RGBA", "LA") and np.asarray(picture.convert("RGBA"))[..., 3].min() < 250:
        return None
    rgb = picture.convert("RGB")
    if min(rgb.size) < SMALLEST_PHOTOGRAPH:
        return None
    rgb.thumbnail((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE), Image.Resampling.LANCZOS)
    grey = np.asarray(rgb.convert("L"), np.float32)
    grain = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5)).mean()
    return rgb if grain > 1.2 else None


def find_pictures(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Every readable picture below a folder, in order, with a name; what cannot be read is told and passed over."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        if path.suffix.lower() == ".pk3":
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if Path(name).suffix.lower() in SUFFIXES:
                        yield from _opened(name, io.BytesIO(archive.read(name)))
        elif path.suffix.lower() in SUFFIXES:
            yield from _opened(str(path.relative_to(folder)), path)


def _opened(name: str, source: Path | io.BytesIO) -> Iterator[tuple[str, Image.Image]]:
    try:
        with Image.open(source) as picture:
            picture.load()
            yield name, picture
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        print(f"{name}: passed over ({error})", flush=True)


def collect(folders: list[Path], out: Path, leave: tuple[str, ...] = ()) -> dict[str, int]:
    """Keep the cut-outs and photographs of some folders; names that contain a word of `leave` are left out."""
    counts = {"cutouts": 0, "photographs": 0}
    for kind in counts:
        (out / kind).mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for name, picture in find_pictures(folder):
            if any(word in name for word in leave):
                continue
            safe = f"{folder.name}-{name.replace('/', '-')[-120:]}"
            if (cut := crop_cutout(picture)) is not None:
                cut.save(out / "cutouts" / f"{safe}.png")
                counts["cutouts"] += 1
            elif (photograph := shrink_photograph(picture)) is not None:
                photograph.save(out / "photographs" / f"{safe}.jpg", quality=92)
                counts["photographs"] += 1
    return counts


class Pictures:
    """What `collect` kept, read on demand.

    Parameters
    ----------
    folder
        Holds ``cutouts/`` and ``photographs/``.
    """

    def __init__(self, folder: Path) -> None:
        self.cutouts = sorted((folder / "cutouts").glob("*.png"))
        self.photographs = sorted((folder / "photographs").glob("*.jpg"))
        if not self.cutouts or not self.photographs:
            advice = f"python -m training.pictures --out {folder} FOLDER_OF_PICTURES..."
            raise FileNotFoundError(f"{folder}: expected cutouts/*.png and photographs/*.jpg; make them with {advice}")
        # Photographed things are fewer than drawn ones and teach more; their files are larger.
        sizes = np.array([path.stat().st_size for path in self.cutouts], float).clip(*CUTOUT_BYTES)
        self._chances = np.cumsum(sizes / sizes.sum())

    def cutout(self, rng: np.random.Generator) -> Pixels:
        """Draw a (h, w, 4) uint8 RGBA cut-out."""
        pick = int(np.searchsorted(self._chances, rng.random()))
        return _read(self.cutouts[min(pick, len(self.cutouts) - 1)], "RGBA")

    def photograph(self, rng: np.random.Generator) -> Pixels:
        """Draw a (H, W, 3) uint8 RGB photograph."""
        return _read(self.photographs[int(rng.integers(len(self.photographs)))], "RGB")

    def photograph_patch(self, rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float32]:
        """Draw a (height, width, 3) float32 patch of a photograph at a random scale, perhaps mirrored."""
        picture = self.photograph(rng)
        ratio = min(picture.shape[0] / height, picture.shape[1] / width)
        zoom = ratio * np.exp(rng.uniform(np.log(0.35), 0)) if ratio > 0 else 1.0
        h, w = max(int(height * zoom), 8), max(int(width * zoom), 8)
        h, w = min(h, picture.shape[0]), min(w, picture.shape[1])
        y, x = int(rng.integers(picture.shape[0] - h + 1)), int(rng.integers(picture.shape[1] - w + 1))
        patch = picture[y : y + h, x : x + w]
        if rng.random() < 0.5:
            patch = patch[:, ::-1]
        way = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
        patch = cv2.resize(np.ascontiguousarray(patch), (width, height), interpolation=way)
        return np.asarray(patch, np.float32)


@lru_cache(maxsize=600)
def _read(path: Path, mode: str) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert(mode))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--leave", nargs="*", default=[], help="leave out names that contain one of these words")
    arguments = parser.parse_args()
    print(collect(arguments.folders, arguments.out, tuple(arguments.leave)))


if __name__ == "__main__":
    main()
