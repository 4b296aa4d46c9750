"""`ExportItems`: the images of an export, each with its annotations, which are fetched for some images at a time.

A million annotations take gigabytes as records. A format that writes its file piece by piece goes over the items once
or twice, and has the annotations of some hundred images in memory; other formats take them all as a list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import UnknownName
from ..records import UNSURE, AnnotationRecord, Failure, ImageDetails, ImageRecord
from .writers.layout import ExportItem, distinct_names, unfit

Lookup = Callable[[Collection[str]], Mapping[str, Sequence[AnnotationRecord]]]
"""The annotations of several images, by image id."""

_AT_ONCE = 5000  # annotations that are in memory, as far as the last images let guess


@dataclass(eq=False)
class ExportItems:
    """The items of an export; each iteration fetches the annotations again.

    Parameters
    ----------
    images : sequence of ImageRecord
        In the order of the export.
    annotations : callable
        Finds those of some images.
    categories : sequence of str
        Those that annotations may have. One that has another got it after the export began, and is left out.
    details : mapping of str to ImageDetails
        By image id.
    """

    images: Sequence[ImageRecord]
    annotations: Lookup
    categories: Collection[str]
    details: Mapping[str, ImageDetails]
    names: Sequence[str] = ()
    unfit: dict[int, Failure] = field(default_factory=dict)
    """By id, annotations that no format can hold, or that came too late; complete after an iteration."""
    unsure: set[int] = field(default_factory=set)
    """The ids of those that wait for a review; complete after an iteration."""

    def __post_init__(self) -> None:
        self.names = self.names or distinct_names(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[ExportItem]:
        """The items, annotations with the topmost last."""
        start, count = 0, 20
        while start < len(self.images):
            images = self.images[start : start + count]
            found = self.annotations([image.id for image in images])
            for image, name in zip(images, self.names[start : start + count], strict=True):
                yield self._item(image, name, tuple(self._fit(image, found.get(image.id, ()))))
            start += len(images)
            total = sum(map(len, found.values()))
            count = max(1, min(500, _AT_ONCE * len(images) // max(1, total)))

    def heads(self) -> Iterator[ExportItem]:
        """The items without annotations; nothing is fetched."""
        return (self._item(image, name, ()) for image, name in zip(self.images, self.names, strict=True))

    def only(self, names: Collection[str]) -> ExportItems:
        """Those of these names, in the same order."""
        kept = [(image, name) for image, name in zip(self.images, self.names, strict=True) if name in names]
        images = [image for image, _ in kept]
        told = self.unfit, self.unsure
        return ExportItems(images, self.annotations, self.categories, self.details, [n for _, n in kept], *told)

    def _item(self, image: ImageRecord, name: str, annotations: tuple[AnnotationRecord, ...]) -> ExportItem:
        return ExportItem(image, name, annotations, self.details.get(image.id) or ImageDetails())

    def _fit(self, image: ImageRecord, found: Iterable[AnnotationRecord]) -> Iterator[AnnotationRecord]:
        for annotation in sorted(found, key=lambda one: (one.layer, one.id)):
            if reason := self._newer(annotation) or unfit(annotation, image.size_hw):
                place = f"{annotation.image}, annotation {annotation.id}"
                self.unfit[annotation.id] = Failure(place, reason)
                continue
            if annotation.review == UNSURE:
                self.unsure.add(annotation.id)
            yield annotation

    def _newer(self, annotation: AnnotationRecord) -> str:
        """Why its category is not among those of the export, or ""."""
        if annotation.category in self.categories:
            return ""
        return f"its category {annotation.category!r} came after the export began. Export again."


def looked_up(images: Sequence[ImageRecord], annotations: Iterable[AnnotationRecord]) -> Lookup:
    """Finds annotations that are there already. Raises `UnknownName` for one of an image that is not given."""
    of_image: dict[str, list[AnnotationRecord]] = {image.id: [] for image in images}
    for annotation in annotations:
        if annotation.image_id not in of_image:
            raise UnknownName("image", annotation.image, (image.filename for image in images))
        of_image[annotation.image_id].append(annotation)
    return lambda ids: {one: of_image[one] for one in ids}


def with_others(found: Lookup, others: Iterable[AnnotationRecord]) -> Lookup:
    """What a lookup finds, and these on the same images; those of other images are left out."""
    of_image: dict[str, list[AnnotationRecord]] = {}
    for annotation in others:
        of_image.setdefault(annotation.image_id, []).append(annotation)
    return lambda ids: {one: [*there, *of_image.get(one, ())] for one, there in found(ids).items()}
