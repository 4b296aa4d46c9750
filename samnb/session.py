"""`Session`: every action of the widgets is a method here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .annotations.annotation import Annotation, Annotations
from .annotations.changes import AnnotationChanges
from .annotations.service import AnnotationService
from .annotations.session_methods import CategoryMethods, ImageStateMethods
from .annotations.stacks import StackMethods
from .cache import EmbeddingCache
from .cards import count_text
from .catalog import Catalog, DatasetRecord, ImageRecord, RemovalReport
from .catalog.database_file import catalog_url
from .duplicates.gallery import DuplicateGroups, NearDuplicateGroups
from .duplicates.near import THRESHOLD
from .duplicates.service import DeduplicationReport, DuplicateService
from .encoding.cache_options import check_cache_options, open_cache
from .encoding.encoder import Encoder, TaskList
from .encoding.other_models import OtherModels
from .encoding.predict import Predictor
from .encoding.prefetch import EncodingState, Prefetcher
from .encoding.prewarm_tiles import Tiles, prewarm_all, split_large
from .encoding.regions import Region
from .encoding.storage_check import StorageReport, compare_storage
from .errors import UnknownOption
from .evaluation.evaluate import evaluate_annotations
from .evaluation.on_workers import simulate_on
from .exchange.export import ExportReport, export
from .exchange.importing import import_job
from .exchange.items import with_others
from .exchange.report import ImportReport
from .images.lazy import View
from .ingest.add import Hashing, IngestJob
from .ingest.library import ImageLibrary
from .ingest.pixel_methods import PixelMethods
from .ingest.pixel_sizes import export_details
from .ingest.relocate import RelocationReport, follow_folder, relocate
from .ingest.report import AddReport
from .ingest.session_folder import make_session_folder, session_folder
from .ingest.views import Stack
from .jobs import Event, Job, JobControl, Signal
from .masks.part import MaskPart
from .models import check_draws, load_model
from .progress import run_shown, show_job
from .prompts import Embedding, Prediction, Prompt, one_prompt
from .proposals import Everything, InRegion, Like, Phrase, Proposal, Proposals, Query
from .proposals.grouping import ALIKE
from .proposals.proposal import OFFERED, as_annotations
from .proposals.run import tell_failures
from .proposals.service import ProposalService, Shown
from .records import ACCEPTED, BY_HAND, REJECTED, UNSURE, ImageRef
from .replay.recipe import Recipe
from .replay.replay import Replayer
from .replay.report import ReplayReport
from .session_arguments import checks_arguments
from .status import Status
from .templates import Template
from .templates.evaluation import LabelledImage
from .templates.image_features import ImageFeatures
from .templates.phrase_examples import ExampleBoxes, check_goes_with_phrase
from .templates.report import Sweep, TemplateReport
from .templates.service import TemplateService

if TYPE_CHECKING:
    from .evaluation.cases import Case
    from .evaluation.report import ModelReport
    from .widgets import Annotator, LookalikeReview, Review, Tuner, Upload

__all__ = ["Session", "catalog_url", "session_folder"]

AnyJob = TypeVar("AnyJob", bound=Job)


@checks_arguments
class Session(CategoryMethods, ImageStateMethods, PixelMethods, StackMethods):
    """A folder with images, known by their pixels, with their embeddings and their annotations.

    Parameters
    ----------
    folder : path, optional
        Created, or opened and upgraded. None: "samnb/default" in the user's data folder.
    model : str
        Registry name, see `samnb.models.available_models`.
    checkpoint : path, optional
        Weight file of the model; the embedded "tiny" needs none.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps".
    precision : str
        Of encoding: "float32", "float16", "bfloat16", or "auto", which may check this machine once: docs/models.md.
    database_url : str, optional
        SQLAlchemy URL of the catalog; None: "catalog.db" in the folder, or the DATABASE_URL variable.
    cache : EmbeddingCache or dict, optional
        Your own store, or options of `samnb.EmbeddingCache` for the session's: dtype, memory_bytes, remote, …

    Attributes
    ----------
    catalog : Catalog
        The database with images, annotations, categories and templates.
    cache : EmbeddingCache
        The store of embeddings.
    changes : AnnotationChanges
        Subscribe here to learn of every change of annotations in this process.

    Raises
    ------
    UnknownName
        No such model.
    CheckpointError
        The weight file is missing, damaged or of another model.
    SessionReadOnly, SessionTooNew
        The folder cannot be written, or is of a newer version and cannot even be read. A newer one that can be read
        is opened read-only: `catalog.read_only` is True, and every change raises `SessionTooNew`.

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
        self.folder = session_folder(folder)
        self.model = load_model(model, checkpoint=checkpoint, device=device, precision=precision)
        check_draws(self.model)
        make_session_folder(self.folder)
        self.catalog = Catalog(catalog_url(self.folder, database_url), folder_for_messages=self.folder)
        self.cache = open_cache(self.folder, cache)
        self.changes = AnnotationChanges()
        opened: dict[str, Any] = {"checkpoint": str(checkpoint or ""), "device": device}
        opened["overviews"] = self.folder / "overviews"
        self._encoder = Encoder(self.model, self.cache, self.catalog, **opened, owns_cache=self.cache is not cache)
        self._others = OtherModels(self._encoder)
        self._predictor = Predictor(self._encoder, self.model)
        self._library = ImageLibrary(self.catalog, self.folder, self._encoder)
        self._prefetcher = Prefetcher(self._encoder, read=self._library.read)
        self._annotations = AnnotationService(self.catalog, self._library, self.model, self.changes)
        self._templates = TemplateService(self.catalog, self._library, self._encoder, self._others, self.changes)
        made_of = self.catalog, self._library, self._encoder, self._templates, self._annotations
        self._proposals = ProposalService(*made_of, self.changes)
        self._duplicates = DuplicateService(self.catalog, self._library)
        self._replayer = Replayer(self._library, self._annotations, self._templates, self._encoder)
        follow_folder(self.catalog, self.folder)
        self.catalog.refresh_cached(self._encoder.is_known)

    # -- images and datasets -----------------------------------------------------------------------

    def add(
        self,
        source: Any,
        *,
        dataset: str = "default",
        stack: Stack = None,
        view: View | None = None,
        hash: Hashing = "now",
        on: Any = None,
        show: bool = True,
    ) -> AddReport:
        """Add pictures to a dataset; a bad one is reported and the rest continues.

        Written rows stay, also after an interrupt: the same call continues from there.

        Parameters
        ----------
        source : path, glob, address, manifest, zip file, PIL image, array, bytes, or a list of these
            Folders are searched recursively, without zip files. Addresses (``s3://lab/*.jpg``, ``https://…``) and
            manifests (``.csv``, ``.parquet``, ``.txt``) are in docs/many-machines.md. What comes from memory is kept in
            the session folder with all its values (floats of colour with 16 bits), zipped pictures and bytes unchanged.
            Bytes may be ``(name, bytes)``, ``{name: bytes, ...}``, an open file, or of an ipywidgets ``FileUpload``.
        dataset : str
        stack : bool, str or sequence of str, optional
            Of files with several pictures: the axes, such as "z", "t" or "page", of which every picture becomes an
            image, named ``plate.tif[z=3]``; True: all axes. Default: the first picture alone.
        view : View, optional
            Which channels of a scientific picture are shown, with which limits; see `samnb.View`.
        hash : {"now", "later"}
            "later": nothing is read until `prewarm`, `fill_hashes` or the first use of an image does it.
        on : Client, str or Executor, optional
            Workers that read the pictures, as for `prewarm`.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.

        Raises
        ------
        ImageNotFound
            A single path or glob without a picture.
        KeyboardInterrupt
            After the current image is finished; its message has the progress. A second Ctrl+C stops at once.
        """
        job = self._library.add(source, dataset=dataset, stack=stack, view=view, hash=hash, on=on, start=False)
        return run_shown(self._followed(job), show=show)

    def add_job(
        self,
        source: Any,
        *,
        dataset: str = "default",
        stack: Stack = None,
        view: View | None = None,
        hash: Hashing = "now",
        on: Any = None,
        show: bool = True,
    ) -> IngestJob:
        """Add pictures as `add` does, in the background; `await` it, or call `.wait()`. Then it has a `report`.

        Parameters
        ----------
        source, dataset, stack, view, hash, on
            As in `add`.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook), which can pause and cancel.
        """
        job = self._library.add(source, dataset=dataset, stack=stack, view=view, hash=hash, on=on)
        return _shown(self._followed(job), show)

    def upload(self, *, dataset: str = "default") -> Upload:
        """A widget to add files from the browser's computer, for the last line of a notebook cell."""
        return _widget("Upload", self, dataset=dataset)

    def images(self, dataset: str | None = None) -> list[ImageRecord]:
        """All images, or those of one dataset, in the order they were added."""
        return self.catalog.images(dataset=dataset)

    def image(self, image: ImageRef) -> ImageRecord:
        """One image by file name, "dataset/file name", id, path or hash.

        Raises
        ------
        UnknownName
            No image matches, or several pictures do: the message has their longer names.
        """
        return self._library.image(image)

    def pixels(self, image: ImageRef) -> NDArray[np.uint8]:
        """(H, W, 3) upright RGB, read-only; the last few are kept in memory.

        Raises
        ------
        ImageError
            The file is gone, or its pixels have changed since it was added.
        """
        return self._library.pixels(image)

    def datasets(self) -> list[DatasetRecord]:
        """All datasets, with the numbers of their images and of those that are cached."""
        return self.catalog.datasets()

    def rename_dataset(self, name: str, new_name: str) -> DatasetRecord:
        """Rename a dataset. Raises `UnknownName`, `NameTaken`, or `PromptError` for an empty name."""
        return self.catalog.rename_dataset(name, new_name)

    def delete_dataset(self, name: str, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove a dataset from the session: its images and their annotations.

        Files and embeddings stay, so adding it again needs no encoding. So do the same pictures in other datasets.

        Parameters
        ----------
        name : str
        discard_annotations : bool
            Also if that deletes annotations by hand or from a file.

        Raises
        ------
        UnknownName
            No such dataset.
        WorkWouldBeLost
            It holds annotations by hand or from a file.
        """
        return self.catalog.delete_dataset(name, discard_annotations=discard_annotations)

    def remove_image(self, image: ImageRef, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove one image from its dataset; what stays, and what is raised, is as in `delete_dataset`."""
        return self.catalog.remove_image(self.image(image).id, discard_annotations=discard_annotations)

    def relocate(self, folder: str | Path) -> RelocationReport:
        """Find files that were moved or renamed, by their bytes, in this folder and those below.

        Images keep their ids, annotations and embeddings. Files that did not move are not read.

        Raises
        ------
        ImageNotFound
            No pictures there.
        """
        return relocate(self.catalog, Path(folder).expanduser())

    def fill_hashes(self, *, on: Any = None, show: bool = True) -> Job:
        """Read the files of images whose hashes are not known, in the background; `await` it, or call `.wait()`.

        These were added with ``hash="later"``, or by the earlier server, or have the perceptual hash of an older
        version. `prewarm`, `predict` and `add` read what they need of them by themselves.

        Parameters
        ----------
        on : Client, str or Executor, optional
            Workers, as for `prewarm`.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        return _shown(self._library.fill_hashes(on=on), show)

    # -- duplicates --------------------------------------------------------------------------------

    def duplicates(self, dataset: str | None = None) -> DuplicateGroups:
        """Groups of images that show the same pixels; in the last line of a notebook cell, a gallery.

        Parameters
        ----------
        dataset : str, optional
            Only groups within it. None: all images.
        """
        return self._duplicates.duplicates(dataset)

    def near_duplicates(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> NearDuplicateGroups:
        """Groups of images that look alike and have different pixels: suggestions, nothing is merged.

        Re-compressed, resized, slightly cropped or brightened copies are found; turned or mirrored ones are not. A
        picture and its grey version count as alike. Groups are made around a representative, the largest picture, and
        never chained from neighbour to neighbour. Pictures with hardly any detail are left out, and so are pairs
        marked by `say_different`; pairs confirmed by `say_same` are marked.

        Parameters
        ----------
        threshold : int
            Number of the 256 bits that may differ from the representative's perceptual hash: up to 31 it is almost
            surely the same picture, 51 finds more, unrelated ones begin near 75.
        dataset : str, optional
            None: all images.
        """
        return self._duplicates.near_duplicates(threshold, dataset=dataset)

    def say_same(self, first: ImageRef, second: ImageRef) -> None:
        """Save that two images show the same picture, in all datasets; a later verdict replaces it.

        Raises
        ------
        UnknownName
            No such image.
        SamePixels
            They have the same pixels, so there is nothing to decide.
        """
        self._duplicates.set_verdict(first, second, same=True)

    def say_different(self, first: ImageRef, second: ImageRef) -> None:
        """Save that two images show different pictures: they are not suggested again. Raises as `say_same`."""
        self._duplicates.set_verdict(first, second, same=False)

    def unsay(self, first: ImageRef, second: ImageRef) -> bool:
        """Remove the verdict of `say_same` or `say_different` on two images; False if there was none."""
        return self._duplicates.clear_verdict(first, second)

    def keep_one_of_each(
        self,
        dataset: str | None = None,
        *,
        into: str = "one of each",
        threshold: int = THRESHOLD,
        only_confirmed: bool = False,
        keep: Iterable[ImageRef] = (),
    ) -> DeduplicationReport:
        """Make a dataset of the same files without duplicates.

        One image stays of those with the same pixels, of those with the verdict "same", and of those that look alike:
        the one with the most pixels, then with the larger file, then the first. The datasets they come
        from, and all files, stay as they are.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        into : str
            Name of the new dataset.
        threshold : int
            As in `near_duplicates`.
        only_confirmed : bool
            Leave out only images with the same pixels or the verdict "same", not those that only look alike.
        keep : iterable of images
            These stay instead of a larger one.

        Raises
        ------
        NameTaken
            There is a dataset of that name.
        UnknownName
            No such dataset or image.
        """
        options: Any = {"into": into, "threshold": threshold, "only_confirmed": only_confirmed, "keep": keep}
        return self._duplicates.keep_one_of_each(dataset, **options)

    def review_lookalikes(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> LookalikeReview:
        """A widget that shows similar pictures side by side and takes verdicts: the same, or different.

        For the last line of a notebook cell; for the parameters see `near_duplicates`.
        """
        return _widget("LookalikeReview", self, threshold=threshold, dataset=dataset)

    # -- embeddings --------------------------------------------------------------------------------

    def is_cached(self, image: ImageRef, *, region: Region | None = None) -> bool:
        """True when the store holds the embedding of the image now, or of that region of it."""
        record = self.image(image)
        return self._encoder.has(record) if region is None else self._encoder.has_region(record, region)

    def embedding(self, image: ImageRef) -> tuple[Embedding, bool]:
        """An image's embedding, and True if it came from the store and not from the encoder."""
        return self._encoder.embedding(self._library.read(image), urgent=True)

    def prefetch(self, image: ImageRef, *, neighbours: Iterable[ImageRef] = ()) -> None:
        """Encode an image in the background before anything else, and then those that may be needed next.

        Returns at once. A prewarm of this session waits meanwhile. Images of an earlier call that have not started are
        dropped. `look_at` is the earlier name.
        """
        self._prefetcher.prefetch(self.image(image), [self.image(other) for other in neighbours])

    def encoding_state(self, image: ImageRef) -> EncodingState:
        """The state of an image's embedding: "cached", "waiting", "encoding", "failed" or "unknown".

        `lamp` is the earlier name.
        """
        return self._prefetcher.state(self.image(image))

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
        records = self.images()[:3] if images is None else self._library.select(None, images)
        embeddings = (self.model.encode(self.pixels(record)) for record in records)
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
        return _shown(job, show)

    def sync(self) -> int:
        """Read the listing of the store, with its remote tiers, into the catalog; the number of images it has.

        After workers without this catalog have encoded. A bucket takes a request for every thousand embeddings.

        Raises
        ------
        TierUnavailable
            A remote tier does not answer; nothing is changed.
        """
        return self._encoder.sync()

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
            1 foreground, 0 background; default: all foreground.
        box : (x0, y0, x1, y1), optional
            Image pixels.
        prompt : Prompt, optional
            Instead of the three above.
        multimask : bool
            Three candidate masks, or one.
        mask_input : (h, w) float32, optional
            One of the `Prediction.low_res_logits` of an earlier prompt for the same object in the same region.
        region : (x0, y0, x1, y1), optional
            Whole image pixels: encode this part of the image separately, so that small objects keep their detail;
            `samnb.encoding.regions.region_around` gives one on a grid, which later calls find again. Masks end at it.

        Raises
        ------
        PromptError
            An empty prompt, wrong shapes, a point outside the image or the region.
        UnknownName
            No such image.
        """
        record, given = self._library.read(image), one_prompt(prompt, points, point_labels, box)
        options: Any = {"multimask": multimask, "mask_input": mask_input, "region": region}
        return self._predictor.predict(record, given, **options)

    def accept(self, prediction: Prediction, *, category: str, index: int | None = None) -> Annotation:
        """Save one mask of a prediction as an annotation; it is in the catalog when this returns.

        Parameters
        ----------
        prediction : Prediction
        category : str
            Class name; a new one is added.
        index : int, optional
            Which mask; None: the one with the highest score.

        Raises
        ------
        PromptError
            No such mask, an empty mask, an empty category.
        """
        return self._annotations.accept(prediction, category=category, index=index)

    def accept_mask(
        self,
        image: ImageRef,
        mask: NDArray[np.bool_] | MaskPart,
        *,
        category: str,
        prompt: Prompt | None = None,
        score: float = 1.0,
    ) -> Annotation:
        """Save a mask that was drawn or edited by hand; it is in the catalog when this returns.

        Parameters
        ----------
        image : str, path or ImageRecord
        mask : (H, W) bool
            Of the image's size.
        category : str
        prompt : Prompt, optional
            The prompt whose mask was edited.
        score : float
            The model's estimate for the mask that was edited; 1 for one drawn by hand.

        Raises
        ------
        PromptError
            A mask of another size, an empty mask, an empty category.
        """
        return self._annotations.accept_mask(image, mask, category=category, prompt=prompt, score=score)

    def annotations(
        self, *, category: str | None = None, image: ImageRef | None = None, dataset: str | None = None
    ) -> Annotations:
        """Annotations in the order they were made.

        Raises
        ------
        UnknownName
            No such category, image or dataset.
        """
        return self._annotations.find(category=category, image=image, dataset=dataset)

    def annotation_counts(self, dataset: str | None = None, *, review: str | None = None) -> dict[str, int]:
        """Number of annotations by image id, with `review` only of that state ("unsure"). No masks are read for it."""
        return self.catalog.count_annotations(dataset, review=review)

    def update(
        self,
        annotation: Annotation | int,
        *,
        mask: NDArray[np.bool_] | MaskPart | None = None,
        category: str | None = None,
        layer: int | None = None,
        prompt: Prompt | None = None,
        score: float | None = None,
        attributes: Mapping[str, bool | str] | None = None,
    ) -> Annotation:
        """Change an annotation and keep its id; omitted values stay.

        An annotation that a template made counts as accepted when anything of it but its score is changed here.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.
        mask : (H, W) bool, optional
        category : str, optional
        layer : int, optional
            Higher ones are on top; of equal ones the later annotation is.
        prompt : Prompt, optional
        score : float, optional
        attributes : mapping of str to bool or str, optional
            All of them; those left out become False or "". See `add_attribute`.

        Raises
        ------
        UnknownName
            It was deleted; an attribute that was not declared.
        PromptError
            A mask of another size, an empty mask, an empty category.
        """
        values: Any = {"mask": mask, "category": category, "layer": layer, "prompt": prompt, "score": score}
        return self._annotations.update(annotation, **values, attributes=attributes)

    def remove(self, annotation: Annotation | int) -> bool:
        """Delete an annotation; False if it was deleted already."""
        return self._annotations.remove(annotation)

    def restore(self, annotations: Iterable[Annotation], *, changed_from: Iterable[Annotation] = ()) -> None:
        """Restore annotations: a deleted one comes back under its old id, a changed one gets its old values.

        Parameters
        ----------
        annotations : iterable of Annotation
        changed_from : iterable of Annotation, optional
            The expected present state of each: only values in which the two differ are written, so that changes made
            elsewhere meanwhile stay.

        Raises
        ------
        UnknownName
            Their image was deleted.
        """
        self._annotations.restore(annotations, changed_from=changed_from)

    def merge(self, annotations: Iterable[Annotation | int]) -> Annotation:
        """Make one annotation of two or more of one image: the first gets the pixels of all, the others are removed.

        Attributes that the first one does not have come from the others.

        Raises
        ------
        PromptError, UnknownName
            Fewer than two, of several images; one was deleted. Nothing has changed then.
        """
        return self._annotations.merge(list(annotations))

    def split(self, annotation: Annotation | int) -> Annotations:
        """Make an annotation of each connected part: the largest part keeps the id, the others come after it.

        Raises
        ------
        PromptError, UnknownName
            Its mask is one piece; it was deleted.
        """
        return self._annotations.split(annotation)

    # -- proposals ---------------------------------------------------------------------------------

    def segment_everything(self, image: ImageRef, **parameters: Any) -> Proposals:
        """All masks that a grid of clicks finds on one image, the best first: proposals, kept in the catalog.

        Asked again with the same parameters, they are read from the catalog. The image is encoded only if it never was.

        Parameters
        ----------
        image : str, path or ImageRecord
        **parameters
            Those of segment-anything's ``SamAutomaticMaskGenerator``, see `samnb.proposals.Everything`:
            points_per_side, pred_iou_thresh, stability_score_thresh, crop_n_layers, min_mask_region_area, …

        Raises
        ------
        UnknownName, UnknownOption, PromptError
            No such image or parameter, a value out of its range.
        """
        return self._proposals.on_image(self.everything(**parameters), image)

    def everything(self, **parameters: Any) -> Everything:
        """The query of `segment_everything`, with the defaults that suit the session's model."""
        return Everything.of(self.model, **parameters)

    def segment_everything_stream(
        self, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None, **parameters: Any
    ) -> Iterator[Event]:
        """`segment_everything` on many images, in this thread: an iterator of events. A second call goes on."""
        return self._proposals.stream(self.everything(**parameters), dataset, images)

    def find_like(
        self,
        example: Shown | Iterable[Shown] | Like,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        strategy: str = "match_all",
        features: str | None = None,
        region: Region | None = None,
        show: bool = True,
        **parameters: float,
    ) -> Proposals:
        """All objects like an example: proposals, the best of all images first.

        Parameters
        ----------
        example
            An annotation, a proposal or a prediction (of its mask with the highest score), or several. A `Like`: its
            examples, with its accepted proposals as further examples and its rejected ones as background.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        strategy : {"match_all", "match", "fixed"}
            Every instance, the best one, or the same place on every image.
        features : str, optional
            The name of another model whose features are compared; see `template`.
        region : (x0, y0, x1, y1), optional
            Only the tiles of this part of a large image; `samnb.proposals.InRegion` does it for any query.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.
        **parameters
            See `samnb.templates.DEFAULT_PARAMETERS`.

        Raises
        ------
        PromptError
            No example, an empty mask.
        ImageChanged
            Another picture came under the name of an example's image.
        KeyboardInterrupt
            After the current image is finished; the same call goes on from there.
        """
        like = self.like(example, strategy=strategy, features=features, **parameters)
        return self._found(like if region is None else InRegion(like, region), dataset, images, show)

    def find(
        self,
        phrase: str | None = None,
        dataset: str | None = None,
        *,
        examples: ExampleBoxes | None = None,
        images: Iterable[ImageRef] | None = None,
        show: bool = True,
        **parameters: float,
    ) -> Proposals:
        """All objects that a phrase names, such as "yellow taxi": proposals, the best of all images first.

        Parameters
        ----------
        phrase : str, optional
            For a model that knows words. None: `examples` alone.
        dataset : str, optional
            None: all images.
        examples, images, show, **parameters
            As of `template`, and of `find_like`.

        Raises
        ------
        ModelError
            The session's model knows no words; the message names models that do.
        TemplateError, PromptError
            Neither a phrase nor examples, a box that is none.
        KeyboardInterrupt
            After the current image is finished; the same call goes on from there.
        """
        return self._found(self.phrase(phrase, examples=examples, **parameters), dataset, images, show)

    def phrase(self, phrase: str | None = None, *, examples: ExampleBoxes | None = None, **parameters: float) -> Phrase:
        """The query of `find`, for `propose` and `propose_stream`."""
        return self._proposals.phrase(phrase, examples, parameters)

    def _found(self, query: Query, dataset: str | None, images: Iterable[ImageRef] | None, show: bool) -> Proposals:
        images = None if images is None else list(images)  # read twice
        job = self._proposals.propose(query, dataset, images, start=False)
        run_shown(job, show=show)
        tell_failures(job)
        found = self._proposals.find(query=query, dataset=dataset, images=images)
        return Proposals(sorted(found, key=lambda one: -one.score))

    def like(
        self,
        example: Shown | Iterable[Shown] | Like,
        *,
        strategy: str = "match_all",
        features: str | None = None,
        **parameters: float,
    ) -> Like:
        """The query of `find_like`, for `propose` and `propose_stream`."""
        return self._proposals.like(example, strategy=strategy, features=features, parameters=parameters)

    def save_like(self, like: Like, name: str, *, category: str) -> Template:
        """Save a query as a template: its examples, its accepted proposals, and its rejected ones as background.

        Raises
        ------
        TemplateError, PromptError
            A name that is empty or has an "@", an empty category.
        """
        return self._proposals.as_template(like, name, category)

    def propose(
        self,
        query: Query,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        show: bool = True,
    ) -> Job:
        """Ask a query on images, in the background; `await` it, or `.wait()`. Then `proposals` lists what it found.

        Pictures that were searched with this query are skipped, so the same call resumes a run that was stopped.

        Parameters
        ----------
        query : Query
            Such as ``session.everything(points_per_side=16)``.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        return _shown(self._proposals.propose(query, dataset, images), show)

    def propose_stream(
        self, query: Query, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> Iterator[Event]:
        """The same as `propose`, in this thread: an iterator of its events."""
        return self._proposals.stream(query, dataset, images)

    def proposals(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        query: Query | None = None,
        kind: str | None = None,
        annotated: bool = False,
        rejected: bool = False,
    ) -> Proposals:
        """Proposals that were found with the session's model, image by image, the best first.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only of these.
        query : Query, optional
            Only of this one.
        kind : str, optional
            Only of queries of this kind, such as "everything".
        annotated : bool
            Also those that show an object with an annotation.
        rejected : bool
            Also those that `reject_proposals` marked as wrong.
        """
        narrow: Any = {"query": query, "kind": kind, "annotated": annotated, "rejected": rejected}
        return self._proposals.find(dataset=dataset, images=images, **narrow)

    def accept_proposals(self, proposals: Proposal | Iterable[Proposal], *, category: str) -> Annotations:
        """Save proposals as annotations by hand; they are in the catalog when this returns.

        Raises
        ------
        PromptError
            An empty category.
        ImageChanged
            Another picture came under the name of an image.
        """
        return self._proposals.accept(proposals, category)

    def reject_proposals(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Mark proposals as wrong: they are not offered again; returns their number."""
        return self._proposals.reject(proposals)

    def unreview_proposals(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Undo `reject_proposals`: they are offered again; returns their number."""
        return self._proposals.unreview(proposals)

    def group_proposals(self, proposals: Iterable[Proposal], *, alike: float = ALIKE) -> list[Proposals]:
        """Groups of proposals that look alike, to be accepted at one stroke; the largest group first.

        Parameters
        ----------
        proposals : iterable of Proposal
            Of one image or of several.
        alike : float
            -1 to 1: mean cosine of two groups' features from which they are one.
        """
        return self._proposals.groups(proposals, alike=alike)

    def forget_proposals(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        query: Query | None = None,
    ) -> int:
        """Remove the proposals of the session's model, so that they are searched again; annotations stay.

        Returns
        -------
        int
            Number of removed searches: one for each picture and query.
        """
        return self._proposals.forget(query, dataset, images)

    # -- templates ---------------------------------------------------------------------------------

    def template(
        self,
        name: str,
        *,
        categories: Sequence[str] | None = None,
        strategy: str | None = None,
        background: Mapping[ImageRef, Sequence[Sequence[float]]] | None = None,
        features: str | None = None,
        phrase: str | Mapping[str, str] | None = None,
        examples: ExampleBoxes | None = None,
        **parameters: float,
    ) -> Template:
        """A template made from the annotations by hand, or by a phrase, saved under its name.

        Parameters
        ----------
        name : str
        categories : sequence of str, optional
            None: all that have annotations by hand. With one phrase: the name of its category; None: the phrase.
        strategy : {"match_all", "match", "fixed", "phrase"}, optional
            Every instance, the best one, the same relative prompt on every image, or all that a phrase or `examples`
            name. None: "phrase" with one of these two, else "match_all".
        background : mapping of image to (N, 2), optional
            (x, y) in image pixels, on things that are mistaken for the object: places more similar to them than to the
            examples are left out.
        features : str, optional
            The name of another model: its features are compared, and the session's model draws the masks. Such an image
            has two embeddings, each computed once. None or "": the session's model.
        phrase : str or mapping of category to str, optional
            A short noun phrase, such as "yellow taxi", for a model that knows words.
        examples : mapping of image to boxes, or annotations, optional
            (x0, y0, x1, y1) in image pixels, or `samnb.models.Exemplar` for negative ones too, on any images. They are
            searched with the phrase, or alone. Of annotations the bounding boxes count.
        **parameters
            See `samnb.templates.DEFAULT_PARAMETERS`.

        Raises
        ------
        UnknownName
            A category without annotations by hand, an unknown strategy, or no such model.
        UnknownOption
            An unknown parameter.
        ModelError
            A phrase or examples, and the session's model knows no words; the message names models that do.
        TemplateError
            Options that do not go together.
        """
        if phrase is not None or examples is not None:
            check_goes_with_phrase(strategy=strategy, background=background, features=features)
            own: Any = {"categories": categories, "parameters": parameters}
            return self._templates.save(self._templates.of_phrase(name, phrase, examples, **own))
        options: Any = {"categories": categories, "strategy": strategy or "match_all", "background": background}
        options["features"] = features
        return self._templates.make(name, self.catalog.annotations(source=BY_HAND), **options, parameters=parameters)

    def use_features(self, model: str, *, checkpoint: str | Path | None = None) -> str:
        """Open another model for the features of templates, with weights of your own; returns its fingerprint.

        Models whose weights are found by their name are opened when a template needs them.

        Parameters
        ----------
        model : str
            Registry name, as templates call it from now on.
        checkpoint : path, optional

        Raises
        ------
        UnknownName
            No such model.
        CheckpointError
            Its weights are missing, damaged or of another model.
        """
        return self._others.open(model, checkpoint=checkpoint).fingerprint

    def template_features(self, image: ImageRef, template: Template) -> ImageFeatures:
        """What a template compares on an image; encodes what is missing. Raises `TemplateMismatch`."""
        return self._templates.features.read(self._library.read(image), template).features

    def find_template(self, template: Template | str) -> Template:
        """A saved template by its name, in its latest version; one that is passed and not saved yet is saved.

        Raises
        ------
        UnknownName
            None of that name.
        TemplateMismatch
            Made with another model.
        """
        return self._templates.resolve_saved(template)

    def save_template(self, template: Template) -> Template:
        """Save a template: the same content keeps its version, other content gets the next one."""
        return self._templates.save(template)

    def tune(self, template: Template | str, images: Iterable[ImageRef] | None = None) -> Tuner:
        """A widget with a template's parameters, and the objects they find on 12 images, live.

        For the last line of a notebook cell. Nothing is written until "Save", which makes a new version.

        Parameters
        ----------
        template : Template or str
        images : iterable, optional
            The first 12 of these; None: 12 of all, a third of those annotated by hand.
        """
        return _widget("Tuner", self, template, images=images)

    def annotated_by_hand(self, template: Template) -> list[LabelledImage]:
        """The images with annotations by hand of a template's categories, and their masks; [] if there are none."""
        return self._templates.labelled_images(template)

    def apply(
        self,
        template: Template | str,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        on: Any = None,
        only_open: bool = True,
        show: bool = True,
    ) -> Job:
        """Find a template's objects on images, in the background; `await` it, or `.wait()`.

        Images that were searched with this version of the template are skipped, so the same call resumes a run that
        was stopped. Annotations by hand never change.

        Parameters
        ----------
        template : Template or str
            A saved one by its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order.
        on : Client, str or Executor, optional
            Workers, as for `prewarm`; events then come in order of completion.
        only_open : bool
            Leave out images that a person called done, empty or skip; "left_out" in the last event is their number.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        return _shown(self._templates.apply(template, dataset, images, on, only_open=only_open), show)

    def apply_stream(
        self,
        template: Template | str,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        on: Any = None,
        only_open: bool = True,
    ) -> Iterator[Event]:
        """The same as `apply`, in this thread: an iterator of its events."""
        return self._templates.apply_stream(template, dataset, images, on, only_open=only_open)

    def undo_apply(
        self, template: Template | str, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> int:
        """Remove the annotations of all versions of a template; returns their number.

        Annotations that a review accepted or rejected stay, and so do those made by hand.

        Parameters
        ----------
        template : Template or str
            Or its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        """
        return self._templates.undo_apply(template, dataset, images)

    def to_review(self, dataset: str | None = None, *, template: str | None = None) -> Annotations:
        """Annotations of templates with a low score, the lowest first; `approve` or `reject` each.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        template : str, optional
            Only those of this one.
        """
        return self._annotations.to_review(dataset=dataset, template=template)

    def review(self, dataset: str | None = None, *, template: str | None = None) -> Review:
        """A widget that shows the objects of `to_review` one after the other: A accepts, R rejects, F fixes.

        For the last line of a notebook cell. Answers are saved, and not asked for again.
        """
        return _widget("Review", self, dataset=dataset, template=template)

    def approve(self, annotation: Annotation | int) -> Annotation:
        """Mark an annotation as right: applying its template again leaves it as it is."""
        return self._annotations.review(annotation, ACCEPTED)

    def reject(self, annotation: Annotation | int) -> Annotation:
        """Mark an annotation as wrong: it is no longer listed, and its template does not find it again.

        `approve` brings it back.
        """
        return self._annotations.review(annotation, REJECTED)

    def unreview(self, annotation: Annotation | int) -> Annotation:
        """Undo an `approve` or `reject`: the annotation is in `to_review` again."""
        return self._annotations.review(annotation, UNSURE)

    def evaluate(
        self,
        template: Template | str,
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        min_iou: float = 0.5,
        on_examples: bool = False,
    ) -> TemplateReport:
        """Precision and recall of a template on the annotations by hand; nothing is written.

        Only images with annotations by hand of the template's categories are searched, and all of their objects must
        be annotated: a found object without an annotation counts as false.

        Parameters
        ----------
        template : Template or str
            A saved one by its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        min_iou : float
            Lowest IoU at which a mask counts as the object, above 0 and up to 1.
        on_examples : bool
            Also on the images with the template's own examples, which gives too good a result.

        Raises
        ------
        TemplateError
            Another `min_iou`.
        NothingToMeasure
            No such images.
        """
        which: Any = {"dataset": dataset, "images": images, "min_iou": min_iou}
        return self._templates.evaluate(template, on_examples=on_examples, **which)

    def sweep(
        self,
        template: Template | str,
        grid: Mapping[str, Sequence[float]],
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        min_iou: float = 0.5,
        on_examples: bool = False,
    ) -> Sweep:
        """Evaluate a template with every combination of parameters; the best F1 comes first.

        Parameters
        ----------
        template : Template or str
        grid : mapping of str to sequence of float
            Values to try, such as ``{"min_score": [0.2, 0.3, 0.4], "refine": [0, 2]}``.
        dataset, images, min_iou, on_examples
            As for `evaluate`.

        Raises
        ------
        TemplateError, UnknownOption
            An unknown parameter, a value out of its range, an empty grid.
        NothingToMeasure
            No images with annotations by hand.
        """
        options: Any = {"dataset": dataset, "images": images, "min_iou": min_iou, "on_examples": on_examples}
        return self._templates.sweep(template, grid, **options)

    # -- other tools, other sessions ---------------------------------------------------------------

    def export(
        self,
        format: str,
        path: str | Path,
        *,
        dataset: str | None = None,
        proposals: Iterable[Proposal] = (),
        **options: Any,
    ) -> ExportReport:
        """Write annotations for other tools, or with "recipe" for `replay`.

        Failures are in the report, and the rest continues.

        Parameters
        ----------
        format : {"coco", "geojson", "labelme", "masks", "recipe", "table", "tiff", "voc", "yolo", "zarr"}
            A COCO file; a folder for labelme, of mask pictures, of Pascal VOC or of YOLO; a table, CSV or Parquet; a
            recipe, from which the same masks can be made again elsewhere; a folder of label TIFFs, of OME-Zarr labels,
            or of GeoJSON for QuPath, a stack in one file each.
        path : path
            A file, or a folder. It is written completely, or not at all.
        dataset : str, optional
        proposals : iterable of Proposal
            These as well, under the category "proposal"; not for a recipe.
        **options
            Of the format, such as ``polygons=True`` for COCO: see docs/exchange.md.

        Raises
        ------
        UnknownName, UnknownOption
            No such format, dataset or option.
        StoreError
            The place cannot be written.
        """
        offered = as_annotations(proposals, after=self.catalog.last_annotation_id())
        found: Any = {"images": self.images(dataset), "annotations": with_others(self.catalog.shown_on, offered)}
        found |= {"categories": self.categories(), "exporters": {"recipe": self._replayer.export}}
        colors = {record.name: record.color for record in self.category_records() if record.color}
        found |= {"attributes": self.attributes(), "colors": colors}
        if format != "recipe":
            found["details"] = export_details(self.catalog, found["images"])
        if offered and format == "recipe":
            raise UnknownOption("export('recipe')", ["proposals"], ["dataset"])
        found["categories"] += [OFFERED] if offered else []
        return export(format, path, **found, **options)

    def import_(
        self,
        format: str,
        path: str | Path,
        *,
        dataset: str | None = None,
        images: str | Path | None = None,
        by_hand: bool = False,
        show: bool = True,
        **options: Any,
    ) -> ImportReport:
        """Add annotations from a file of another tool; failures are in the report, and the rest continues.

        Existing annotations never change: an object that is there already, or was edited by hand since, is left
        out. So a second call adds nothing, and an interrupted one continues. New ones have the source
        "import:<format>".

        Parameters
        ----------
        format : {"coco", "labelme", "masks"}
            A COCO file; a JSON file of labelme or a folder of them; a folder of mask pictures.
        path : path
        dataset : str, optional
            Search only its images, and add new ones to it. None: search all; add new ones to "default".
        images : path, optional
            A folder with the pictures: those that the session does not have are added. None: they are reported.
        by_hand : bool
            New ones count as made by hand: their source is "hand", so that templates are made from them and evaluated
            on them. For masks that a person has checked, not those of a program.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.
        **options
            For "coco", ``crowds=False`` leaves out objects marked ``iscrowd``. For "masks", ``categories=["coin", …]``
            names the numbers 1, 2, … of label maps.

        Raises
        ------
        UnknownName, UnknownOption
            No such format, dataset or option.
        ImageNotFound, FormatError
            Nothing there, or a file of another format.
        KeyboardInterrupt
            After the current image is finished.
        """
        add = partial(self.add, dataset=dataset or "default", show=show)
        given: Any = {"dataset": dataset, "images": images, "by_hand": by_hand, "options": options}
        job = import_job(format, path, self._library, add=add, on_changed=self.changes.emit, **given)
        return run_shown(job, show=show)

    def recipe(self, dataset: str | None = None) -> Recipe:
        """The recipe of a dataset's masks; None: of all images."""
        return self._replayer.recipe(self.images(dataset), self.catalog.annotations(dataset=dataset))

    def replay(self, recipe: Recipe | str | Path, images: str | Path, *, any_model: bool = False) -> ReplayReport:
        """Make a recipe's masks again from pictures in a folder, save them here, and report where they differ.

        Pictures are found by their pixels: they may have other names. Existing images are not added twice: a
        picture that the recipe's dataset has under another path is used as it is there.

        Parameters
        ----------
        recipe : Recipe or path
        images : path
            A folder with the pictures, searched with its subfolders.
        any_model : bool
            Also with another model than the recipe's; masks will differ.

        Raises
        ------
        RecipeError
            It cannot be read, or was made with another model.
        ImageNotFound
            No such folder.
        """
        return self._replayer.replay(recipe, images, any_model=any_model)

    # -- the model, the session --------------------------------------------------------------------

    def evaluate_model(
        self,
        *,
        dataset: str | None = None,
        category: str | None = None,
        max_clicks: int = 20,
        baselines: Sequence[str] = (),
        limit: int | None = None,
        seed: int = 0,
        on: Any = None,
        on_case: Callable[[Case], object] | None = None,
    ) -> ModelReport:
        """Evaluate the session's model on these pictures, by simulated clicks on objects annotated by hand.

        Embeddings come from the cache; missing ones are computed. `on` names workers, as in `prewarm`; `on_case` is not
        called then. For the other parameters, and errors, see `samnb.evaluation.evaluate.evaluate_annotations`.
        """
        chosen = self.annotations(category=category, dataset=dataset)
        by_hand = [annotation.record for annotation in chosen if annotation.source == BY_HAND]
        source: Any = {"name": self.name, "pixels": self.pixels, "embedding": self.embedding}
        how: Any = {"max_clicks": max_clicks, "baselines": baselines}
        elsewhere = None if on is None else simulate_on(on, self._encoder, self.image, **how)
        how |= {"limit": limit, "seed": seed, "on_case": on_case, "elsewhere": elsewhere}
        return evaluate_annotations(by_hand, self.model, **source, **how)

    def status(self) -> Status:
        """A summary of the session; the numbers of the cache are read from the store now."""
        return Status.read(self._encoder, self.folder)

    def annotate(self, image: ImageRef | None = None, *, dataset: str | None = None) -> Annotator:
        """The annotator widget, for the last line of a notebook cell."""
        return _widget("Annotator", self, image=image, dataset=dataset)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def close(self) -> None:
        """Wait for unfinished writes, and close the catalog; the session cannot be used afterwards."""
        self._prefetcher.close()
        self._others.close()
        self._encoder.close()
        self.catalog.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        images = sum(dataset.images for dataset in self.datasets())
        return f"<Session {self.name}: {count_text(images, 'image')}, model {self.model.name}>"

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def _followed(self, job: IngestJob) -> IngestJob:
        """New pictures appear in open annotators once they are all there."""
        job.subscribe(lambda event: None, finished=self.changes.emit)
        return job

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


def _shown(job: AnyJob, show: bool) -> AnyJob:
    if show:
        show_job(job)
    return job


def _widget(name: str, *arguments: Any, **options: Any) -> Any:
    # Imported at run time: scripts do not need the widgets.
    return getattr(importlib.import_module("samnb.widgets"), name)(*arguments, **options)
