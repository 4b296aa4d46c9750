"""`Session`, the facade: everything a mouse can do is a method here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .annotations.service import BY_HAND, Changes
from .cache import EmbeddingCache
from .catalog import Catalog, ImageRecord
from .duplicates.lookalikes import Lookalikes
from .encoding.encoder import Encoder, EncodeTask, RecentPixels, check_cache_options, open_cache
from .encoding.predict import Predictor
from .encoding.prefetch import Ahead, Lamp
from .encoding.prewarm import prewarm_events
from .encoding.regions import Region, region_hash
from .encoding.storage_check import StorageReport, compare_storage
from .errors import PromptError, SessionReadOnly
from .evaluation.evaluate import evaluate_annotations
from .ingest import add as intake
from .jobs import Event, Job
from .models import load_model
from .progress import show_job
from .prompts import Embedding, Prediction, Prompt
from .records import ImageRef
from .replay.replay import Replaying
from .status import Status
from .templates.service import TemplateBook

if TYPE_CHECKING:
    from .evaluation.cases import Case
    from .evaluation.report import ModelReport
    from .widgets import Annotator

__all__ = ["Session"]


class Session(Lookalikes, Replaying):
    """A folder that knows pictures by their content, keeps their embeddings, and what was annotated on them.

    Parameters
    ----------
    folder : path, optional
        Made, or opened and upgraded. None: "samnb/default" in the user's data folder.
    model : str
        Registry name, see `samnb.models.available_models`.
    checkpoint : path, optional
        Weight file of the model; the embedded "tiny" needs none.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps".
    precision : str
        In which images are encoded: "float32", "float16", "bfloat16"; "auto": float16 on cuda, float32 elsewhere.
    database_url : str, optional
        SQLAlchemy URL of the catalog; None: "catalog.db" in the folder, or the DATABASE_URL variable.
    cache : EmbeddingCache or dict, optional
        A store of your own, or options for the session's, as `samnb.EmbeddingCache` has them: dtype, memory_bytes,
        disk_bytes, remote, …

    Raises
    ------
    UnknownName
        No such model.
    CheckpointError
        The weight file is missing, damaged or of another model.
    SessionReadOnly, SessionTooNew
        The folder cannot be written, or comes from a newer version and cannot even be read. What can is open for
        reading only: `catalog.read_only` is True, and every change raises `SessionTooNew`.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> session = Session(tempfile.mkdtemp())
    >>> report = session.add(np.zeros((60, 80, 3), np.uint8), dataset="monday")
    >>> report.added
    1
    >>> session.close()
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        model: str = "tiny",
        checkpoint: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        database_url: str | None = None,
        cache: EmbeddingCache | Mapping[str, Any] | None = None,
    ):
        check_cache_options(cache)
        self.folder = intake.session_folder(folder)
        self.model = load_model(model, checkpoint=checkpoint, device=device, precision=precision)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SessionReadOnly(self.folder, error.strerror) from error
        self.catalog = Catalog(intake.database_url(self.folder, database_url), folder_for_messages=self.folder)
        self.cache = open_cache(self.folder, cache)
        opened: dict[str, Any] = {"checkpoint": str(checkpoint or ""), "device": device}
        self._encoder = Encoder(self.model, self.cache, self.catalog, **opened, owns_cache=self.cache is not cache)
        self._predictor = Predictor(self._encoder, self.model)
        self._ahead = Ahead(self._encoder, read=self._read)
        self._templates = TemplateBook(self._encoder)
        self._pixels = RecentPixels()
        self.changes, self.unfinished = Changes(), {}
        self.catalog.refresh_cached(self._encoder.has)

    # -- embeddings --------------------------------------------------------------------------------

    def is_cached(self, image: ImageRef, *, region: Region | None = None) -> bool:
        """True when the store holds the embedding of the image now, or of that region of it."""
        record = self.image(image)
        if region is None:
            return self._encoder.has(record)
        return self._encoder.key(region_hash(record.pixel_hash, region)) in self.cache

    def embedding(self, image: ImageRef) -> tuple[Embedding, bool]:
        """An image's embedding, and True when it came from the store and not from the encoder."""
        return self._encoder.embedding(self._read(image), urgent=True)

    def look_at(self, image: ImageRef, *, neighbours: Iterable[ImageRef] = ()) -> None:
        """Encode an image in the background before anything else, and then those that may be looked at next.

        Returns at once. A prewarm of this session waits meanwhile; what an earlier call asked for and has not begun
        is forgotten.
        """
        self._ahead.look_at(self.image(image), [self.image(other) for other in neighbours])

    def lamp(self, image: ImageRef) -> Lamp:
        """What is known of an image's embedding: "cached", "waiting", "encoding", "failed" or "unknown"."""
        return self._ahead.lamp(self.image(image))

    def check_storage(
        self,
        images: Iterable[ImageRef] | None = None,
        *,
        dtypes: Sequence[str] = ("float16", "int8"),
        prompts: int = 32,
    ) -> StorageReport:
        """What storing embeddings in fewer bytes does to this model's masks; encodes the images anew.

        Parameters
        ----------
        images : iterable, optional
            None: the first three.
        dtypes : sequence of str
            Each is compared with float32.
        prompts : int
            Points and boxes on each image.
        """
        records = self.images()[:3] if images is None else self._records(None, images)
        embeddings = (self.model.encode(self.pixels(record)) for record in records)
        return compare_storage(self.model, embeddings, dtypes=dtypes, prompts=prompts)

    def prewarm(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        executor: Executor | None = None,
        show: bool = True,
    ) -> Job:
        """Encode what is not cached yet, in the background; `await` it, or `.wait()`.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order.
        executor : Executor, optional
            Anything like `concurrent.futures`; its workers load the model themselves and need to see the
            files and the store under the same paths. None: one after the other in this process.
        show : bool
            Draw a progress widget (a tqdm bar outside a notebook).
        """
        records = self._records(dataset, images)
        work = partial(prewarm_events, encoder=self._encoder, executor=executor)
        job = Job("prewarm", lambda control: work(self._tasks(records), control=control), total=len(records))
        named = {record.filename: record for record in records}
        job.subscribe(lambda event: self._ahead.heard(named.get(event.filename)))
        if show:
            show_job(job)
        return job

    def prewarm_stream(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        executor: Executor | None = None,
    ) -> Iterator[Event]:
        """The same as `prewarm`, here and now: an iterator of its events."""
        tasks = self._tasks(self._records(dataset, images))
        return prewarm_events(tasks, encoder=self._encoder, executor=executor)

    # -- prompts and annotations -------------------------------------------------------------------

    def predict(
        self,
        image: ImageRef,
        *,
        points: Sequence[Sequence[float]] | NDArray[Any] | None = None,
        point_labels: Sequence[int] | NDArray[Any] | None = None,
        box: Sequence[float] | None = None,
        prompt: Prompt | None = None,
        multimask: bool = True,
        mask_input: NDArray[np.float32] | None = None,
        region: Region | None = None,
    ) -> Prediction:
        """Masks for one object; the encoder runs only if the image was never encoded before.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        points : (N, 2), optional
            (x, y) in image pixels.
        point_labels : (N,), optional
            1 foreground, 0 background; left out: all foreground.
        box : (x0, y0, x1, y1), optional
            Image pixels.
        prompt : Prompt, optional
            Instead of the three above.
        multimask : bool
            Three candidate masks, or one.
        mask_input : (h, w) float32, optional
            One of the `Prediction.low_res_logits` of an earlier prompt for the same object in the same region.
        region : (x0, y0, x1, y1), optional
            Whole image pixels: encode this part of the image on its own, so that small objects keep their detail;
            `samnb.encoding.regions.region_around` gives one that is found again. Nothing outside it is on a mask.

        Raises
        ------
        PromptError
            An empty prompt, wrong shapes, a point outside the image or the region.
        UnknownName
            No such image.
        """
        record = self._read(image)
        if prompt is not None and (points is not None or point_labels is not None or box is not None):
            raise PromptError("Give either prompt=, or points=, point_labels= and box=; not both.")
        if prompt is None:
            prompt = Prompt.of(points=points, point_labels=point_labels, box=box)
        options: Any = {"multimask": multimask, "mask_input": mask_input, "region": region}
        return self._predictor.predict(record, prompt, **options)

    # -- how good it is ----------------------------------------------------------------------------

    def evaluate_model(
        self,
        *,
        dataset: str | None = None,
        category: str | None = None,
        max_clicks: int = 20,
        baselines: Sequence[str] = (),
        limit: int | None = None,
        seed: int = 0,
        on_case: Callable[[Case], object] | None = None,
    ) -> ModelReport:
        """How good the session's model is on these pictures: simulated clicks on what was annotated by hand.

        Embeddings come from the cache; what is missing is encoded. For the parameters, and what is raised, see
        `samnb.evaluation.evaluate.evaluate_annotations`.
        """
        chosen = self.annotations(category=category, dataset=dataset)
        by_hand = [annotation.record for annotation in chosen if annotation.source == BY_HAND]
        options: Any = {
            "max_clicks": max_clicks,
            "baselines": baselines,
            "limit": limit,
            "seed": seed,
            "on_case": on_case,
        }
        return evaluate_annotations(by_hand, self, **options)

    # -- at a glance -------------------------------------------------------------------------------

    def status(self) -> Status:
        """The session at a glance; what it says of the cache is read off the store now."""
        return Status.read(self._encoder, self.folder)

    def annotate(self, image: ImageRef | None = None, *, dataset: str | None = None) -> Annotator:
        """The annotator widget, for the last line of a notebook cell."""
        # By name at run time: the core knows no widgets.
        return importlib.import_module("samnb.widgets").Annotator(self, image=image, dataset=dataset)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def close(self) -> None:
        """Wait for what is still to be written, and close the catalog; the session is not used afterwards."""
        self._ahead.close()
        self._encoder.close()
        self.catalog.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session {self.name}: {len(self.images())} images, model {self.model.name}>"

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    # -- inside ------------------------------------------------------------------------------------

    def _tasks(self, records: Sequence[ImageRecord]) -> list[EncodeTask]:
        return [self._encoder.task(record) for record in self._filled(records)]
