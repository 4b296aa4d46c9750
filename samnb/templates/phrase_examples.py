"""The arguments of a template of strategy "phrase": names and phrases of categories, and boxes on images.

Boxes are (x0, y0, x1, y1) in image pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

from ..annotations.annotation import Annotation
from ..errors import TemplateError
from ..models import Exemplar
from ..records import AnnotationRecord, ImageRef

ExampleBoxes: TypeAlias = (
    Mapping[ImageRef, Sequence[Exemplar | Sequence[float]]] | Iterable[Annotation | AnnotationRecord]
)
"""Boxes by image, or annotations."""


def named_phrases(
    name: str, phrase: str | Mapping[str, str] | None, categories: Sequence[str] | str | None
) -> dict[str, str]:
    """Phrases by category; "" for examples alone.

    Parameters
    ----------
    name : str
        Of the template: the category of examples without a phrase.
    phrase : str, mapping of category to str, or None
    categories : sequence of str, optional
        The name for a single phrase.

    Raises
    ------
    TemplateError
        No text, or categories that do not fit.

    Examples
    --------
    >>> named_phrases("cars", "yellow taxi", None), named_phrases("cars", None, ["taxi"])
    ({'yellow taxi': 'yellow taxi'}, {'taxi': ''})
    """
    wanted = [categories] if isinstance(categories, str) else list(categories or ())
    if isinstance(phrase, Mapping):
        if wanted:
            raise TemplateError("categories: the phrases name them already, {category: phrase}; leave it out.")
        if not phrase:
            raise TemplateError('phrase: expected {category: phrase}, such as {"taxi": "yellow taxi"}; got none.')
        return {str(category): _text(words) for category, words in phrase.items()}
    if len(wanted) > 1:
        raise TemplateError(f'categories: expected one for one phrase; got {wanted}. phrase={{"{wanted[0]}": …, …}}')
    words = "" if phrase is None else _text(phrase)
    return {wanted[0] if wanted else words or name: words}


def boxes_by_image(examples: Any) -> list[tuple[ImageRef, list[Exemplar]]]:
    """Boxes as exemplars, by image.

    Raises
    ------
    TemplateError
        Neither a mapping of images to boxes, nor annotations; an image without a box.
    PromptError
        A box that is none.

    Examples
    --------
    >>> boxes_by_image({"a.jpg": [(0, 0, 9, 9)]})
    [('a.jpg', [Exemplar(box=(0.0, 0.0, 9.0, 9.0), positive=True)])]
    """
    found = _by_image(examples) if isinstance(examples, Mapping) else _of_annotations(examples)
    if not found:
        raise TemplateError("examples: expected boxes on at least one image; got none.")
    return list(found.items())


def _by_image(examples: Mapping[ImageRef, Any]) -> dict[ImageRef, list[Exemplar]]:
    found = {}
    for image, boxes in examples.items():
        if not hasattr(boxes, "__len__"):
            raise TemplateError(f"examples: expected boxes on {image!r}, [(x0, y0, x1, y1), …]; got {boxes!r}.")
        if not len(boxes):
            raise TemplateError(f"examples: expected boxes on {image!r}; got none.")
        alone = len(boxes) == 4 and all(isinstance(value, Real) for value in boxes)  # also NumPy's numbers
        found[image] = [Exemplar.of(box) for box in ([boxes] if alone else boxes)]
    return found


def _of_annotations(examples: Any) -> dict[ImageRef, list[Exemplar]]:
    found: dict[ImageRef, list[Exemplar]] = {}
    for annotation in examples if isinstance(examples, Iterable) else [examples]:
        if not isinstance(annotation, Annotation | AnnotationRecord):
            raise TemplateError(
                f"examples: expected {{image: [(x0, y0, x1, y1), …]}} or annotations; got {annotation!r}."
            )
        x, y, width, height = annotation.bbox
        found.setdefault(annotation.image_id, []).append(Exemplar.of((x, y, x + width, y + height)))
    return found


def check_goes_with_phrase(*, strategy: str | None, background: object, features: str | None) -> None:
    """Raise `TemplateError` for options of other strategies."""
    if strategy not in (None, "phrase"):
        raise TemplateError(f"strategy: phrases and examples are searched by 'phrase'; got {strategy!r}. Leave it out.")
    if background:
        raise TemplateError(
            "background: for a phrase, give what is mistaken for the object as examples={image: [Exemplar(box, "
            "positive=False)]}."
        )
    if features:
        raise TemplateError(f"features: a phrase compares no features; got {features!r}. Leave it out.")


def _text(words: object) -> str:
    if not isinstance(words, str) or not words.strip():
        raise TemplateError(f'phrase: expected some text, such as "yellow taxi"; got {words!r}.')
    return words.strip()
