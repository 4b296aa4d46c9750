"""Near duplicates: how many changed copies are found, how near unrelated pictures come, how long a search takes.

    python benchmarks/near_duplicates.py [--sources 240] [--counts 1000 10000 100000]

Sources are windows, which do not overlap, of the photographs packaged with scikit-image and scikit-learn. The stored
hashes of the timing are random.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from PIL import Image, ImageEnhance

from samnb.looks import FLAT, looks_of
from samnb.near_duplicates import THRESHOLD, as_words, within

THRESHOLDS = (20, 31, THRESHOLD, 70)
SKIMAGE = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "rocket",
    "coins",
    "hubble_deep_field",
    "retina",
    "immunohistochemistry",
)


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer)


def _cut(picture: Image.Image, percent: float) -> Image.Image:
    x, y = (round(side * percent / 100) for side in picture.size)
    return picture.crop((x, y, picture.width - x, picture.height - y))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 60": lambda picture: _jpeg(picture, 60),
    "JPEG, quality 20": lambda picture: _jpeg(picture, 20),
    "resize ½": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "thumbnail 160 px": lambda picture: picture.resize((160, max(1, 160 * picture.height // picture.width))),
    "brightness × 0.7": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "brightness × 1.3": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "grey": lambda picture: picture.convert("L"),
    "crop 2 %": lambda picture: _cut(picture, 2),
    "crop 5 %": lambda picture: _cut(picture, 5),
    "crop 10 %": lambda picture: _cut(picture, 10),
    "turned by 90°": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def sources(count: int) -> list[Image.Image]:
    """Windows of packaged photographs with something in them, the most of each photograph first."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    photos = [np.asarray(getattr(skimage.data, name)()) for name in SKIMAGE] + list(load_sample_images().images)
    windows = []
    for photo in photos:
        picture = Image.fromarray(photo).convert("RGB")
        for parts in (3, 4, 5, 6):
            width, height = picture.width // parts, picture.height // parts
            if min(width, height) < 64:
                continue
            tiles = [
                picture.crop((x * width, y * height, (x + 1) * width, (y + 1) * height))
                for x in range(parts)
                for y in range(parts)
            ]
            windows.append([tile for tile in tiles if looks_of(np.asarray(tile)).detail >= FLAT])
            break
    windows += [[Image.fromarray(photo).convert("RGB")] for photo in photos]
    flat = [tile for group in windows for tile in group]
    return flat[:count]


def recall(count: int) -> None:
    """Print the table of what is found."""
    pictures = sources(count)
    hashes = as_words([_hash(picture) for picture in pictures])
    print(f"{len(pictures)} sources; found at a distance of at most")
    print(f"  {'change':20s}" + "".join(f"{threshold:>8d}" for threshold in THRESHOLDS) + "    median bits")
    for name, change in CHANGES.items():
        changed = as_words([_hash(change(picture)) for picture in pictures])
        apart = np.bitwise_count(hashes ^ changed).sum(axis=1, dtype=int)
        shares = "".join(f"{(apart <= threshold).mean():8.2f}" for threshold in THRESHOLDS)
        print(f"  {name:20s}{shares}{np.median(apart):12.0f}")
    first, second, distance = within(hashes, hashes, 255)
    unrelated = distance[first < second]
    wrong = [int((unrelated <= threshold).sum()) for threshold in THRESHOLDS]
    print(f"  unrelated pairs: {len(unrelated)}, the nearest {unrelated.min()} bits apart; at most the above: {wrong}")


def _hash(picture: Image.Image) -> str:
    return looks_of(np.asarray(picture.convert("RGB"))).perceptual_hash


def speed(counts: list[int]) -> None:
    """Print the time of one query among random stored hashes, and of hashing a picture."""
    rng = np.random.default_rng(0)
    print("\nsearch at the default threshold, one thread, 64 queries at a time")
    for count in counts:
        stored = rng.integers(0, 2**63, (count, 4), np.uint64)
        took = median(_seconds(lambda stored=stored: within(stored, stored[:64], THRESHOLD)) for _ in range(5)) / 64
        print(f"  {count:>9,d} stored  {took * 1000:8.3f} ms a query  {1 / took:10,.0f} queries/s")
    picture = rng.integers(0, 256, (563, 1000, 3), np.uint8)
    print(
        f"hash of a 1000 × 563 picture: {median(_seconds(lambda: looks_of(picture)) for _ in range(21)) * 1000:.2f} ms"
    )


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=240)
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 10_000, 100_000])
    arguments = parser.parse_args()
    recall(arguments.sources)
    speed(arguments.counts)
