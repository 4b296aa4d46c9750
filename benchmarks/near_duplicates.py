"""Near duplicates: which changed copies are found, how near unrelated pictures come, a slow pan, and what it costs.

    python benchmarks/near_duplicates.py [--counts 1000 10000 100000] [--exact-up-to 20000] [--pictures 240]

The pictures are windows, which do not overlap, of 20 pictures packaged with scikit-image and scikit-learn (photographs,
micrographs, textures, a printed page), without those with hardly anything in them; drawn scenes of shapes make up the
number. The stored hashes of the timings are random, with planted pairs to count what is missed.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from samnb.duplicates import near as near_duplicates
from samnb.duplicates.hamming import Words, as_words, within
from samnb.duplicates.near import EXACT, THRESHOLD, near_groups
from samnb.images.perceptual import MIN_DETAIL, PERCEPTUAL_VERSION, compute_perceptual_hash
from samnb.records import ImageRecord

THRESHOLDS = (20, 31, THRESHOLD, 70)
PLANTED = (10, 20, 31, 40, 45, 51)
PACKAGED = (
    *("astronaut", "camera", "chelsea", "coffee", "rocket", "coins", "hubble_deep_field", "retina"),
    *("immunohistochemistry", "brick", "grass", "gravel", "moon", "cell", "clock", "page", "text"),
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
    "crop 2 % in all": lambda picture: _cut(picture, 1),
    "crop 2 % a side": lambda picture: _cut(picture, 2),
    "crop 5 % a side": lambda picture: _cut(picture, 5),
    "turned by 90°": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def pictures(count: int) -> tuple[list[Image.Image], list[str], int]:
    """Distinct pictures, their names, and how many of them are windows of packaged ones; the others are drawn."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    whole = {name: np.asarray(getattr(skimage.data, name)()) for name in PACKAGED}
    whole["motorcycle"] = skimage.data.stereo_motorcycle()[0]
    whole.update(zip(("china", "flower"), load_sample_images().images, strict=True))
    cut = [
        (window, f"{name} {place}") for name, pixels in whole.items() for window, place in _windows(_picture(pixels))
    ][:count]
    cut += [(_scene(number), f"drawn {number}") for number in range(count - len(cut))]
    chosen, names = zip(*cut, strict=True)
    return list(chosen), list(names), sum(not name.startswith("drawn") for name in names)


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).convert("RGB")


def _windows(picture: Image.Image) -> list[tuple[Image.Image, tuple[int, int]]]:
    parts = 4 if min(picture.size) > 700 else 3 if min(picture.size) > 290 else 1
    width, height = picture.width // parts, picture.height // parts
    places = [(x * width, y * height) for x in range(parts) for y in range(parts)]
    windows = [(picture.crop((x, y, x + width, y + height)), (x, y)) for x, y in places]
    return [
        (window, place) for window, place in windows if compute_perceptual_hash(np.asarray(window)).detail >= MIN_DETAIL
    ]


