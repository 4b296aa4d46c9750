"""The methods of `samnb.session.Session` about embeddings: what is cached, and prewarm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

from ..encoding.encoder import TaskList
from ..encoding.prefetch import EncodingState
from ..encoding.prewarm_tiles import Tiles, prewarm_all, split_large
from ..encoding.regions import Region, check_region
from ..encoding.storage_check import StorageReport, compare_storage
from ..jobs import Event, Job, JobControl, Signal
from ..prompts import Embedding
from ..records import ImageRecord, ImageRef
from .parts import SessionParts, shown


class EmbeddingMethods(SessionParts):
    """Embeddings, which are computed once for each picture."""

    def is_cached(self, image: ImageRef, *, region: Region | None = None) -> bool:
        """True when the store holds the embedding of the image now, or of that region of it."""
        record = self._library.image(image)
        if region is None:
            return self._encoder.has(record)
        return record.is_read and self._encoder.has_region(record, check_region(region, record.size_hw))

    def embedding(self, image: ImageRef) -> tuple[Embedding, bool]:
        """An image's embedding, and True if it came from the store and not from the encoder."""
        return self._encoder.embedding(self._library.read(image), urgent=True)

    def prefetch(self, image: ImageRef, *, neighbours: Iterable[ImageRef] = ()) -> None:
        """Encode an image in the background before anything else, and then those that may be needed next.

        Returns at once. A prewarm of this session waits meanwhile. Images of an earlier call that have not started are
        dropped. `look_at` is the earlier name.
        """
        self._prefetcher.prefetch(self._library.image(image), [self._library.image(other) for other in neighbours])

    def encoding_state(self, image: ImageRef) -> EncodingState:
        """The state of an image's embedding: "cached", "waiting", "encoding", "failed" or "unknown".

        `lamp` is the earlier name.
        """
        return self._prefetcher.state(self._library.image(image))

    look_at = prefetch
    lamp = encoding_state

    @property
    def encoding_changes(self) -> Signal:
        """Calls its listeners with an image and its encoding state when that may have changed."""
        return self._prefetcher.changes

    def check_storage(
        self,
        images: Iterable[ImageRef] | None = None,
        *,
        dtypes: Sequence[str] = ("float16", "int8"),
        prompts: int = 32,
    ) -> StorageReport:
        """Measure how storing embeddings in fewer bytes changes this model's masks; encodes the images again.

        Parameters
        ----------
        images : iterable, optional
            None: the first three.
        dtypes : sequence of str
            Each is compared with float32.
        prompts : int
            Number of points and boxes on each image.
        """
        records = self.catalog.images()[:3] if images is None else self._library.select(None, images)
        embeddings = (self.model.encode(self._library.pixels(record)) for record in records)
        return compare_storage(self.model, embeddings, dtypes=dtypes, prompts=prompts)

    def prewarm(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        features: Iterable[str] | None = None,
        on: Any = None,
        executor: Executor | None = None,
        region: Region | None = None,
        tiles: Tiles = "tissue",
        near: tuple[float, float] | None = None,
        show: bool = True,
    ) -> Job:
        """Encode what is not cached yet, in the background; `await` it, or call `.wait()`.

        Of a large image these are its tiles, by the session's own model, in this process; they come last.

        Parameters
        ----------
        dataset : str, optional
            None: all images; a file that is in several datasets counts once.
        images : iterable, optional
            Only these, in this order.
        features : iterable of str, optional
            Other models whose embeddings are computed too, after those of the session's model; their events have the
            model's name as "features". None: those that saved templates compare; (): none.
        on : Client, str or Executor, optional
            Workers: a ``distributed.Client``, its address ``"tcp://host:8786"``, or any `concurrent.futures` executor.
            They load the model themselves, and need the pictures under the same paths, and the session's folder or a
            remote tier of its store; see docs/many-machines.md. None: one after the other in this process.
        executor : Executor, optional
            The earlier name of `on`.
        region : (x0, y0, x1, y1), optional
            Of large images only the tiles of this part; image pixels.
        tiles : {"tissue", "all"}
            Of large images the tiles that show more than the background, or all.
        near : (x, y), optional
            Of large images the tiles nearest to this point come first; None: to the middle of the region.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        records = self._library.files(dataset, images)
        which: Any = {"region": region, "tiles": tiles, "near": near}
        work, total = self._prewarming(records, features, executor if on is None else on, **which)
        job = Job("prewarm", work, total=total)
        by_name = {record.filename: record for record in records}
        job.subscribe(lambda event: self._prefetcher.notify(by_name.get(event.filename)))
        return shown(job, show)

    def prewarm_stream(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        features: Iterable[str] | None = None,
        on: Any = None,
        executor: Executor | None = None,
    ) -> Iterator[Event]:
        """The same as `prewarm`, in this thread: an iterator of its events."""
        records = self._library.files(dataset, images)
        return self._prewarming(records, features, executor if on is None else on)[0](JobControl())

    def sync(self) -> int:
        """Read the listing of the store, with its remote tiers, into the catalog; the number of images it has.

        After workers without this catalog have encoded. A bucket takes a request for every thousand embeddings.

        Raises
        ------
        TierUnavailable
            A remote tier does not answer; nothing is changed.
        """
        return self._encoder.sync()

    def _prewarming(
        self, records: Sequence[ImageRecord], features: Iterable[str] | None, on: Any, **which: Any
    ) -> tuple[Callable[[JobControl], Iterator[Event]], int]:
        """The work of a prewarm, and the number of its embeddings."""
        encoders, left_out = self._others.chosen(features, self._templates.other_models)
        plain, tiles = split_large(self._encoder, records, **which)

        def work(control: JobControl) -> Iterator[Event]:
            how: Any = {"encoder": self._encoder, "control": control, "on": on, "left_out": left_out}

            def encode(images: list[ImageRecord]) -> Iterator[Event]:
                whole, more = split_large(self._encoder, images, **which)  # one that was read just now may be large
                return prewarm_all([*tiles, *more], [(one, TaskList(one, whole)) for one in encoders], **how)

            return self._library.once_read(plain, encode, control=control, on=on)

        return work, len(plain) * len(encoders) + len(tiles)
