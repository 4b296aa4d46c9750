"""From an image of the catalog to its embedding: out of the store, or by the model, once.

The unit of work is `encode_into_store`: look in the store, compute, publish, return the key. Running it
twice is only waste, so any ``concurrent.futures`` executor can run it, a cluster's too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cache import EmbeddingCache, make_key
from ..catalog import Catalog
from ..errors import ImageChanged, StoreError, UnknownOption
from ..images import hash_of_upright, pixel_hash, read_pixels, read_upright
from ..models import HasPrecision, Model, SupportsBatches, embedding_spec_of, load_model
from ..prompts import Embedding
from ..records import ImageRecord
from ..store.limits import Limits
from .autotune import Choice
from .regions import Region, region_hash
from .storage_check import encode_to_store

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "EncodeOutcome",
    "EncodeTask",
    "Encoder",
    "RecentPixels",
    "check_cache_options",
    "encode_into_store",
    "open_cache",
    "prepared_picture",
    "read_checked",
]

_log = logging.getLogger("samnb.encoding")

CACHE_OPTIONS = ("dtype", "memory_bytes", "max_entries", "disk_bytes", "min_free_bytes", "ttl", "remote")
IN_HAND = 8
"""So many images that were asked for last are kept from eviction while a session is open."""


class Encoder:
    """A model and a store, and the catalog that is told what the store holds.

    Parameters
    ----------
    model : Model
    cache : EmbeddingCache
    catalog : Catalog
    checkpoint, device : str
        What the model was opened with, so that a worker elsewhere can open the same.
    owns_cache : bool
        Whether `close` closes the store, or leaves it to whoever opened it.
    """

    def __init__(
        self,
        model: Model,
        cache: EmbeddingCache,
        catalog: Catalog,
        *,
        checkpoint: str,
        device: str,
        owns_cache: bool = False,
    ):
        self.model, self.cache, self.catalog = model, cache, catalog
        self.checkpoint, self.device = checkpoint, device
        self._owns_cache = owns_cache
        self.choice: Choice | None = None
        """How a prewarm goes fastest here, once one has found out."""
        self._in_hand: deque[str] = deque()
        self._hands = threading.Lock()
        self._turns = threading.Lock()
        self._urgent = 0
        self._asked: list[str] = []
        cache.subscribe(self)

    @property
    def embedding_spec(self) -> str:
        """What, beside pixels and weights, an embedding depends on: preprocessing and precisions."""
        return f"{embedding_spec_of(self.model)}:store={self.cache.dtype}"

    def key(self, pixel_hash: str) -> str:
        """Where the embedding of these pixels is in the store."""
        return make_key(pixel_hash, self.model.fingerprint, self.embedding_spec)

    def has(self, image: ImageRecord) -> bool:
        """True when the store holds the image's embedding now."""
        return self.key(image.pixel_hash) in self.cache

    def task(self, image: ImageRecord) -> EncodeTask:
        """The image as work for `encode_into_store`."""
        return EncodeTask(
            key=self.key(image.pixel_hash),
            path=image.path,
            pixel_hash=image.pixel_hash,
            filename=image.filename,
            dataset=image.dataset,
            model=self.model.name,
            checkpoint=self.checkpoint,
            device=self.device,
            folder=str(self.cache.folder or ""),
            dtype=self.cache.dtype,
            limits=self.cache.limits,
            pixels=image.size_hw[0] * image.size_hw[1],
            content_hash=image.content_hash,
            precision=self._precision,
        )

    @cached_property
    def _precision(self) -> str:
        return self.model.precision if isinstance(self.model, HasPrecision) else "auto"

    def embedding(self, image: ImageRecord, *, urgent: bool = False) -> tuple[Embedding, bool]:
        """An image's embedding, and True when it came from the store and not from the encoder.

        Parameters
        ----------
        image : ImageRecord
        urgent : bool
            Somebody is looking at it: a prewarm in this process begins no other image until it is there.

        Raises
        ------
        ImageError
            The file is gone, damaged, or no longer holds the pixels it was added with.
        """
        task = self.task(image)
        with self.first_in_line() if urgent else nullcontext(), self._asking(task.key):
            embedding, hit = _from_store_or_model(task, self.model, self.cache)
        self._take_in_hand(task.key)
        if not image.embedding_cached:
            self._note_cached(task)
        return embedding, hit

    def region_embedding(self, image: ImageRecord, region: Region) -> tuple[Embedding, bool]:
        """The embedding of a part of an image, under a key of its own; for the rest, see `embedding`."""
        known_by = region_hash(image.pixel_hash, region)
        x0, y0, x1, y1 = region

        def compute() -> Embedding:
            pixels = read_checked(image.path, image.pixel_hash, image.dataset)[y0:y1, x0:x1]
            return encode_to_store(self.model, np.ascontiguousarray(pixels), self.cache.dtype)

        about = {"pixel_hash": known_by, "filename": f"{image.filename} {region}", "model": self.model.name}
        with self.first_in_line(), self._asking(self.key(known_by)):
            return self.cache.get_or_compute(self.key(known_by), compute, about=about)

    def wanted(self) -> frozenset[str] | None:
        """None while nobody is first in line; else the locks of the keys that are waited for (first two digits)."""
        with self._turns:
            return frozenset(key[:2] for key in self._asked) if self._urgent else None

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        with self._turns:
            self._asked.append(key)
        try:
            yield
        finally:
            with self._turns:
                self._asked.remove(key)

    @contextmanager
    def first_in_line(self) -> Iterator[None]:
        """While inside, a prewarm encodes nothing but what the one inside waits for."""
        with self._turns:
            self._urgent += 1
        try:
            yield
        finally:
            with self._turns:
                self._urgent -= 1

    def finished(self, task: EncodeTask) -> None:
        """Tell the catalog that the store holds the task's embedding, if it does."""
        if task.key not in self.cache:
            refused = self.cache.stats().refused
            why = (
                f"The disk had no room for {refused} embeddings: raise the budget with cache={{'disk_bytes': …}}."
                if refused
                else "Workers and this session need to see the same folder under the same path."
            )
            raise StoreError(f"{task.filename}: its embedding was computed, but is not in {self.cache!r}. {why}")
        self._note_cached(task)

    def held(self, tasks: Sequence[EncodeTask]) -> set[str]:
        """Keys of the tasks whose embeddings the store has now; the catalog is told of all of them at once."""
        held = {task.key for task in tasks if task.key in self.cache}
        hashes = {task.pixel_hash for task in tasks if task.key in held}
        self._note(f"{len(held)} embeddings are", lambda: self.catalog.mark_held(hashes))
        return held

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        """Compare the catalog's flags with the store; see `samnb.store.observers`."""
        wrong = len(self.catalog.wrongly_flagged(self.has, pixel_hashes=pixel_hashes))
        if wrong and fix:
            self.catalog.refresh_cached(self.has, pixel_hashes=pixel_hashes)
        return wrong

    def close(self) -> None:
        """Listen to the store no more, and wait until remote tiers have what was computed."""
        self.cache.unsubscribe(self)
        with self._hands:
            self.cache.unpin(self._in_hand)
        if self._owns_cache:
            self.cache.close()
        else:
            self.cache.flush()

    def _take_in_hand(self, key: str) -> None:
        with self._hands:
            with suppress(ValueError):  # not in hand before
                self._in_hand.remove(key)
            self._in_hand.append(key)
            self.cache.pin([key])
            while len(self._in_hand) > IN_HAND:
                self.cache.unpin([self._in_hand.popleft()])

    def _note_cached(self, task: EncodeTask) -> None:
        self._note(f"{task.filename}: its embedding is", lambda: self.catalog.mark_pixels_cached(task.pixel_hash, True))

    def _note(self, what: str, write: Callable[[], object]) -> None:
        """Write a flag of the catalog; an embedding is as good without, and the next look at the store sets it."""
        try:
            write()
        except StoreError as error:
            _log.warning("%s in the store, and the catalog could not be told: %s", what, error)


