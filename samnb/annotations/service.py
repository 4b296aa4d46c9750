"""The part of `Session` that is about annotations: kept, changed, put back; their categories; who is told."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..annotations.annotation import Annotation, Annotations
from ..errors import PromptError, UnknownName
from ..ingest.library import Datasets
from ..jobs import Event
from ..masks import encode_rle, mask_area, mask_bbox
from ..prompts import Prediction, Prompt
from ..records import BY_HAND, ImageRecord, ImageRef
from ..templates.apply import chosen_annotation, new_annotation
from ..templates.matching import Match

if TYPE_CHECKING:
    from ..models import Model
    from ..records import CategoryRecord

__all__ = ["BY_HAND", "Annotating", "Changes"]

_log = logging.getLogger("samnb.session")


# What may change while an annotation keeps its id.
_CHANGING = ("category", "rle", "bbox", "area", "score", "prompt", "layer", "review")

Listener = Callable[[str], object]


class Changes:
    """Tells, in this process, that the annotations of an image changed. Listeners are not kept alive by it.

    Examples
    --------
    >>> changes, seen = Changes(), []
    >>> changes.subscribe(seen.append)
    >>> changes.tell("0123")
    >>> seen
    ['0123']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], Listener | None]] = []

    def subscribe(self, listener: Listener) -> None:
        """Call it with an image's id, "" for any image, on whatever thread the change was made; a method, weakly."""
        bound = hasattr(listener, "__self__") and hasattr(listener, "__func__")
        with self._lock:
            self._listeners.append(weakref.WeakMethod(listener) if bound else lambda: listener)  # type: ignore[arg-type]

    def unsubscribe(self, listener: Listener) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = [other for other in self._listeners if other() not in (None, listener)]

    def tell(self, image_id: str = "") -> None:
        """Something changed on that image; a listener that fails is logged, and the others are told."""
        with self._lock:
            listeners = [listener() for listener in self._listeners]
        for listener in filter(None, listeners):
            try:
                listener(image_id)
            except Exception:
                _log.exception("a listener of the annotations failed")

    def of(self, images: Sequence[ImageRecord], events: Iterable[Event]) -> Iterator[Event]:
        """The events of an apply, each image told of as it is done."""
        for event in events:
            if event.status == "computed" and 0 < event.index <= len(images):
                self.tell(images[event.index - 1].id)
            yield event


