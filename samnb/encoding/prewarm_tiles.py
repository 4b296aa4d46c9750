"""A prewarm of large images: their tiles are encoded one after the other, those nearest to the eye first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ..errors import ImageError, PromptError
from ..jobs import Event, JobControl
from ..records import ImageRecord
from .encoder import Encoder
from .pipeline import reason_of
from .prewarm import prewarm_models
from .regions import Region, check_region
from .tasks import EncodeTask
from .tiles import nearest_first

Tiles = Literal["tissue", "all"]
"""Which tiles of a large image are meant: those that show more than its background, or all."""

_READERS, _AHEAD = 2, 4
_POLL_SECONDS = 0.02
_FAR = 24  # grey levels: pixels that differ more from the background's colour are tissue
_SHARE, _BACKGROUND = 0.01, 0.2  # of a tile that is tissue; of the overview that has one colour

Tile = tuple[ImageRecord, Region]


def chosen_tiles(
    encoder: Encoder,
    image: ImageRecord,
    *,
    region: Sequence[float] | None = None,
    tiles: Tiles = "tissue",
    near: Sequence[float] | None = None,
) -> list[Tile]:
    """The tiles of a large image, in the order to encode them.

    Parameters
    ----------
    encoder : Encoder
    image : ImageRecord
    region : (x0, y0, x1, y1), optional
        Only tiles whose inner squares have pixels of it.
    tiles : "tissue" or "all"
    near : (x, y), optional
        Where the eye is, image pixels; None: the middle of the region, or of the image.

    Raises
    ------
    PromptError
        No such region, or another word for `tiles`.
    """
    if tiles not in ("tissue", "all"):
        raise PromptError(f"tiles: expected 'tissue' or 'all'; got {tiles!r}.")
    part = (0, 0, image.width, image.height) if region is None else check_region(region, image.size_hw)
    x, y = ((part[0] + part[2]) / 2, (part[1] + part[3]) / 2) if near is None else near
    found = nearest_first(encoder.large.grid(image).tiles(part), x, y)
    if tiles == "tissue":
        try:
            has_tissue = _tissue(encoder, image)
        except ImageError:
            found = found[:1]  # the event of this tile says what is wrong with the file; other images go on
        else:
            found = [tile for tile in found if has_tissue(tile)]
    return [(image, tile) for tile in found]


def split_large(encoder: Encoder, records: Sequence[ImageRecord], **which: Any) -> tuple[list[ImageRecord], list[Tile]]:
    """The images that are encoded whole, and the tiles of the others; `which` as for `chosen_tiles`."""
    large = [record for record in records if encoder.large.has(record)]
    ids = {record.id for record in large}
    tiles = [tile for record in large for tile in chosen_tiles(encoder, record, **which)]
    return [record for record in records if record.id not in ids], tiles


def prewarm_all(
    tiles: Sequence[Tile],
    models: Sequence[tuple[Encoder, Sequence[EncodeTask]]],
    *,
    encoder: Encoder,
    control: JobControl,
    **options: Any,
) -> Generator[Event]:
    """`samnb.encoding.prewarm.prewarm_models`, then the tiles of large images, as one piece of work."""
    if not tiles:
        yield from prewarm_models(models, control=control, **options)
        return
    before, last = sum(len(tasks) for _, tasks in models), Event("done")
    counts = {"computed": 0, "skipped": 0, "failed": 0}
    for event in prewarm_models(models, control=control, **options):
        if event.status == "done":
            last = event
        else:
            yield replace(event, total=before + len(tiles))
    for event in prewarm_tiles(tiles, encoder=encoder, control=control):
        counts[event.status] += 1
        yield replace(event, index=before + event.index, total=before + len(tiles))
    details = {**last.details, **{name: last.details.get(name, 0) + count for name, count in counts.items()}}
    details["cache_size"] = encoder.cache.approximate_len()
    cancelled = {"cancelled": True} if control.cancelled else {}
    yield Event("done", total=before + len(tiles), details=details | cancelled)


def prewarm_tiles(tiles: Sequence[Tile], *, encoder: Encoder, control: JobControl) -> Generator[Event]:
    """Encode the tiles that are missing; an event for each, in their order. Others are read meanwhile."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="samnb tiles") as pool:
        coming: deque[Future[Any]] = deque()
        waiting = iter(tiles)
        for index, (image, tile) in enumerate(tiles, start=1):
            while len(coming) < _AHEAD and (later := next(waiting, None)) is not None:
                coming.append(pool.submit(_read_ahead, encoder, *later))
            started = time.perf_counter()
            place: dict[str, Any] = {"index": index, "total": len(tiles), "filename": f"{image.filename} {tile}"}
            try:
                coming.popleft().result()
                if not _may_go_on(encoder, control):
                    break
                _, hit = encoder.region_embedding(image, tile, urgent=False)
            except Exception as error:
                # One bad tile must not stop the others; its event reports it.
                yield Event("failed", **place, details=reason_of(error))
                continue
            yield Event("skipped" if hit else "computed", **place, ms=(time.perf_counter() - started) * 1000)
        for future in coming:
            future.cancel()


def _read_ahead(encoder: Encoder, image: ImageRecord, tile: Region) -> None:
    if not encoder.has_region(image, tile, known_only=True):
        encoder.large.read(image, tile)


def _may_go_on(encoder: Encoder, control: JobControl) -> bool:
    """Wait while somebody waits for an embedding; False once the work is cancelled."""
    while encoder.priority_lock_prefixes() is not None and not control.cancelled:
        time.sleep(_POLL_SECONDS)
    return control.go_on()


def _tissue(encoder: Encoder, image: ImageRecord) -> Callable[[Region], bool]:
    """A function that tells of a tile whether it shows more than background.

    The background is the most frequent colour of the overview, if it takes a fifth of it; else every tile counts.
    """
    picture = encoder.large.open(image)
    level = picture.overview_level
    overview = picture.read((0, 0, image.width, image.height), level)
    coarse = (overview >> 4).astype(np.int32)
    codes = (coarse[..., 0] << 8) | (coarse[..., 1] << 4) | coarse[..., 2]
    counts = np.bincount(codes.ravel(), minlength=4096)
    most = int(counts.argmax())
    if counts[most] < _BACKGROUND * codes.size:
        return lambda tile: True
    background = np.median(overview[codes == most], axis=0)
    far = np.abs(overview.astype(np.int16) - background).max(axis=2) > _FAR
    step = 1 << level

    def has_tissue(tile: Region) -> bool:
        x0, y0, x1, y1 = tile
        here = far[y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)]
        return bool(here.mean() >= _SHARE) if here.size else False

    return has_tissue