@dataclass(frozen=True)
class EncodeTask:
    """All a worker anywhere needs to encode one image; small and picklable.

    Parameters
    ----------
    key : str
        Where the embedding goes in the store.
    path, pixel_hash, filename, dataset : str
        The image, and the pixels that must be found at its path.
    model, checkpoint, device : str
        As for `samnb.models.load_model`; checkpoint "" for none.
    folder, dtype : str
        The store, and its storage precision.
    limits : Limits
        What the store may take.
    pixels : int
        How many the image has; 0: not known.
    precision : str
        In which the encoder computes; the key says the same.
    content_hash : str
        Of the file's bytes when it was added: the same bytes have the same pixels. "" where that is not known.
    """

    key: str
    path: str
    pixel_hash: str
    filename: str
    dataset: str
    model: str
    checkpoint: str
    device: str
    folder: str
    dtype: str
    limits: Limits = field(default_factory=Limits)
    pixels: int = 0
    precision: str = "auto"
    content_hash: str = ""

    @property
    def about(self) -> dict[str, str]:
        """What the entry says of itself in its header."""
        return {"pixel_hash": self.pixel_hash, "filename": self.filename, "model": self.model}


@dataclass(frozen=True)
class EncodeOutcome:
    """What came of an `EncodeTask`: its key, never the tensor."""

    key: str
    computed: bool
    ms: float


