"""Masks as rows of the catalog, checked against their image."""

from __future__ import annotations

from dataclasses import fields
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from ..catalog import Catalog
from ..errors import ImageError, PromptError
from ..masks.geometry import as_mask
from ..masks.part import MaskPart
from ..prompts import Prediction, Prompt
from ..records import REJECTED, AnnotationRecord, ImageRecord, NewAnnotation


def new_annotation(
    image: ImageRecord,
    mask: NDArray[np.bool_] | MaskPart,
    *,
    category: str,
    score: float,
    prompt: Prompt,
    source: str,
    model: str,
    review: str = "",
) -> NewAnnotation:
    """A row for a mask (H, W) of bool, or a part of one; the mask is stored as run lengths."""
    part = mask if isinstance(mask, MaskPart) else MaskPart.of(mask)
    return NewAnnotation(
        image_id=image.id,
        category=category,
        rle=part.rle,
        bbox=part.bbox,
        area=part.area,
        score=score,
        source=source,
        prompt=prompt.as_dict(),
        model=model,
        review=review,
    )


def as_new(record: AnnotationRecord, part: MaskPart) -> NewAnnotation:
    """A row with all that an annotation says, and another mask of its image."""
    kept = {each.name: getattr(record, each.name) for each in fields(NewAnnotation)}
    return NewAnnotation(**{**kept, "rle": part.rle, "bbox": part.bbox, "area": part.area})


def chosen_annotation(
    prediction: Prediction, image: ImageRecord, category: str, index: int | None, *, source: str, model: str
) -> NewAnnotation:
    """A row for one mask of a prediction; `index` None: the one with the highest score.

    Raises
    ------
    PromptError
        No such mask, an empty mask, an empty category.
    """
    category = category_name(category)
    if not len(prediction.scores):
        raise PromptError("The prediction has no masks: nothing to keep. Predict again.")
    number = prediction.best if index is None else index
    if not 0 <= number < len(prediction.scores):
        raise PromptError(f"index: expected 0 to {len(prediction.scores) - 1}, one of the masks; got {index}.")
    corner, mask = prediction.part_of(number)
    if not mask.any():
        raise PromptError("The chosen mask is empty: nothing to keep. Add a point, or choose another mask.")
    if prediction.size_hw != image.size_hw:
        raise PromptError(
            f"The mask is {prediction.size_hw} and {image.filename} is {image.size_hw} now: another picture came under "
            "that name. Predict again."
        )
    score, part = float(prediction.scores[number]), MaskPart.of(mask, corner, image.size_hw)
    return new_annotation(
        image, part, category=category, score=score, prompt=prediction.prompt, source=source, model=model
    )


def category_name(category: str) -> str:
    """The name without spaces around it. Raises `PromptError` for an empty one."""
    if not isinstance(category, str):
        raise PromptError(f"category: expected a name, a text such as 'coin'; got {category!r}. str(…) makes one.")
    name = category.strip()
    if not name:
        raise PromptError("category: expected a name such as 'coin'; got an empty one.")
    return name


def checked_part(mask: NDArray[np.bool_] | MaskPart, image: ImageRecord) -> MaskPart:
    """A mask of an image, by its rectangle. Raises `PromptError` when it is empty or has not the image's size."""
    if not isinstance(mask, MaskPart):
        return MaskPart.of(checked_mask(mask, image))
    if mask.size_hw != image.size_hw:
        raise PromptError(f"mask: expected shape {image.size_hw}, that of {image.filename}; got {mask.size_hw}.")
    if not mask.area:
        raise PromptError("The mask is empty: nothing to keep. Paint something, or delete the annotation.")
    return mask


def checked_mask(mask: NDArray[np.bool_], image: ImageRecord) -> NDArray[np.bool_]:
    """The mask as (H, W) bool. Raises `PromptError` when it is empty or has not the image's size."""
    values = np.asarray(mask)
    # Other packages hand out 0.0 and 1.0, which leave nothing to decide.
    certain = values.dtype.kind == "f" and bool(((values == 0) | (values == 1)).all())
    try:
        checked = as_mask(values.astype(bool) if certain else values)
    except ImageError as error:
        raise PromptError(f"mask: {error}") from error
    if checked.shape != image.size_hw:
        raise PromptError(f"mask: expected shape {image.size_hw}, that of {image.filename}; got {checked.shape}.")
    if not checked.any():
        raise PromptError("The mask is empty: nothing to keep. Paint something, or delete the annotation.")
    return checked


def checked_score(score: float) -> float:
    """The score as a number. Raises `PromptError` for what is none, and for one that no model gives."""
    # A model's estimate of an IoU may be a little beyond it.
    if isinstance(score, bool) or not isinstance(score, Real) or not -0.5 <= score <= 1.5:
        raise PromptError(f"score: expected a number, the mask's quality from 0 to 1; got {score!r}.")
    return float(score)


def all_annotations_of(catalog: Catalog, image_id: str) -> list[AnnotationRecord]:
    """The annotations of an image, then those that a review rejected: these do not come back by themselves."""
    return catalog.annotations(image_id=image_id) + catalog.annotations(image_id=image_id, review=REJECTED)
