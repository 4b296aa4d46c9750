"""A template over a dataset: what to decode, what to keep, what to resume; the stream of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .catalog import AnnotationRecord, Catalog, ImageRecord, NewAnnotation
from .errors import PromptError
from .jobs import Event, JobControl
from .masks import decode_rle, encode_rle, mask_area, mask_bbox
from .matching import Match, find_objects, overlap_of_smaller
from .models import Model
from .prompts import Embedding, Prediction
from .records import ACCEPTED, REJECTED, UNSURE
from .templates import Template

__all__ = ["apply_events", "chosen_annotation", "new_annotation"]


def apply_events(
    template: Template,
    images: Sequence[ImageRecord],
    *,
    catalog: Catalog,
    model: Model,
    embedding_of: Callable[[ImageRecord], tuple[Embedding, bool]],
    control: JobControl | None = None,
) -> Iterator[Event]:
    """Find a template's objects on every image and keep them; tell of every image.

    An image already done with this version and model is skipped, so a run that was cut off is resumed by
    running it again. Annotations made by hand are never touched, and an object that already has one of the
    same category is not annotated twice.

    Parameters
    ----------
    template : Template
    images : sequence of ImageRecord
    catalog : Catalog
        Where annotations are kept; one transaction an image.
    model : Model
    embedding_of : callable
        Gives an image's embedding and whether it was cached; encodes on the way what is missing.
    control : JobControl, optional
        Asked between images.
    """
    control = control or JobControl()
    counts = {"computed": 0, "skipped": 0, "failed": 0, "masks": 0, "unsure": 0, "encoded": 0}
    done = catalog.applied(template.name, template.version, model.fingerprint)
    for index, image in enumerate(images, start=1):
        if not control.go_on():
            break
        started = time.perf_counter()
        place: dict[str, Any] = {"index": index, "total": len(images), "filename": image.filename}
        if image.id in done:
            counts["skipped"] += 1
            yield Event("skipped", **place, ms=(time.perf_counter() - started) * 1000)
            continue
        try:
            kept, cached = _apply_to(template, image, catalog, model, embedding_of)
        except Exception as error:
            # One failing image must not stop the batch; the event carries the reason to the user.
            counts["failed"] += 1
            reason = {"error": str(error) or repr(error), "error_type": type(error).__name__}
            yield Event("failed", **place, ms=(time.perf_counter() - started) * 1000, details=reason)
            continue
        counts["computed"] += 1
        counts["masks"] += len(kept)
        counts["encoded"] += not cached
        counts["unsure"] += sum(a.review == UNSURE for a in kept)
        details = {"masks": len(kept), "score": round(_mean([a.score for a in kept]), 3), "cache_hit": cached}
        yield Event("computed", **place, ms=(time.perf_counter() - started) * 1000, details=details)
    yield Event("done", total=len(images), details=counts | ({"cancelled": True} if control.cancelled else {}))


def new_annotation(image: ImageRecord, match: Match, *, source: str, model: str, review: str = "") -> NewAnnotation:
    """A row for the catalog from a mask; masks are kept as run lengths."""
    return NewAnnotation(
        image_id=image.id,
        category=match.category,
        rle=encode_rle(match.mask),
        bbox=mask_bbox(match.mask),
        area=mask_area(match.mask),
        score=match.score,
        source=source,
        prompt=match.prompt.as_dict(),
        model=model,
        review=review,
    )


def chosen_annotation(
    prediction: Prediction, image: ImageRecord, category: str, index: int | None, *, source: str, model: str
) -> NewAnnotation:
    """A row for the catalog from one mask of a prediction; `index` None: the one with the highest score.

    Raises
    ------
    PromptError
        No such mask, an empty mask, an empty category.
    """
    category = str(category).strip()
    if not category:
        raise PromptError("category: expected a name such as 'coin'; got an empty one.")
    number = prediction.best if index is None else index
    if not 0 <= number < len(prediction.scores):
        raise PromptError(f"index: expected 0 to {len(prediction.scores) - 1}, one of the masks; got {index}.")
    mask = prediction.mask_of(number)
    if not mask.any():
        raise PromptError("The chosen mask is empty: nothing to keep. Add a point, or choose another mask.")
    if mask.shape != image.size_hw:
        raise PromptError(
            f"The mask is {mask.shape} and {image.filename} is {image.size_hw} now: another picture came under that "
            "name. Predict again."
        )
    match = Match(category, mask, float(prediction.scores[number]), prediction.prompt)
    return new_annotation(image, match, source=source, model=model)


def _apply_to(
    template: Template,
    image: ImageRecord,
    catalog: Catalog,
    model: Model,
    embedding_of: Callable[[ImageRecord], tuple[Embedding, bool]],
) -> tuple[list[AnnotationRecord], bool]:
    embedding, cached = embedding_of(image)
    matches = find_objects(template, embedding, model.decode, propose=getattr(model, "propose", None))
    # Read after the search, which takes a while: what a hand accepted meanwhile counts too. A mask of another size
    # belongs to an earlier picture under this name. What a review rejected is not found again.
    there = catalog.annotations(image_id=image.id) + catalog.annotations(image_id=image.id, review=REJECTED)
    others = [a for a in there if a.review in (ACCEPTED, REJECTED) or not _is_of(a.source, template.name)]
    masks = [(a.category, decode_rle(a.rle)) for a in others if tuple(a.rle["size"]) == image.size_hw]
    limits = template.parameters
    new = [
        new_annotation(
            image,
            match,
            source=template.source,
            model=model.fingerprint,
            review=UNSURE if match.score < limits["review_score"] else "",
        )
        for match in matches
        if not any(
            category == match.category and overlap_of_smaller(mask, match.mask) > limits["max_overlap"]
            for category, mask in masks
        )
    ]
    kept = catalog.finish_applied(template.name, template.version, model.fingerprint, image.id, new)
    return kept, cached


def _is_of(source: str, template: str) -> bool:
    """Whether any version of the template left it."""
    return source.partition("@")[0] == f"template:{template}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
