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
        """True when the store holds the embedding of an image now, or of a region of it.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        region : (x0, y0, x1, y1), optional
            Whole image pixels, as given to `predict`. Default: the whole image.

        Returns
        -------
        bool

        Raises
        ------
        UnknownName
            No such image.
        PromptError
            A region that is empty or not inside the image.
        ImageError
            Of a region of a large image, whose pixels are its key: the file is gone or damaged.

        Examples
        --------
        >>> session.is_cached("coins_1.png"), session.is_cached("coins_2.png")
        (True, False)
        """
        record = self._library.image(image)
        if region is None:
            return self._encoder.has(record)
        return record.is_read and self._encoder.has_region(record, check_region(region, record.size_hw))

    def embedding(self, image: ImageRef) -> tuple[Embedding, bool]:
        """An image's embedding, from the store, or from the encoder, which also stores it.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        embedding : Embedding
            Its `tensors` are arrays of float32 by name, its `original_size` is (H, W) of the image.
        hit : bool
            True if it came from the store.

        Raises
        ------
        UnknownName
            No such image.
        ImageError
            The file is gone or damaged, or its pixels have changed since it was added.

        Examples
        --------
        >>> embedding, hit = session.embedding("coins_1.png")
        >>> hit, embedding.original_size
        (True, (202, 243))
        """
        return self._encoder.embedding(self._library.read(image), urgent=True)

    def prefetch(self, image: ImageRef, *, neighbours: Iterable[ImageRef] = ()) -> None:
        """Encode an image in the background before anything else, and then those that may be needed next.

        Returns at once. A prewarm of this session waits meanwhile. Images of an earlier call that have not started are
        dropped. A file that cannot be encoded has the `encoding_state` "failed". `look_at` is the earlier name.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        neighbours : iterable of images
            Those after it, in this order. Default: none.

        Raises
        ------
        UnknownName
            No such image.

        Examples
        --------
        >>> session.prefetch("coins_2.png", neighbours=["coins_3.png"])
        >>> prediction = session.predict("coins_2.png", points=[(60, 60)])
        >>> session.encoding_state("coins_2.png")
        'cached'
        """
        self._prefetcher.prefetch(self._library.image(image), [self._library.image(other) for other in neighbours])

    def encoding_state(self, image: ImageRef) -> EncodingState:
        """The state of an image's embedding.

        `lamp` is the earlier name.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        {"cached", "waiting", "encoding", "failed", "unknown"}
            "waiting" and "encoding" tell of `prefetch`, "unknown" is neither cached nor asked for.

        Raises
        ------
        UnknownName
            No such image.

        Examples
        --------
        >>> session.encoding_state("coins_1.png"), session.encoding_state("coins_2.png")
        ('cached', 'unknown')
        """
        return self._prefetcher.state(self._library.image(image))

    look_at = prefetch
    lamp = encoding_state

    @property
    def encoding_changes(self) -> Signal:
        """Calls its listeners with an image and its encoding state when that may have changed.

        Examples
        --------
        >>> states = []
        >>> session.encoding_changes.subscribe(lambda image, state: states.append((image.filename, state)))
        >>> session.prewarm(images=["coins_2.png"], show=False).wait().status
        'done'
        >>> states
        [('coins_2.png', 'cached')]
        """
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
        images : iterable of images, optional
            Default: the first three.
        dtypes : sequence of {"float16", "int8", "float32"}
            Each is compared with float32.
        prompts : int
            Number of points and boxes on each image, at least 1.

        Returns
        -------
        StorageReport
            A table; ``report["int8"]`` has the figures of one dtype, such as its `mean_iou` and its `bytes`.

        Raises
        ------
        UnknownName
            No such image or dtype.
        ModelError
            No image, or fewer than one prompt.
        ImageError
            A file is gone or damaged, or its pixels have changed since it was added.

        Examples
        --------
        >>> report = session.check_storage(["coins_1.png"], dtypes=["float16", "int8"], prompts=2)
        >>> report["float16"].ok, report["int8"].bytes < report["float16"].bytes
        (True, True)
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

        A file that cannot be encoded is reported by an event, and the rest continues. Of a large image the work is its
        tiles, by the session's own model, in this process; they come last.

        Parameters
        ----------
        dataset : str, optional
            Default: all images; a file that is in several datasets counts once.
        images : iterable of images, optional
            Only these, in this order; instead of a dataset.
        features : iterable of str, optional
            Other models whose embeddings are computed too, after those of the session's model; their events have the
            model's name as "features". Default: those that saved templates compare; (): none.
        on : Client, str or Executor, optional
            Workers: a ``distributed.Client``, its address ``"tcp://host:8786"``, or any `concurrent.futures` executor.
            They load the model themselves, and need the pictures under the same paths, and the session's folder or a
            remote tier of its store; see docs/many-machines.md. Default: one after the other in this process.
        executor : Executor, optional
            The earlier name of `on`.
        region : (x0, y0, x1, y1), optional
            Of large images only the tiles of this part; whole image pixels. Default: all of them.
        tiles : {"tissue", "all"}
            Of large images the tiles that show more than the background, or all.
        near : (x, y), optional
            Of large images the tiles nearest to this point come first; image pixels. Default: to the middle of the
            region.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).

        Returns
        -------
        Job
            Its last event has the numbers "computed", "skipped" (those that were cached) and "failed".

        Raises
        ------
        UnknownName
            No such dataset or image; no model of a name in `features`.
        UnknownOption
            Both a dataset and images. When it is awaited, and by `.wait()`: `on` is something else.
        CheckpointError, PackageMissing
            A model in `features` has no weights here, or needs a package.
        PromptError
            A region that is empty or not inside a large image; other `tiles`.
        WorkersLost, StoreError
            When it is awaited, and by `.wait()`: no scheduler answers there, or the executor was shut down; the store
            is in memory alone, where workers cannot write.

        Examples
        --------
        >>> job = session.prewarm(images=["coins_1.png", "coins_2.png"], show=False)
        >>> done = job.wait()
        >>> done["computed"], done["skipped"], done["failed"]
        (1, 1, 0)
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
        """The same as `prewarm`, in this thread: an iterator of its events.

        Parameters
        ----------
        dataset, images, features, on, executor
            As in `prewarm`.

        Yields
        ------
        Event
            One for each image; the last one has the status "done".

        Raises
        ------
        UnknownName, UnknownOption, CheckpointError, PackageMissing, WorkersLost, StoreError
            As `prewarm`; those of workers come with the first event.

        Examples
        --------
        >>> for event in session.prewarm_stream(images=["coins_1.png", "coins_2.png"]):
        ...     print(event.status, event.filename)
        skipped coins_1.png
        computed coins_2.png
        done
        """
        records = self._library.files(dataset, images)
        return self._prewarming(records, features, executor if on is None else on)[0](JobControl())

    def sync(self) -> int:
        """Read the listing of the store, with its remote tiers, into the catalog.

        After workers without this catalog have encoded. A bucket takes a request for every thousand embeddings.

        Returns
        -------
        int
            The number of images whose embeddings the store has.

        Raises
        ------
        TierUnavailable
            A remote tier does not answer; nothing is changed.

        Examples
        --------
        >>> session.sync()
        1
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