class RecentPixels:
    """Pixels of the last few images that were asked for, read-only; each file is checked when it is read."""

    def __init__(self, keep: int = 4):
        self._keep = keep
        self._held: dict[str, NDArray[np.uint8]] = {}

    def of(self, image: ImageRecord) -> NDArray[np.uint8]:
        """(H, W, 3) uint8; raises as `read_checked` does."""
        pixels = self._held.get(image.pixel_hash)
        if pixels is None:
            pixels = read_checked(image.path, image.pixel_hash, image.dataset)
            # Kept for the next caller, so nobody may draw into it.
            pixels.setflags(write=False)
            while len(self._held) >= self._keep:
                self._held.pop(next(iter(self._held)), None)
            self._held[image.pixel_hash] = pixels
        return pixels


def check_cache_options(cache: EmbeddingCache | Mapping[str, Any] | None) -> None:
    """Raise `UnknownOption` for what `open_cache` would not know."""
    options = {} if cache is None or isinstance(cache, EmbeddingCache) else cache
    if unknown := set(options) - set(CACHE_OPTIONS):
        raise UnknownOption("Session(cache={...})", unknown, CACHE_OPTIONS)


def open_cache(session_folder: Path, cache: EmbeddingCache | Mapping[str, Any] | None) -> EmbeddingCache:
    """A session's own store with these options, or the one that was given."""
    if isinstance(cache, EmbeddingCache):
        return cache
    return EmbeddingCache(session_folder / "embeddings", **(cache or {}))


def encode_into_store(task: EncodeTask) -> EncodeOutcome:
    """Do one task with this process's own model and store: what an executor runs."""
    model = _model(task.model, task.checkpoint, task.device, task.precision)
    return _encode(task, model, _store(task.folder, task.dtype, task.limits))


def read_checked(path: str | Path, expected_hash: str, dataset: str) -> NDArray[np.uint8]:
    """Pixels of a file, if they still are the ones that were added; else `ImageChanged`.

    An embedding is filed under the pixels' hash: encoding a file that changed meanwhile would file it
    under the wrong one, for every later session.
    """
    pixels = read_pixels(path)
    if pixel_hash(pixels) != expected_hash:
        raise ImageChanged(path, dataset)
    return pixels


def prepared_picture(task: EncodeTask, model: SupportsBatches) -> Any:
    """The task's image as ``model.prepare`` leaves it, checked as by `read_checked`; its pixels are never copied."""
    return model.prepare(_checked_picture(task))


def _checked_picture(task: EncodeTask) -> Image:
    # The bytes of a JPEG are a tenth of its pixels, and as telling; pixels are hashed only of a file written anew.
    picture, unchanged = read_upright(task.path, content_hash=task.content_hash)
    if not unchanged and hash_of_upright(picture) != task.pixel_hash:
        raise ImageChanged(task.path, task.dataset)
    return picture


def _encode(task: EncodeTask, model: Model, cache: EmbeddingCache) -> EncodeOutcome:
    started = time.perf_counter()
    _, hit = _from_store_or_model(task, model, cache)
    return EncodeOutcome(task.key, not hit, (time.perf_counter() - started) * 1000)


def _from_store_or_model(task: EncodeTask, model: Model, cache: EmbeddingCache) -> tuple[Embedding, bool]:
    def compute() -> Embedding:
        return encode_to_store(model, np.asarray(_checked_picture(task)), cache.dtype)

    return cache.get_or_compute(task.key, compute, about=task.about)


@lru_cache(maxsize=2)
def _model(name: str, checkpoint: str, device: str, precision: str) -> Model:
    return load_model(name, checkpoint=checkpoint or None, device=device, precision=precision)


@lru_cache(maxsize=8)
def _store(folder: str, dtype: str, limits: Limits) -> EmbeddingCache:
    return EmbeddingCache(folder, dtype=dtype, **asdict(limits))
