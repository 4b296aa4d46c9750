"""Applies a template to a dataset: decodes, saves and resumes, and yields events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial

from ..annotations.rows import all_annotations_of, new_annotation
from ..catalog import AnnotationRecord, Catalog, ImageRecord, NewAnnotation
from ..catalog.values import to_json
from ..encoding.encoder import Encoder
from ..encoding.regions import Region
from ..encoding.search_events import Kept, SearchMany, search_events
from ..encoding.tile_search import TileFind, search_tiles
from ..jobs import Event, JobControl
from ..masks.part import MaskPart
from ..models import Model, finder
from ..models.candidates import proposer
from ..records import ACCEPTED, REJECTED, UNSURE
from .other_features import ReadFeatures
from .parameters import DEFAULT_PARAMETERS
from .strategies import find_objects
from .template import Template

FeaturesOf = Callable[..., ReadFeatures]
"""Given an image, and the region of it or None."""

_log = logging.getLogger("samnb.templates")


def apply_events(
    template: Template,
    images: Sequence[ImageRecord],
    *,
    catalog: Catalog,
    model: Model,
    search: SearchMany,
    control: JobControl | None = None,
    left_out: int = 0,
) -> Iterator[Event]:
    """Find a template's objects on every image and save them; yields an event per image.

    An image that is finished with this version and model is skipped, so an interrupted run is resumed by
    running it again. If only "review_score" differs from the version it was finished with, it is not
    searched again. Annotations made by hand never change, and an object that already has one is not annotated
    twice: more than "max_overlap" with one of the same category, or an IoU above "max_iou_between" with any.

    Parameters
    ----------
    template : Template
    images : sequence of ImageRecord
    catalog : Catalog
        Stores the annotations; one transaction for each image, or bundle of a worker. Only this thread writes to it.
    model : Model
        Its fingerprint is recorded.
    search : callable
        Finds the objects with `search_image`: `samnb.encoding.search_events.search_here`, or
        `samnb.templates.on_workers.search_on`.
    control : JobControl, optional
        Checked between images.
    left_out : int
        Number of images that are not among these because of their state; told by the last event.
    """
    keeper = _Finds(template, catalog, model)
    yield from search_events(images, search=search, keeper=keeper, catalog=catalog, control=control, left_out=left_out)


def search_image(
    template: Template, image: ImageRecord, encoder: Encoder, features_of: FeaturesOf
) -> tuple[tuple[NewAnnotation, ...], int]:
    """A template's objects on one image as rows, and how often an encoder ran; the catalog is not asked."""
    found, encodes = _found(template, image, encoder, features_of)
    rows = (
        new_annotation(
            image,
            one.part,
            category=one.category,
            score=one.score,
            prompt=one.prompt,
            source=template.source,
            model=encoder.model.fingerprint,
            review=_review_of(one.score, template),
        )
        for one in found
    )
    return tuple(rows), encodes


def _found(
    template: Template, image: ImageRecord, encoder: Encoder, features_of: FeaturesOf
) -> tuple[list[TileFind], int]:
    """The objects on an image, of a large one tile by tile; and how often an image encoder ran."""
    model, encodes = encoder.model, 0

    def find(region: Region | None) -> list[TileFind]:
        nonlocal encodes
        read = features_of(image, region=region)
        encodes += read.encodes
        matches = find_objects(
            template, read.features, model.decode, propose=proposer(model.decode, model), find=finder(model)
        )
        corner = (0, 0) if region is None else region[:2]
        return [
            TileFind(MaskPart.of(m.mask, corner, image.size_hw), m.score, m.prompt.moved(*corner), m.category)
            for m in matches
        ]

    if not encoder.large.has(image):
        return find(None), encodes
    found = search_tiles(image, encoder.large.grid(image).tiles(), find, encoder)
    kept: list[TileFind] = []
    for one in found:  # the best first: where two categories have nearly the same mask, the better one keeps it
        others = (other for other in kept if other.category != one.category)
        if all(one.part.iou(other.part) <= template.parameters["max_iou_between"] for other in others):
            kept.append(one)
    return kept, encodes


