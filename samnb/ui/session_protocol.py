"""The protocols of a session for the widgets; `samnb.Session` and the test double implement them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..annotations.annotation import Annotation
    from ..duplicates.gallery import NearDuplicateGroups
    from ..duplicates.service import DeduplicationReport
    from ..encoding.regions import Region
    from ..ingest.add import IngestJob
    from ..jobs import Job
    from ..models import Model
    from ..prompts import Embedding, Prediction, Prompt
    from ..proposals import Proposal, Query
    from ..records import CategoryRecord, DatasetRecord, ImageRecord, ImageRef
    from ..templates import Template
    from ..templates.evaluation import LabelledImage
    from ..templates.image_features import ImageFeatures


class Signal(Protocol):
    """Calls its listeners, on any thread, when something changed."""

    def subscribe(self, listener: Callable[..., object]) -> None: ...
    def unsubscribe(self, listener: Callable[..., object]) -> None: ...


class WidgetSession(Protocol):
    """For all widgets but `Upload`: a name, images and their pixels, categories."""

    @property
    def name(self) -> str: ...
    def images(self, dataset: str | None = None) -> list[ImageRecord]: ...
    def image(self, image: ImageRef) -> ImageRecord: ...
    def pixels(self, image: ImageRef) -> NDArray[np.uint8]: ...
    def category_records(self) -> list[CategoryRecord]: ...


class AnnotatorSession(WidgetSession, Protocol):
    """For the annotator: predictions, annotations, categories, and notifications of changes."""

    @property
    def changes(self) -> Signal:
        """Called with the id of the image whose annotations changed; "" for any image."""

    @property
    def encoding_changes(self) -> Signal:
        """Called with an image and its encoding state, after that may have changed."""

    def datasets(self) -> list[DatasetRecord]: ...
    def encoding_state(self, image: ImageRef) -> str: ...
    def prefetch(self, image: ImageRef, *, neighbours: Iterable[ImageRef] = ()) -> None: ...
    def is_cached(self, image: ImageRef, *, region: Region | None = None) -> bool: ...
    def predict(
        self,
        image: ImageRef,
        *,
        prompt: Prompt | None = None,
        multimask: bool = True,
        mask_input: NDArray[np.float32] | None = None,
        region: Region | None = None,
    ) -> Prediction: ...
    def annotations(self, *, image: ImageRef | None = None) -> Sequence[Annotation]: ...
    def annotation_counts(self, dataset: str | None = None) -> dict[str, int]: ...
    def accept(self, prediction: Prediction, *, category: str, index: int | None = None) -> Annotation: ...
    def accept_mask(
        self,
        image: ImageRef,
        mask: NDArray[np.bool_],
        *,
        category: str,
        prompt: Prompt | None = None,
        score: float = 1.0,
    ) -> Annotation: ...
    def update(
        self,
        annotation: Annotation | int,
        *,
        mask: NDArray[np.bool_] | None = None,
        category: str | None = None,
        layer: int | None = None,
        prompt: Prompt | None = None,
        score: float | None = None,
    ) -> Annotation: ...
    def remove(self, annotation: Annotation | int) -> bool: ...
    def restore(self, annotations: Iterable[Annotation], *, changed_from: Iterable[Annotation] = ()) -> None: ...
    def everything(self) -> Query: ...
    def like(self, example: Annotation | Prediction) -> Query: ...
    def propose(self, query: Query, *, images: Iterable[ImageRef], show: bool = True) -> Job: ...
    def proposals(
        self,
        *,
        images: Iterable[ImageRef],
        query: Query | None = None,
        kind: str | None = None,
        annotated: bool = False,
        rejected: bool = False,
    ) -> Sequence[Proposal]: ...
    def group_proposals(self, proposals: Iterable[Proposal]) -> Sequence[Sequence[Proposal]]: ...
    def accept_proposals(self, proposals: Iterable[Proposal], *, category: str) -> Sequence[Annotation]: ...
    def reject_proposals(self, proposals: Iterable[Proposal]) -> int: ...
    def unreview_proposals(self, proposals: Iterable[Proposal]) -> int: ...
    def categories(self) -> list[str]: ...
    def add_category(self, name: str, *, color: str | None = None) -> None: ...
    def rename_category(self, name: str, new_name: str) -> None: ...


class ReviewSession(AnnotatorSession, Protocol):
    """For the review of a template's uncertain objects, which also opens an annotator."""

    def to_review(self, dataset: str | None = None, *, template: str | None = None) -> Sequence[Annotation]: ...
    def approve(self, annotation: Annotation | int) -> Annotation: ...
    def reject(self, annotation: Annotation | int) -> Annotation: ...
    def unreview(self, annotation: Annotation | int) -> Annotation: ...


class DuplicateReviewSession(WidgetSession, Protocol):
    """For the review of look-alikes."""

    def near_duplicates(self, threshold: int = ..., *, dataset: str | None = None) -> NearDuplicateGroups: ...
    def say_same(self, first: ImageRef, second: ImageRef) -> None: ...
    def say_different(self, first: ImageRef, second: ImageRef) -> None: ...
    def unsay(self, first: ImageRef, second: ImageRef) -> bool: ...
    def keep_one_of_each(
        self,
        dataset: str | None = None,
        *,
        into: str = ...,
        only_confirmed: bool = False,
        keep: Iterable[ImageRef] = (),
    ) -> DeduplicationReport: ...


class TunerSession(WidgetSession, Protocol):
    """For the tuner: templates, embeddings, the model, and objects annotated by hand."""

    @property
    def model(self) -> Model: ...
    def embedding(self, image: ImageRef) -> tuple[Embedding, bool]: ...
    def find_template(self, template: Template | str) -> Template: ...
    def save_template(self, template: Template) -> Template: ...
    def template_features(self, image: ImageRef, template: Template) -> ImageFeatures: ...
    def annotated_by_hand(self, template: Template) -> list[LabelledImage]: ...


class UploadSession(Protocol):
    """For the upload."""

    def add_job(self, source: Any, *, dataset: str = "default", show: bool = True) -> IngestJob: ...
