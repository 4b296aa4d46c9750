"""`AnnotationCrops`: a small picture of each annotation in view of the list, made on a worker and kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from ..common.background import LatestOnlyWorker
from ..common.thumbnails import mask_thumbnail
from .annotation_outlines import version_of

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession

_log = logging.getLogger("samnb.widgets")

# (width, height), twice the CSS pixels of a row: sharp on a HiDPI screen.
_SIZE = (80, 56)
_KEPT = 1000

_Key = tuple[object, ...]


class AnnotationCrops:
    """Makes the crops that are missing; the list gets them when they are ready.

    Parameters
    ----------
    session : AnnotatorSession
        Its pixels are read on the worker.
    on_ready : callable
        Called with the PNG of each annotation, by id, also of those that were there already.
    """

    def __init__(self, session: AnnotatorSession, *, on_ready: Callable[[Mapping[int, bytes]], None]):
        self._session, self._on_ready = session, on_ready
        self.worker = LatestOnlyWorker()
        self._kept: LRUCache[_Key, bytes] = LRUCache(_KEPT)

    def want(self, image: ImageRecord, annotations: Iterable[tuple[Annotation, str]]) -> None:
        """Make the crops of these annotations, each with its "#rrggbb" colour."""
        wanted = {_key(image, a, color): (a, color) for a, color in annotations if a.part.size_hw == image.size_hw}
        there = {a.id: self._kept[key] for key, (a, _) in wanted.items() if key in self._kept}
        if there:
            self._on_ready(there)
        missing = {key: each for key, each in wanted.items() if key not in self._kept}
        if missing:
            self.worker.submit(partial(self._made, image, missing), partial(self._take, image))

    def _made(
        self, image: ImageRecord, missing: Mapping[_Key, tuple[Annotation, str]]
    ) -> dict[_Key, tuple[int, bytes]]:
        whole = self._session.pixels(image) if self._session.large_picture(image) is None else None
        return {key: (a.id, self._crop(image, whole, a, color)) for key, (a, color) in missing.items()}

    def _crop(self, image: ImageRecord, whole: NDArray[np.uint8] | None, annotation: Annotation, color: str) -> bytes:
        """Of the part around the object: the whole picture takes a hundred times as long, and may not be there."""
        x0, y0, x1, y1 = annotation.part.box
        margin = max(x1 - x0, y1 - y0) // 2 + 8
        left, top = max(0, x0 - margin), max(0, y0 - margin)
        around = (left, top, min(image.width, x1 + margin), min(image.height, y1 + margin))
        part = slice(top, around[3]), slice(left, around[2])
        pixels = self._session.region_pixels(image, around) if whole is None else whole[part]
        return mask_thumbnail(pixels, annotation.part.inside(around), color, _SIZE)

    def _take(self, image: ImageRecord, made: dict[_Key, tuple[int, bytes]] | None, error: Exception | None) -> None:
        if made is None:
            # The rows stay without; the picture itself says on the stage what is wrong with it.
            _log.warning("no crops of the annotations on %s", image.filename, exc_info=error)
            return
        self._kept.update({key: crop for key, (_, crop) in made.items()})
        self._on_ready(dict(made.values()))


def _key(image: ImageRecord, annotation: Annotation, color: str) -> _Key:
    return image.id, image.pixel_hash, annotation.id, version_of(annotation), color
