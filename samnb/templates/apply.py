"""Applies a template to a dataset: decodes, saves and resumes, and yields events."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from ..annotations.rows import all_annotations_of, new_annotation
from ..catalog import AnnotationRecord, Catalog, ImageRecord, NewAnnotation
from ..catalog.values import to_json
from ..encoding.encoder import Encoder
from ..encoding.regions import Region
from ..encoding.tile_search import TileFind, search_tiles
from ..errors import SamnbError
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
_KNOWN_AT_ONCE = 500  # events of images that need no search
_END: Any = object()


@dataclass(frozen=True)
class Searched:
    """What a search found on one image.

    Parameters
    ----------
    found : tuple of NewAnnotation
        Every object, also those that have an annotation already.
    encodes : int
        How often an image encoder ran.
    error, error_type : str
        Why the search failed, and the name of the error's class; "" if it did not.
    ms : float
    """

    found: tuple[NewAnnotation, ...] = ()
    encodes: int = 0
    error: str = ""
    error_type: str = ""
    ms: float = 0.0


Numbered = tuple[int, ImageRecord]
Search = Callable[[Iterator[Numbered | None], JobControl], Generator[list[tuple[Numbered, Searched]]]]
"""Searches images as they come, until cancelled: `search_here`, or on workers."""


def apply_events(
    template: Template,
    images: Sequence[ImageRecord],
    *,
    catalog: Catalog,
    model: Model,
    search: Search,
    control: JobControl | None = None,
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
        Finds the objects: `search_here`, or `samnb.templates.on_workers.search_on`.
    control : JobControl, optional
        Checked between images.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0, "masks": 0, "unsure": 0, "encoded": 0}
    done = catalog.applied_versions(template.name, model.fingerprint)
    if any(done.get(image.id) != template.version for image in images):
        catalog.check_writable()  # before seconds of work that could not be kept
    alike = {version for version in set(done.values()) if _finds_the_same(template, version, catalog)}
    known: deque[Event] = deque()

    def event_of(
        number: int, image: ImageRecord, keep: Callable[[], list[AnnotationRecord]], searched: Searched
    ) -> Event:
        place: dict[str, Any] = {"index": number, "total": len(images), "filename": image.filename}
        started = time.perf_counter()
        error, error_type = searched.error, searched.error_type
        kept: list[AnnotationRecord] = []
        if not error:
            try:
                kept = keep()
            except Exception as failure:
                # One failing image must not stop the batch; the event carries the reason to the user.
                error, error_type = str(failure) or repr(failure), type(failure).__name__
        ms = searched.ms + (time.perf_counter() - started) * 1000
        if error:
            counts["failed"] += 1
            return Event("failed", **place, ms=ms, details={"error": error, "error_type": error_type})
        counts["computed"] += 1
        counts["masks"] += len(kept)
        counts["encoded"] += searched.encodes
        counts["unsure"] += sum(a.review == UNSURE for a in kept)
        score = round(_mean([a.score for a in kept]), 3)
        return Event(
            "computed", **place, ms=ms, details={"masks": len(kept), "score": score, "cache_hit": not searched.encodes}
        )

    def unsearched() -> Iterator[Numbered | None]:
        for number, image in enumerate(images, start=1):
            version = done.get(image.id)
            if version == template.version:
                counts["skipped"] += 1
                known.append(Event("skipped", number, len(images), image.filename))
            elif version in alike:
                again = partial(_mark_again, template, version, image, catalog, model)
                known.append(event_of(number, image, again, Searched()))
            else:
                yield number, image
            if len(known) >= _KNOWN_AT_ONCE:
                yield None

    with closing(search(unsearched(), control)) as searches:
        for results in searches:
            while known:
                yield known.popleft()
            kept = _keep_at_once(template, results, catalog, model)
            for (number, image), searched in results:
                one_by_one = partial(_keep, template, image, searched.found, catalog, model)
                keep = one_by_one if image.id not in kept else partial(kept.__getitem__, image.id)
                yield event_of(number, image, keep, searched)
    yield from known
    catalog.sync()
    yield Event("done", total=len(images), details=counts | ({"cancelled": True} if control.cancelled else {}))


def search_here(template: Template, encoder: Encoder, features_of: FeaturesOf) -> Search:
    """A search in this process, one image after the other.

    Parameters
    ----------
    encoder : Encoder
        Of the model that draws the masks.
    features_of : callable
        Returns what the template compares on an image, or on a tile of it; encodes it if it is missing.
    """

    def search(images: Iterator[Numbered | None], control: JobControl) -> Generator[list[tuple[Numbered, Searched]]]:
        # Before the first image is asked for: after a cancel not even what is known is recorded.
        while control.go_on():
            numbered = next(images, _END)
            if numbered is _END:
                return
            if numbered is None:
                yield []
                continue
            if not control.go_on():
                return
            started = time.perf_counter()
            try:
                found, encodes = search_image(template, numbered[1], encoder, features_of)
                searched = Searched(found, encodes)
            except Exception as error:
                searched = Searched(error=str(error) or repr(error), error_type=type(error).__name__)
            yield [(numbered, replace(searched, ms=(time.perf_counter() - started) * 1000))]

    return search


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


def _keep(
    template: Template, image: ImageRecord, found: Sequence[NewAnnotation], catalog: Catalog, model: Model
) -> list[AnnotationRecord]:
    """Save what has no annotation yet."""
    new = _without_annotation(template, image, found, all_annotations_of(catalog, image.id))
    return _finish(template, image, catalog, model, new)


def _keep_at_once(
    template: Template, results: Sequence[tuple[Numbered, Searched]], catalog: Catalog, model: Model
) -> dict[str, list[AnnotationRecord]]:
    """Save what workers found on several images in one transaction, by image id; {} if it has to be done one by one."""
    found = {image.id: (image, searched.found) for (_, image), searched in results if not searched.error}
    if len(found) < 2 or len(found) < len(results) - sum(bool(searched.error) for _, searched in results):
        return {}  # an image that is named twice is saved twice, one after the other
    there = catalog.annotations_on(found)
    new = [
        (image.id, _without_annotation(template, image, rows, there[image.id]), image.pixel_hash)
        for image, rows in found.values()
    ]
    try:
        kept = catalog.finish_applied_all(template.name, template.version, model.fingerprint, new)
    except SamnbError as error:  # of one image: saved one by one, it fails alone
        _log.debug("%d images are saved one by one: %s", len(new), error)
        return {}
    return dict(zip(found, kept, strict=True))


def _without_annotation(
    template: Template, image: ImageRecord, found: Sequence[NewAnnotation], there: Sequence[AnnotationRecord]
) -> list[NewAnnotation]:
    """The found objects that have no annotation among those that are there."""
    limits = template.parameters
    # Read after the search, which takes a while: annotations accepted meanwhile count too. A mask of another size
    # belongs to an earlier picture under this name. Rejected annotations are not found again.
    others = [a for a in there if a.review in (ACCEPTED, REJECTED) or not _is_of(a.source, template.name)]
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


def _finish(
    template: Template, image: ImageRecord, catalog: Catalog, model: Model, new: Sequence[NewAnnotation]
) -> list[AnnotationRecord]:
    return catalog.finish_applied(
        template.name, template.version, model.fingerprint, image.id, new, pixel_hash=image.pixel_hash
    )


def _finds_the_same(template: Template, version: int, catalog: Catalog) -> bool:
    """Whether that version finds the same objects, and only sends others of them to review."""
    before = catalog.template(template.name, version)
    asks = {"review_score": template.parameters["review_score"]}
    same = {**before, "parameters": {**DEFAULT_PARAMETERS, **before["parameters"], **asks}}
    return to_json(same) == to_json(template.as_dict())


def _mark_again(
    template: Template, version: int, image: ImageRecord, catalog: Catalog, model: Model
) -> list[AnnotationRecord]:
    """The annotations of an earlier version, as this version's; which need a review is decided again."""
    left = [
        a
        for a in catalog.annotations(image_id=image.id, source=f"template:{template.name}@{version}")
        if a.review not in (ACCEPTED, REJECTED)
    ]
    names = [f.name for f in fields(NewAnnotation)]
    as_they_are = [NewAnnotation(**{name: getattr(a, name) for name in names}) for a in left]
    return _finish(
        template,
        image,
        catalog,
        model,
        [replace(a, source=template.source, review=_review_of(a.score, template)) for a in as_they_are],
    )


def _review_of(score: float, template: Template) -> str:
    return UNSURE if score < template.parameters["review_score"] else ""


def _is_of(source: str, template: str) -> bool:
    """Whether any version of the template made it."""
    return source.partition("@")[0] == f"template:{template}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
