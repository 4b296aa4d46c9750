"""`Encoder`: from an image of the catalog to its embedding, out of the store or by the model, once."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np

from ..cache import EmbeddingCache, make_key
from ..cards import count_text
from ..catalog import Catalog
from ..errors import ImageChanged, StoreError
from ..images.change_check import ChangeCheck
from ..images.pixel_cache import read_checked
from ..images.smaller import smaller_spec
from ..models import ChoosesPrecision, HasFrame, HasPrecision, Model, embedding_spec_of
from ..prompts import Embedding
from ..records import ImageRecord, NewImage
from ..settings import setting
from ..store.header import read_header
from .autotune import TuningResult
from .large_images import LargeImages
from .priority import Priority
from .regions import Region, region_hash, whole_region
from .storage_check import encode_to_store
from .tasks import EncodeTask, load_or_encode, metadata_of, of_size

_log = logging.getLogger("samnb.encoding")

PINNED_RECENT = 8
"""Number of the images asked for last that are kept from eviction while a session is open."""

LOOKED_AT = 100
"""First images of the catalog, and entries of the store, by which is decided in what precision embeddings are here."""

KEPT_PRECISIONS = ("float32", "bfloat16")


class Encoder:
    """A model, a store, and the catalog that records what the store holds.

    Parameters
    ----------
    model : Model
    cache : EmbeddingCache
    catalog : Catalog
    checkpoint, device : str
        The arguments the model was loaded with, so that a worker elsewhere can load the same.
    owns_cache : bool
        Whether `close` closes the store too.
    overviews : Path, optional
        Folder of the overviews of large images.
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
        overviews: Path | None = None,
    ):
        self.model, self.cache, self.catalog = model, cache, catalog
        self.checkpoint, self.device = checkpoint, device
        self._owns_cache = owns_cache
        self.tuning: TuningResult | None = None
        """The fastest settings of a prewarm here, once a prewarm has found them."""
        self._recent_keys: deque[str] = deque()
        self._recent_lock = threading.Lock()
        self.waiting = Priority()
        """Who waits for an embedding; shared with the session's other models."""
        self.changes = ChangeCheck()
        """Whether files are what was added; shared by all that use what is kept of them."""
        self.large = LargeImages(overviews)
        """Images that are encoded tile by tile; shared with the session's other models."""
        self.longest: int | None = setting("DOWNSCALE_MAX")
        """Pictures with a longer side are read smaller; None: all at full size."""
        if isinstance(model, ChoosesPrecision) and model.may_choose and (kept := self._kept_precision(model)):
            model.settle(*kept)
        cache.subscribe(self)

    def _kept_precision(self, model: ChoosesPrecision) -> tuple[str, str] | None:
        """The precision in which the model's embeddings are here, and a reason to stay with it; None to choose anew.

        In another precision every image would be encoded once more, so what a check of the machine says today
        (its figures vary) counts for less.
        """
        if self.cache.remote:
            return "float32", "embeddings are shared, and other machines may not have bfloat16"
        if self.cache.folder is None:
            return None
        found, own = Counter[str](), self.model.fingerprint
        for image in self.catalog.images(count=LOOKED_AT):
            smaller = self._smaller(self._longest_of(image.size_hw))
            for spec in map(model.spec_in, KEPT_PRECISIONS if image.embedding_cached else ()):
                key = make_key(image.pixel_hash, own, f"{spec}:store={self.cache.dtype}{smaller}")
                found[spec] += key in self.cache
        # Tiles of large images are in no catalog.
        headers = (read_header(self.cache.path_of(key)) for key in islice(self.cache.keys(), LOOKED_AT))
        found.update(
            about.get("recipe", "").split(":store=")[0] for about in headers if about.get("fingerprint", own) == own
        )
        here = max(KEPT_PRECISIONS, key=lambda precision: found[model.spec_in(precision)])
        return (here, f"the embeddings that are here are in {here}") if found[model.spec_in(here)] else None

    @property
    def embedding_spec(self) -> str:
        """What an embedding depends on besides pixels and weights: preprocessing and precisions."""
        return f"{embedding_spec_of(self.model)}:store={self.cache.dtype}"

    def key(self, pixel_hash: str, size_hw: tuple[int, int] = (0, 0)) -> str:
        """The store's key of the embedding of these pixels, read smaller if (H, W) is above `longest`."""
        return make_key(pixel_hash, *self.made_by(self._longest_of(size_hw)))

    def has(self, image: ImageRecord | NewImage) -> bool:
        """True when the store holds the image's embedding now; of a large image, what was encoded of the whole."""
        if self.large.has(image):
            return isinstance(image, ImageRecord) and self.has_region(image, whole_region(image), known_only=True)
        return self.key(image.pixel_hash, image.size_hw) in self.cache

    def is_known(self, image: ImageRecord | NewImage) -> bool:
        """True when the store holds the embedding here, or, with remote tiers, the catalog says that it does.

        Another machine may have encoded it: then it is not in this one's folder, and asking for each would take long.
        """
        return (image.embedding_cached and bool(self.cache.remote)) or self.has(image)

    def sync(self) -> int:
        """Read the listing of the store, with its remote tiers, into the catalog; the number of images it has.

        Raises
        ------
        TierUnavailable
            A tier does not answer; nothing is changed.
        """
        held = {*self.cache.keys(), *self.cache.remote.keys()}

        def is_held(image: ImageRecord) -> bool:
            if self.large.has(image):  # its tiles have keys of their own
                return self.has(image)
            return self.key(image.pixel_hash, image.size_hw) in held

        return self.catalog.refresh_cached(is_held)

    def has_region(self, image: ImageRecord, region: Region, *, known_only: bool = False) -> bool:
        """True when the store holds the embedding of that part of the image now.

        Parameters
        ----------
        image : ImageRecord
        region : (x0, y0, x1, y1)
        known_only : bool
            Of a large image, False for a region that this process did not read before, instead of reading it.
        """
        if not self.large.has(image):
            return self.key(region_hash(image.pixel_hash, region)) in self.cache
        known = self.large.known_hash(image, region)
        if known is None and known_only:
            return False
        return self._tile_key(image, region, known or self.large.read(image, region)[1]) in self.cache

    def task(self, image: ImageRecord, *, whole: tuple[str, str] | None = None) -> EncodeTask:
        """The image as work for `load_or_encode`, here or on a worker.

        `whole`: what `made_by` of pictures at full size is, from a caller who asks for many.
        """
        size_hw = image.size_hw
        longest = self._longest_of(size_hw)
        made_by = self.made_by(longest) if longest is not None or whole is None else whole
        return EncodeTask(
            key=make_key(image.pixel_hash, *made_by),
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
            pixels=size_hw[0] * size_hw[1],
            content_hash=image.content_hash,
            size_hw=size_hw if all(size_hw) else None,
            precision=self.precision,
            made_by=made_by,
            longest=longest,
        )

    def made_by(self, longest: int | None = None) -> tuple[str, str]:
        """The model's fingerprint and the embedding spec of a picture whose longer side is limited to `longest`."""
        return self.model.fingerprint, self.embedding_spec + self._smaller(longest)

    @staticmethod
    def _smaller(longest: int | None) -> str:
        return "" if longest is None else f":{smaller_spec(longest)}"

    def _longest_of(self, size_hw: tuple[int, int]) -> int | None:
        """What the longer side of a picture is limited to; no more than the model uses, and a third."""
        if self.longest is None or max(size_hw) <= self.longest:
            return None
        return min(self.longest, 4 * self.model.frame // 3) if isinstance(self.model, HasFrame) else self.longest

    @cached_property
    def precision(self) -> str:
        """The precision of the model's encoder, or "auto" for a model with one only."""
        return self.model.precision if isinstance(self.model, HasPrecision) else "auto"

    def embedding(self, image: ImageRecord, *, urgent: bool = False) -> tuple[Embedding, bool]:
        """An image's embedding, and True when it came from the store and not from the encoder.

        Parameters
        ----------
        image : ImageRecord
        urgent : bool
            The user waits for it: a prewarm in this process starts no other image until it is there.

        Raises
        ------
        ImageError
            The file is gone, damaged, or no longer holds the pixels it was added with.
        """
        if self.large.has(image):
            return self.region_embedding(image, whole_region(image))
        task = self.task(image)
        with (
            self.priority() if urgent else nullcontext(),
            self.waiting.requesting(task.key),
            self.forgets_changed(image),
        ):
            embedding, hit = load_or_encode(task, self.model, self.cache)
            if hit:
                self.changes.check(image)
        self._pin_recent(task.key)
        if not image.embedding_cached:
            self._note_cached(task)
        return embedding, hit

    def region_embedding(self, image: ImageRecord, region: Region, *, urgent: bool = True) -> tuple[Embedding, bool]:
        """The embedding of a part of an image, under its own key; otherwise as `embedding`."""
        if self.large.has(image):
            return self._tile_embedding(image, region, urgent=urgent)
        pixels_hash = region_hash(image.pixel_hash, region)
        x0, y0, x1, y1 = region

        def compute() -> Embedding:
            pixels = read_checked(image.path, image.pixel_hash, image.dataset)[y0:y1, x0:x1]
            return encode_to_store(self.model, np.ascontiguousarray(pixels), self.cache.dtype)

        metadata = metadata_of(pixels_hash, f"{image.filename} {region}", self.model.name, self.made_by())
        with self.priority(), self.waiting.requesting(self.key(pixels_hash)), self.forgets_changed(image):
            embedding, hit = of_size((y1 - y0, x1 - x0), self.cache, self.key(pixels_hash), compute, metadata)
            if hit:
                self.changes.check(image)
            return embedding, hit

    def _tile_embedding(self, image: ImageRecord, region: Region, *, urgent: bool) -> tuple[Embedding, bool]:
        """Of a region of a large image, found by the pixels of the region itself, at its pyramid level."""

        def compute() -> Embedding:
            return encode_to_store(self.model, self.large.read(image, region)[0], self.cache.dtype)

        with self.priority() if urgent else nullcontext(), self.forgets_changed(image):
            self.changes.check(image)
            known = self.large.known_hash(image, region) or self.large.read(image, region)[1]
            level, key = self.large.grid(image).level(region), self._tile_key(image, region, known)
            x0, y0, x1, y1 = region
            about = metadata_of(known, f"{image.filename} {region}", self.model.name, self._tile_made_by(level))
            size_hw = (-(-(y1 - y0) // (1 << level)), -(-(x1 - x0) // (1 << level)))
            with self.waiting.requesting(key):
                embedding, hit = of_size(size_hw, self.cache, key, compute, about)
            return replace(embedding, original_size=(y1 - y0, x1 - x0)), hit

    def _tile_key(self, image: ImageRecord, region: Region, pixels_hash: str) -> str:
        return make_key(pixels_hash, *self._tile_made_by(self.large.grid(image).level(region)))

    def _tile_made_by(self, level: int) -> tuple[str, str]:
        """The model's fingerprint, and the embedding spec of a region at that level."""
        return self.model.fingerprint, self.embedding_spec + (f":level={level}" if level else "")

    @contextmanager
    def forgets_changed(self, image: ImageRecord) -> Iterator[None]:
        """Inside the block, `ImageChanged` makes the catalog forget the file, so that adding it reads it again."""
        try:
            yield
        except ImageChanged:
            self.forget_file(image.path)
            raise

    def forget_file(self, path: str) -> None:
        """Make the catalog forget what it knows of a file that changed."""
        self._note(f"{path}: its pixels changed", lambda: self.catalog.files.forget(path))

    def priority_lock_prefixes(self) -> frozenset[str] | None:
        """First two digits of the keys that callers wait for (their locks); None while no caller has priority."""
        return self.waiting.lock_prefixes()

    def priority(self) -> AbstractContextManager[None]:
        """Inside the block, a prewarm of this process encodes only what this caller waits for."""
        return self.waiting.held()

    def find_cached(self, tasks: Sequence[EncodeTask], *, shared: Collection[str] = ()) -> set[str]:
        """Keys of the tasks whose embeddings the store has now; the catalog records all of them at once.

        `shared`: keys known to be in a remote tier.
        """
        # Once: a `TaskList` makes its tasks each time.
        found = {task.key: task.pixel_hash for task in tasks if task.key in shared or task.key in self.cache}
        held, hashes = set(found), set(found.values())
        self._note(f"{count_text(len(held), 'embedding')} found in the store", lambda: self.catalog.mark_held(hashes))
        return held

    def check_kept(self, task: EncodeTask) -> None:
        """Raise `StoreError` where the store did not take the embedding of a task.

        That it is there is not asked: another process may have stored others since, and evicted it.
        """
        if self.cache.refused(task.key):
            raise StoreError(not_kept(task, self.cache))

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        """Compare the catalog's flags with the store; see `samnb.store.observers`."""
        wrong = sum(1 for _ in self.catalog.wrongly_flagged(self.is_known, pixel_hashes=pixel_hashes))
        if wrong and fix:
            self.catalog.refresh_cached(self.is_known, pixel_hashes=pixel_hashes)
        return wrong

    def close(self) -> None:
        """Stop observing the store, and wait until remote tiers have what was computed."""
        self.large.close()
        self.cache.unsubscribe(self)
        with self._recent_lock:
            self.cache.unpin(self._recent_keys)
        if self._owns_cache:
            self.cache.close()
        else:
            self.cache.flush()

    def _pin_recent(self, key: str) -> None:
        with self._recent_lock:
            with suppress(ValueError):  # not a recent one
                self._recent_keys.remove(key)
            self._recent_keys.append(key)
            self.cache.pin([key])
            while len(self._recent_keys) > PINNED_RECENT:
                self.cache.unpin([self._recent_keys.popleft()])

    def _note_cached(self, task: EncodeTask) -> None:
        what = f"{task.filename}: its embedding is in the store"
        self._note(what, lambda: self.catalog.mark_pixels_cached(task.pixel_hash, True))

    def _note(self, what: str, write: Callable[[], object]) -> None:
        """Write what was found to the catalog; a failure is only logged, and the next comparison finds it again."""
        try:
            write()
        except StoreError as error:
            _log.warning("%s, and the catalog could not be told: %s", what, error)


class TaskList(Sequence[EncodeTask]):
    """The tasks of many images, made when they are asked for: a million at once would take gigabytes."""

    def __init__(self, encoder: Encoder, images: Sequence[ImageRecord]):
        self._encoder, self._images = encoder, images

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[EncodeTask]:
        return map(partial(self._encoder.task, whole=self._encoder.made_by()), self._images)

    @overload
    def __getitem__(self, index: int) -> EncodeTask: ...
    @overload
    def __getitem__(self, index: slice) -> TaskList: ...
    def __getitem__(self, index: int | slice) -> EncodeTask | TaskList:
        if isinstance(index, slice):
            return TaskList(self._encoder, self._images[index])
        return self._encoder.task(self._images[index])


def not_kept(task: EncodeTask, cache: EmbeddingCache) -> str:
    """Why an embedding that was computed is not in the store, for an error."""
    refused = cache.stats().refused
    why = (
        f"The disk had no room for {count_text(refused, 'embedding')}: raise the budget with cache={{'disk_bytes': …}}."
        if refused
        else "Workers and this session need to see the same folder under the same path, or to share a remote tier."
    )
    return f"{task.filename}: its embedding was computed, but is not in {cache!r}. {why}"