class Annotating(Datasets):
    """What a `Session` does with annotations and their categories.

    Attributes
    ----------
    changes : Changes
        Who is told when annotations change.
    unfinished : dict
        By image id, what hands have begun there and not kept yet; the annotators of this process share it.
    """

    model: Model
    changes: Changes
    unfinished: dict[str, Any]

    def accept(self, prediction: Prediction, *, category: str, index: int | None = None) -> Annotation:
        """Keep one mask of a prediction as an annotation; it is in the catalog when this returns.

        Parameters
        ----------
        prediction : Prediction
        category : str
            Class name; a new one is fine.
        index : int, optional
            Which mask; None: the one with the highest score.

        Raises
        ------
        PromptError
            No such mask, an empty mask, an empty category.
        """
        image, model = self.image(prediction.image_id), prediction.model or self.model.fingerprint
        row = chosen_annotation(prediction, image, category, index, source=BY_HAND, model=model)
        return self._kept(row)

    def accept_mask(
        self,
        image: ImageRef,
        mask: NDArray[np.bool_],
        *,
        category: str,
        prompt: Prompt | None = None,
        score: float = 1.0,
    ) -> Annotation:
        """Keep a mask that was drawn or mended by hand; it is in the catalog when this returns.

        Parameters
        ----------
        image : str, path or ImageRecord
        mask : (H, W) bool
            Of the image's size.
        category : str
        prompt : Prompt, optional
            What a model was asked before the mask was mended.
        score : float
            The model's estimate for the mask that was mended; 1 for one drawn by hand.

        Raises
        ------
        PromptError
            A mask of another size, an empty mask, an empty category.
        """
        record = self._read(image)
        kept = Match(_name(category), _checked(mask, record), float(score), prompt or Prompt())
        model = self.model.fingerprint if prompt else ""
        return self._kept(new_annotation(record, kept, source=BY_HAND, model=model))

    def annotations(
        self, *, category: str | None = None, image: ImageRef | None = None, dataset: str | None = None
    ) -> Annotations:
        """Annotations in the order they were made.

        Raises
        ------
        UnknownName
            No such category, image or dataset.
        """
        if category is not None and category not in self.categories():
            raise UnknownName("category", category, self.categories())
        image_id = None if image is None else self.image(image).id
        records = self.catalog.annotations(category=category, image_id=image_id, dataset=dataset)
        return Annotations(Annotation(record) for record in records)

    def update(
        self,
        annotation: Annotation | int,
        *,
        mask: NDArray[np.bool_] | None = None,
        category: str | None = None,
        layer: int | None = None,
        prompt: Prompt | None = None,
        score: float | None = None,
    ) -> Annotation:
        """Change an annotation and keep its id; what is left out stays.

        What a template left counts as accepted once a hand changed its mask, category or prompt.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.
        mask : (H, W) bool, optional
        category : str, optional
        layer : int, optional
            Higher ones lie on top; of equal ones the later annotation does.
        prompt : Prompt, optional
        score : float, optional

        Raises
        ------
        UnknownName
            It is gone.
        PromptError
            A mask of another size, an empty mask, an empty category.
        """
        values: dict[str, Any] = {"layer": layer, "score": score}
        if category is not None:
            values["category"] = _name(category)
        if mask is not None:
            whole = _checked(mask, self._image_of(annotation))
            values |= {"rle": encode_rle(whole), "bbox": mask_bbox(whole), "area": mask_area(whole)}
        if prompt is not None:
            values["prompt"] = prompt.as_dict()
        given = {name: value for name, value in values.items() if value is not None}
        by_hand = bool({"rle", "category", "prompt"} & given.keys())
        record = self.catalog.update_annotation(_id(annotation), **given, by_hand=by_hand)
        self.changes.tell(record.image_id)
        return Annotation(record)

    def remove(self, annotation: Annotation | int) -> bool:
        """Delete an annotation; False if it was gone already."""
        gone = bool(self.catalog.remove_annotations([_id(annotation)]))
        if gone:
            self.changes.tell("" if isinstance(annotation, int) else annotation.image_id)
        return gone

    def restore(self, annotations: Iterable[Annotation], *, changed_from: Iterable[Annotation] = ()) -> None:
        """Make annotations what they were: a deleted one comes back under its old id, a changed one as it was.

        Parameters
        ----------
        annotations : iterable of Annotation
        changed_from : iterable of Annotation, optional
            What each of them is taken to be now: only where the two differ something is written, so that what others
            changed meanwhile stays.

        Raises
        ------
        UnknownName
            An image of theirs is gone.
        """
        records = [annotation.record for annotation in annotations]
        now = {annotation.id: annotation.record for annotation in changed_from}
        gone = []
        for record in records:
            values = {name: getattr(record, name) for name in _CHANGING}
            if record.id in now:
                values = {name: value for name, value in values.items() if value != getattr(now[record.id], name)}
            if "rle" in values:  # the three go together
                values |= {name: getattr(record, name) for name in ("bbox", "area")}
            elif {"bbox", "area"} & values.keys():
                values |= {name: getattr(record, name) for name in ("rle", "bbox", "area")}
            try:
                self.catalog.update_annotation(record.id, **values)
            except UnknownName:
                gone.append(record)
        self.catalog.restore_annotations(gone)
        for image_id in dict.fromkeys(record.image_id for record in records):
            self.changes.tell(image_id)

    # -- categories --------------------------------------------------------------------------------

    def categories(self) -> list[str]:
        """All categories, in their order."""
        return self.catalog.categories()

    def category_records(self) -> list[CategoryRecord]:
        """All categories with their colours, in their order."""
        return self.catalog.category_records()

    def add_category(self, name: str, *, color: str | None = None) -> None:
        """Have a category, with a colour ("#rrggbb") or the next of the colour-blind-safe ones."""
        self.catalog.save_category(_name(name), color=color)
        self.changes.tell()

    def recolor_category(self, name: str, color: str) -> None:
        """Show a category in another colour, "#rrggbb"."""
        if name not in self.categories():
            raise UnknownName("category", name, self.categories())
        self.catalog.save_category(name, color=color)
        self.changes.tell()

    def rename_category(self, name: str, new_name: str) -> None:
        """Call a category something else, in its annotations too.

        Raises
        ------
        UnknownName, NameTaken
            There is none of that name, or one of the new name.
        """
        self.catalog.rename_category(name, _name(new_name))
        self.changes.tell()

    def remove_category(self, name: str) -> None:
        """Have a category no more.

        Raises
        ------
        WorkWouldBeLost
            There are annotations of it.
        """
        self.catalog.remove_category(name)
        self.changes.tell()

    # -- inside ------------------------------------------------------------------------------------

    def _kept(self, row: Any) -> Annotation:
        [record] = self.catalog.add_annotations([row])
        self.changes.tell(record.image_id)
        return Annotation(record)

    def _image_of(self, annotation: Annotation | int) -> ImageRecord:
        record = annotation if isinstance(annotation, Annotation) else self.catalog.annotation(annotation)
        return self.image(record.image_id)


def _id(annotation: Annotation | int) -> int:
    return annotation if isinstance(annotation, int) else int(annotation.id)


def _name(category: str) -> str:
    name = str(category).strip()
    if not name:
        raise PromptError("category: expected a name such as 'coin'; got an empty one.")
    return name


def _checked(mask: NDArray[np.bool_], image: ImageRecord) -> NDArray[np.bool_]:
    whole = np.asarray(mask, bool)
    if whole.shape != image.size_hw:
        raise PromptError(f"mask: expected shape {image.size_hw}, that of {image.filename}; got {whole.shape}.")
    if not whole.any():
        raise PromptError("The mask is empty: nothing to keep. Paint something, or delete the annotation.")
    return whole