class _Finds:
    """Keeps a template's finds as annotations; a `samnb.encoding.search_events.Keeper`."""

    counted = ("masks", "unsure")

    def __init__(self, template: Template, catalog: Catalog, model: Model):
        self._template, self._catalog, self._model = template, catalog, model
        self._done = catalog.applied_versions(template.name, model.fingerprint)
        self._alike = {version for version in set(self._done.values()) if self._finds_the_same(version)}

    def is_done(self, image: ImageRecord) -> bool:
        return self._done.get(image.id) == self._template.version

    def known(self, image: ImageRecord) -> Callable[[], Kept] | None:
        version = self._done.get(image.id)
        return partial(self._mark_again, version, image) if version is not None and version in self._alike else None

    def keep(self, image: ImageRecord, found: Sequence[NewAnnotation]) -> Kept:
        """Save what has no annotation yet."""
        return self._finish(image, self._without_annotation(image, found, all_annotations_of(self._catalog, image.id)))

    def keep_all(self, found: Sequence[tuple[ImageRecord, Sequence[NewAnnotation]]]) -> Mapping[str, Kept]:
        by_id = {image.id: (image, rows) for image, rows in found}
        if len(by_id) < max(2, len(found)):
            return {}  # an image that is named twice is saved twice, one after the other
        name, version = self._template.name, self._template.version
        try:
            there = self._catalog.annotations_on(by_id)
            new = [
                (image.id, self._without_annotation(image, rows, there[image.id]), image.pixel_hash)
                for image, rows in by_id.values()
            ]
            kept = self._catalog.finish_applied_all(name, version, self._model.fingerprint, new)
        except Exception as error:  # of one image: saved one by one, it fails alone
            _log.debug("%d images are saved one by one: %s", len(by_id), error)
            return {}
        return {image_id: _kept(records) for image_id, records in zip(by_id, kept, strict=True)}

    def _without_annotation(
        self, image: ImageRecord, found: Sequence[NewAnnotation], there: Sequence[AnnotationRecord]
    ) -> list[NewAnnotation]:
        """The found objects that have no annotation among those that are there."""
        limits, name = self._template.parameters, self._template.name
        # Read after the search, which takes a while: annotations accepted meanwhile count too. A mask of another size
        # belongs to an earlier picture under this name. Rejected annotations are not found again.
        others = [a for a in there if a.review in (ACCEPTED, REJECTED) or not _is_of(a.source, name)]
        masks = [(a.category, MaskPart.of_rle(a.rle)) for a in others if tuple(a.rle["size"]) == image.size_hw]

        def is_there(one: NewAnnotation) -> bool:
            own = MaskPart.of_rle(one.rle)
            return any(
                (category == one.category and mask.overlap_of_smaller(own) > limits["max_overlap"])
                # Also of other categories: a renamed category no longer has the template's name for it.
                or mask.iou(own) > limits["max_iou_between"]
                for category, mask in masks
            )

        return [one for one in found if not (masks and is_there(one))]

    def _finds_the_same(self, version: int) -> bool:
        """Whether that version finds the same objects, and only sends others of them to review."""
        before = self._catalog.template(self._template.name, version)
        asks = {"review_score": self._template.parameters["review_score"]}
        same = {**before, "parameters": {**DEFAULT_PARAMETERS, **before["parameters"], **asks}}
        return to_json(same) == to_json(self._template.as_dict())

    def _mark_again(self, version: int, image: ImageRecord) -> Kept:
        """The annotations of an earlier version, as this version's; which need a review is decided again."""
        template = self._template
        left = [
            a
            for a in self._catalog.annotations(image_id=image.id, source=f"template:{template.name}@{version}")
            if a.review not in (ACCEPTED, REJECTED)
        ]
        names = [f.name for f in fields(NewAnnotation)]
        as_they_are = [NewAnnotation(**{name: getattr(a, name) for name in names}) for a in left]
        return self._finish(
            image,
            [replace(a, source=template.source, review=_review_of(a.score, template)) for a in as_they_are],
        )

    def _finish(self, image: ImageRecord, new: Sequence[NewAnnotation]) -> Kept:
        name, version = self._template.name, self._template.version
        fingerprint, hash_ = self._model.fingerprint, image.pixel_hash
        return _kept(self._catalog.finish_applied(name, version, fingerprint, image.id, new, pixel_hash=hash_))


def _kept(annotations: Sequence[AnnotationRecord]) -> Kept:
    scores = [a.score for a in annotations]
    score = round(sum(scores) / len(scores), 3) if scores else 0.0
    unsure = sum(a.review == UNSURE for a in annotations)
    return Kept({"masks": len(annotations), "unsure": unsure}, {"masks": len(annotations), "score": score})


def _review_of(score: float, template: Template) -> str:
    return UNSURE if score < template.parameters["review_score"] else ""


def _is_of(source: str, template: str) -> bool:
    """Whether any version of the template made it."""
    return source.partition("@")[0] == f"template:{template}"
