"""Applies a template to a dataset: decodes, saves and resumes, and yields events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from ..annotations.rows import all_annotations_of, new_annotation
from ..catalog import AnnotationRecord, Catalog, ImageRecord, NewAnnotation
from ..catalog.values import to_json
from ..jobs import Event, JobControl
from ..masks import decode_rle, mask_iou
from ..masks.geometry import overlap_of_smaller
from ..models import Model, finder
from ..models.candidates import proposer
from ..records import ACCEPTED, REJECTED, UNSURE
from .other_features import ReadFeatures
from .parameters import DEFAULT_PARAMETERS
from .strategies import find_objects
from .template import Template


def apply_events(
    template: Template,
    images: Sequence[ImageRecord],
    *,
    catalog: Catalog,
    model: Model,
    features_of: Callable[[ImageRecord], ReadFeatures],
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
        Stores the annotations; one transaction per image.
    model : Model
    features_of : callable
        Returns what the template compares on an image; encodes it if it is missing.
    control : JobControl, optional
        Checked between images.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0, "masks": 0, "unsure": 0, "encoded": 0}
    done = catalog.applied_versions(template.name, model.fingerprint)
    if any(done.get(image.id) != template.version for image in images):
        catalog.check_writable()  # before seconds of work that could not be kept
    alike = {version for version in set(done.values()) if _finds_the_same(template, version, catalog)}
    for index, image in enumerate(images, start=1):
        if not control.go_on():
            break
        started = time.perf_counter()
        place: dict[str, Any] = {"index": index, "total": len(images), "filename": image.filename}
        if done.get(image.id) == template.version:
            counts["skipped"] += 1
            yield Event("skipped", **place, ms=(time.perf_counter() - started) * 1000)
            continue
        try:
            if done.get(image.id) in alike:
                kept, encodes = _mark_again(template, done[image.id], image, catalog, model), 0
            else:
                kept, encodes = _apply_to(template, image, catalog, model, features_of)
        except Exception as error:
            # One failing image must not stop the batch; the event carries the reason to the user.
            counts["failed"] += 1
            reason = {"error": str(error) or repr(error), "error_type": type(error).__name__}
            yield Event("failed", **place, ms=(time.perf_counter() - started) * 1000, details=reason)
            continue
        counts["computed"] += 1
        counts["masks"] += len(kept)
        counts["encoded"] += encodes
        counts["unsure"] += sum(a.review == UNSURE for a in kept)
        details = {"masks": len(kept), "score": round(_mean([a.score for a in kept]), 3), "cache_hit": not encodes}
        yield Event("computed", **place, ms=(time.perf_counter() - started) * 1000, details=details)
    catalog.sync()
    yield Event("done", total=len(images), details=counts | ({"cancelled": True} if control.cancelled else {}))


def _apply_to(
    template: Template,
    image: ImageRecord,
    catalog: Catalog,
    model: Model,
    features_of: Callable[[ImageRecord], ReadFeatures],
) -> tuple[list[AnnotationRecord], int]:
    read = features_of(image)
    matches = find_objects(
        template, read.features, model.decode, propose=proposer(model.decode, model), find=finder(model)
    )
    limits = template.parameters
    # Read after the search, which takes a while: annotations accepted meanwhile count too. A mask of another size
    # belongs to an earlier picture under this name. Rejected annotations are not found again.
    there = all_annotations_of(catalog, image.id)
    others = [a for a in there if a.review in (ACCEPTED, REJECTED) or not _is_of(a.source, template.name)]
    masks = [(a.category, decode_rle(a.rle)) for a in others if tuple(a.rle["size"]) == image.size_hw]
    new = [
        new_annotation(
            image,
            match.mask,
            category=match.category,
            score=match.score,
            prompt=match.prompt,
            source=template.source,
            model=model.fingerprint,
            review=_review_of(match.score, template),
        )
        for match in matches
        if not any(
            (category == match.category and overlap_of_smaller(mask, match.mask) > limits["max_overlap"])
            # Also of other categories: a renamed category no longer has the template's name for it.
            or mask_iou(mask, match.mask) > limits["max_iou_between"]
            for category, mask in masks
        )
    ]
    return _finish(template, image, catalog, model, new), read.encodes


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