def _scene(seed: int) -> Image.Image:
    """Shapes of any colour on a slope of brightness, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:360, :480] / 480
    slope = 128 + 90 * (x * rng.normal() + y * rng.normal())
    picture = Image.fromarray(np.repeat(slope[..., None], 3, axis=2).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(5, 14))):
        corner, size = rng.uniform(-40, [460, 340]), rng.uniform(25, 170, 2)
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        box = [*corner.tolist(), *(corner + size).tolist()]
        if rng.random() < 0.5:
            draw.ellipse(box, fill=color)
        else:
            draw.regular_polygon((*corner.tolist(), float(size[0]) / 2), int(rng.integers(3, 7)), fill=color)
    return Image.fromarray((np.asarray(picture) + rng.normal(0, 6, (360, 480, 3))).clip(0, 255).astype(np.uint8))


def recall(count: int) -> None:
    """Print the table of what is found, and how near unrelated pictures come."""
    chosen, names, windows = pictures(count)
    hashes = as_words([_hash(picture) for picture in chosen])
    print(
        f"{count} pictures: {windows} windows of packaged ones, {count - windows} drawn; share found at a distance of"
    )
    print(f"  {'change':20s}" + "".join(f"{f'≤ {threshold}':>8s}" for threshold in THRESHOLDS) + "    median bits")
    for name, change in CHANGES.items():
        changed = as_words([_hash(change(picture)) for picture in chosen])
        apart = np.bitwise_count(hashes ^ changed).sum(axis=1, dtype=int)
        shares = "".join(f"{(apart <= threshold).mean():8.3f}" for threshold in THRESHOLDS)
        print(f"  {name:20s}{shares}{np.median(apart):12.0f}")
    first, second, distance = within(hashes, hashes, 255)
    unrelated = distance[first < second]
    wrong = int((unrelated <= THRESHOLD).sum())
    print(f"  unrelated pairs: {len(unrelated):,d}; suggested by default: {wrong}")
    nearest = int(np.argmin(np.where(first < second, distance, 256)))
    print(f"  the nearest: {distance[nearest]} bits, {names[first[nearest]]} and {names[second[nearest]]}")
    for kind, there in (("windows", slice(windows)), ("drawn", slice(windows, None))):
        first, second, distance = within(hashes[there], hashes[there], 255)
        print(f"  the nearest of the {kind}: {distance[first < second].min()} bits")


def pan() -> None:
    """Print how 60 frames of a slow pan are grouped: 320 × 320 windows of a photograph."""
    from sklearn.datasets import load_sample_image

    whole = load_sample_image("china.jpg")
    print("\na pan of 60 frames")
    for step in (1, 2, 5):
        frames = [whole[60:380, step * number : step * number + 320] for number in range(60)]
        hashes = [compute_perceptual_hash(frame).hex for frame in frames]
        following, ends = _distances(hashes[:-1], hashes[1:]), _distances(hashes[:1], hashes[-1:])
        groups = near_groups([_record(number, value) for number, value in enumerate(hashes)]).groups
        spans = [[image.position for image in group.images] for group in groups]
        widest = max(spans, key=lambda span: max(span) - min(span))
        apart = _distances([hashes[min(widest)]], [hashes[max(widest)]])[0]
        print(
            f"  {step} px a frame: neighbours {median(following):.0f} bits apart, first and last {ends[0]}; "
            f"{len(groups)} groups, the widest from frame {min(widest)} to {max(widest)}, its ends {apart} bits apart"
        )


def search(counts: list[int]) -> None:
    """Print the time of a query among random stored hashes, one at a time and 64 together."""
    rng = np.random.default_rng(0)
    print("\nsearch at the default threshold, all compared, one thread")
    for count in counts:
        stored = _random(rng, count)
        alone = median(_seconds(lambda stored=stored: within(stored, stored[:1], THRESHOLD)) for _ in range(21))
        many = median(_seconds(lambda stored=stored: within(stored, stored[:64], THRESHOLD)) for _ in range(5)) / 64
        print(f"  {count:>9,d} stored {1 / alone:10,.0f} queries/s one at a time {1 / many:10,.0f} queries/s of 64")


def grouping(counts: list[int], exact_up_to: int) -> None:
    """Print what grouping costs by comparing all and by `clusters`, and what the latter misses."""
    rng = np.random.default_rng(0)
    print(f"\ngrouping at the default threshold, one thread; near_groups compares all up to {EXACT:,d}, clusters above")
    print(f"  {'rows':>9s} {'all, s':>9s} {'clusters, s':>12s} {'÷ n log n':>10s} {'MiB more':>9s}   found, planted at")
    for count in counts:
        hashes, planted = _with_pairs(rng, count)
        before = _peak()
        took, found = _timed(lambda hashes=hashes: list(near_duplicates._stars_of_clusters(hashes, THRESHOLD, {})))
        more = _peak() - before
        exact = "not run"
        if count <= exact_up_to:
            exact = f"{_timed(lambda hashes=hashes: list(near_duplicates._stars(hashes, THRESHOLD, {})))[0]:.2f}"
        pairs = {(center, other) for center, others in found for _, other in others}
        shares = " ".join(
            f"{bits}: {np.mean([one in pairs for one in there]):.3f}" for bits, there in planted.items() if there
        )
        each = took / (count * np.log2(count)) * 1e9
        print(f"  {count:>9,d} {exact:>9s} {took:>12.2f} {each:>7.0f} ns {more:>9.0f}   {shares}")


def same_groups() -> None:
    """Print whether both ways group real pictures alike: windows of 96 pixels, every 4 pixels, of three photographs."""
    import skimage.data

    hashes = []
    for name in ("astronaut", "coffee", "camera"):
        pixels = np.asarray(_picture(np.asarray(getattr(skimage.data, name)())))
        places = ((y, x) for y in range(0, pixels.shape[0] - 96, 4) for x in range(0, pixels.shape[1] - 96, 4))
        looks = (compute_perceptual_hash(np.ascontiguousarray(pixels[y : y + 96, x : x + 96])) for y, x in places)
        hashes += [each.hex for each in looks if each.detail >= MIN_DETAIL]
    words = np.random.default_rng(0).permutation(as_words(hashes))
    took, exact = _timed(lambda: sorted(near_duplicates._stars(words, THRESHOLD, {})))
    less, found = _timed(lambda: sorted(near_duplicates._stars_of_clusters(words, THRESHOLD, {})))
    same = sum(group in found for group in exact)
    print(f"\n{len(words):,d} overlapping windows of photographs: {len(exact)} groups in {took:.2f} s, all compared;")
    print(f"  by clusters {len(found)} groups in {less:.2f} s, {same} of them the same")


def whole_call(counts: list[int]) -> None:
    """Print the time of `near_groups` on records, as a session has them."""
    rng = np.random.default_rng(0)
    print("\nnear_groups on records")
    for count in counts:
        hashes, _ = _with_pairs(rng, count)
        records = [_record(number, row.tobytes().hex()) for number, row in enumerate(hashes)]
        took, found = _timed(lambda records=records: near_groups(records))
        print(f"  {count:>9,d} {took:9.2f} s, {len(found.groups)} groups, all compared: {found.exact}")


def _with_pairs(rng: np.random.Generator, count: int) -> tuple[Words, dict[int, list[tuple[int, int]]]]:
    """Random hashes, a fifth of which are near another: of each number of bits the same share."""
    hashes = _random(rng, count)
    each = min(1000, count // (10 * len(PLANTED)))
    planted = {}
    for number, bits in enumerate(PLANTED):
        first = np.arange(each) + number * each
        second = count - 1 - first
        rows = np.unpackbits(hashes[first].view(np.uint8), axis=1)
        for row in rows:
            row[rng.choice(256, bits, replace=False)] ^= 1
        hashes[second] = np.packbits(rows, axis=1).view(np.uint64)
        planted[bits] = list(zip(first.tolist(), second.tolist(), strict=True))
    return hashes, planted


def _random(rng: np.random.Generator, count: int) -> Words:
    return rng.integers(0, 2**64, (count, 4), np.uint64)


def _record(number: int, perceptual_hash: str) -> ImageRecord:
    return ImageRecord(
        id=str(number), dataset="made up", dataset_id="m", filename=f"{number}.png", path=f"/{number}.png",
        content_hash="", pixel_hash=str(number), perceptual_hash=perceptual_hash, width=40, height=30, size_bytes=1,
        mtime_ns=1, inode=number, embedding_cached=False, position=number,
        perceptual_version=PERCEPTUAL_VERSION, perceptual_detail=20.0,
    )  # fmt: skip


def _hash(picture: Image.Image) -> str:
    return compute_perceptual_hash(np.asarray(picture.convert("RGB"))).hex


def _distances(first: list[str], second: list[str]) -> list[int]:
    return np.bitwise_count(as_words(first) ^ as_words(second)).sum(axis=1, dtype=int).tolist()


def _peak() -> float:
    """MiB that this process took at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def _seconds(call: Callable[[], object]) -> float:
    return _timed(call)[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--exact-up-to", type=int, default=20_000, help="compare all up to so many rows, too")
    arguments = parser.parse_args()
    recall(arguments.pictures)
    pan()
    search(arguments.counts)
    grouping(arguments.counts, arguments.exact_up_to)
    same_groups()
    whole_call([count for count in arguments.counts if count <= 100_000])
