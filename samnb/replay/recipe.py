"""`Recipe`: how the masks of a session were made, so that they can be made again elsewhere and compared.

A recipe is one JSON file. It identifies pictures by their pixel hash and the model by the hash of its weights. For
every mask it records the provenance: a prompt, a template, or drawn by hand, which can only be copied. The provenance
is verified when the recipe is made: only a way that gives the identical mask is recorded.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import images as picture_files
from ..annotations.attributes import as_declared, checked_attributes, from_declared
from ..errors import ImageError, PromptError, RecipeError, TemplateError, UnknownName, UnknownOption
from ..json_files import TooLarge, read_json
from ..masks import decode_rle
from ..masks.rle import check_rle
from ..models import Model, finder
from ..models.candidates import proposer
from ..prompts import Embedding, Prediction, Prompt
from ..records import AnnotationRecord, AttributeRecord, CategoryRecord, ImageRecord
from ..templates import Template
from ..templates.checks import check_template
from ..templates.image_features import ImageFeatures
from ..templates.match import Match
from ..templates.parameters import checked_parameters
from ..templates.strategies import find_objects

FORMAT = 1
MAX_BYTES = 512 * 2**20
"""A recipe file with more bytes is refused: some hundred thousand masks have fewer."""

_PIECE = 2**20
_MODEL = ("name", "fingerprint", "recipe")
_PARTS = {"samnb_recipe", "made_with", "model", "images", "categories", "templates", "masks", "attributes"}
_PACKAGES = ("samnb", "torch", "numpy", "opencv-python-headless", "pillow", "segment-anything")


@dataclass(frozen=True)
class Provenance:
    """How a mask is made again.

    Parameters
    ----------
    kind : {"prompt", "template", "kept"}
        "kept": drawn, refined by hand or imported; it can only be copied.
    asked : {"at once", "click by click", "one mask", ""}
        For a prompt: all of it with three candidates, point after point with each mask as input of the next, or with
        one candidate.
    index : int
        For a prompt: index of the candidate.
    template : str
        For a template: ``"<name>@<version>"``.
    """

    kind: str
    asked: str = ""
    index: int = 0
    template: str = ""


@dataclass(frozen=True)
class RecipeImage:
    """A picture of a recipe, found again by its `pixel_hash` under any file name."""

    filename: str
    dataset: str
    pixel_hash: str
    content_hash: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class RecipeMask:
    """A mask of a recipe, with its provenance.

    Parameters
    ----------
    image : int
        Index of its picture in the recipe, from 0.
    category : str
    rle : mapping
        COCO run lengths.
    way : Provenance
    prompt : mapping
        As of `Prompt.as_dict`.
    score, source, review, layer, attributes
        As an annotation has them.
    """

    image: int
    category: str
    rle: Mapping[str, Any]
    way: Provenance
    prompt: Mapping[str, Any]
    score: float
    source: str
    review: str = ""
    layer: int = 0
    attributes: Mapping[str, bool | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Recipe:
    """The record of how a session's masks were made; see `make_recipe`.

    Parameters
    ----------
    images : tuple of RecipeImage
    masks : tuple of RecipeMask
    templates : tuple of Template
        Those that made masks.
    categories : tuple of (name, colour)
    model : mapping
        "name", "fingerprint" and "recipe", the latter with the precision embeddings were stored in.
    made_with : mapping
        Versions of packages, and the processor.
    attributes : tuple of AttributeRecord
        The declared ones.
    """

    images: tuple[RecipeImage, ...]
    masks: tuple[RecipeMask, ...]
    templates: tuple[Template, ...]
    categories: tuple[tuple[str, str], ...]
    model: Mapping[str, str]
    made_with: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[AttributeRecord, ...] = ()

    def count(self, kind: str) -> int:
        """The number of masks of that kind: "prompt", "template" or "kept"."""
        return sum(mask.way.kind == kind for mask in self.masks)

    def as_bytes(self) -> bytes:
        """The file's content."""
        values = {
            "samnb_recipe": FORMAT,
            "made_with": dict(self.made_with),
            "model": dict(self.model),
            "images": [asdict(image) for image in self.images],
            "categories": [{"name": name, "color": color} for name, color in self.categories],
            "templates": [{"version": template.version} | template.as_dict() for template in self.templates],
            "masks": [_as_values(mask) for mask in self.masks],
        }
        if self.attributes:
            values["attributes"] = [as_declared(one) for one in self.attributes]
        return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Open a recipe file.

        Raises
        ------
        RecipeError
            Not there, not a recipe, larger than `MAX_BYTES`, or of a newer version.
        """
        place = Path(path).expanduser()
        try:
            values = read_json(place, limit=MAX_BYTES)
        except OSError as error:
            raise RecipeError(f"{place}: cannot be read ({error.strerror or error}). Give a recipe file.") from error
        except TooLarge as error:
            raise RecipeError(
                f"{place}: expected a recipe of {MAX_BYTES:,} bytes at most; it has more. Export a dataset at a "
                "time, or raise samnb.replay.recipe.MAX_BYTES if it is a recipe and the memory is there."
            ) from error
        except ValueError as error:
            raise RecipeError(f"{place}: expected JSON, as session.export('recipe', …) writes it; {error}.") from error
        form = values.get("samnb_recipe") if isinstance(values, dict) else None
        if form != FORMAT:
            other = "none" if form is None else f"version {form!r}"
            hint = "Give a file that session.export('recipe', …) wrote." if form is None else _written_by(values)
            raise RecipeError(f"{place}: expected a recipe of version {FORMAT}; got {other}. {hint}")
        try:
            if new := next(_unknown_fields(values), ""):
                raise RecipeError(f"{place}: {new} that this samnb does not know. {_written_by(values)}")
            return cls._from(values)
        except RecipeError:
            raise
        except (
            *(KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError),
            *(TemplateError, UnknownOption, UnknownName, PromptError),
        ) as error:
            raise RecipeError(f"{place}: is damaged: {type(error).__name__} {error}. Export it anew.") from error

    @classmethod
    def _from(cls, values: Mapping[str, Any]) -> Recipe:
        images = tuple(RecipeImage(**image) for image in values["images"])
        for image in images:
            _check_texts(image, "filename", "dataset", "pixel_hash", "content_hash")
            _check_size(image)
        masks = tuple(RecipeMask(**(mask | {"way": Provenance(**mask["way"])})) for mask in values["masks"])
        if not all(0 <= mask.image < len(images) for mask in masks):
            raise ValueError("a mask on an image that is not listed")
        for mask in masks:
            _check_texts(mask, "category", "source", "review")
            one = images[mask.image]
            if list(mask.rle["size"]) != [one.height, one.width]:
                raise ValueError(f"a mask of another size than {one.filename}")
            check_rle(mask.rle)
        templates = tuple(Template.from_dict(template, version=template["version"]) for template in values["templates"])
        for template in templates:
            check_template(template)
            checked_parameters(template.parameters)
        _check_provenances(masks, templates)
        for mask in masks:
            whole = isinstance(mask.layer, int) and abs(mask.layer) < 2**31
            if not isinstance(mask.score, int | float) or not math.isfinite(mask.score) or not whole:
                raise ValueError(f"a mask of score {mask.score!r} and layer {mask.layer!r}")
        if missing := set(_MODEL) - dict(values["model"]).keys():
            raise ValueError(f"its model lacks {', '.join(sorted(missing))}")
        for part in ("model", "made_with"):
            texts_of = values[part].values() if isinstance(values[part], Mapping) else [None]
            if not all(isinstance(text, str) for text in texts_of):
                raise ValueError(f"{part} is no object of texts")
        categories = tuple((category["name"], category["color"]) for category in values["categories"])
        texts = [text for category in categories for text in category]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a category whose name is no text")
        attributes = tuple(from_declared(one) for one in values.get("attributes", ()))
        for mask in masks:
            checked_attributes(mask.attributes, attributes)
        return cls(images, masks, templates, categories, values["model"], values["made_with"], attributes)


def _as_values(mask: RecipeMask) -> dict[str, Any]:
    """The fields of a mask in the file; without attributes it is as earlier versions of samnb read it."""
    values = asdict(mask)
    return values if mask.attributes else {name: value for name, value in values.items() if name != "attributes"}


def _unknown_fields(values: Mapping[str, Any]) -> Iterator[str]:
    """The message about fields in a recipe that this version of samnb does not know."""
    parts: list[tuple[str, type[Any], Any]] = [
        (f"image {n}", RecipeImage, image) for n, image in enumerate(values["images"])
    ]
    for number, mask in enumerate(values["masks"]):
        parts += [(f"mask {number}", RecipeMask, mask), (f"the way of mask {number}", Provenance, mask["way"])]
    for name in values.keys() - _PARTS:
        yield f"it has a part {name!r}"
    for what, kind, part in parts:
        for name in part.keys() - kind.__dataclass_fields__.keys():
            yield f"{what} has a field {name!r}"


def _written_by(values: Mapping[str, Any]) -> str:
    """The version a recipe is from, the version here, and what to do if this one cannot read it."""
    made_with, here = values.get("made_with"), packages_here()["samnb"]
    wrote = made_with.get("samnb", "unknown") if isinstance(made_with, Mapping) else "unknown"
    if wrote == here:
        return f"It says it was written by samnb {wrote}, as is here: it was changed since. Export it anew."
    return f"It was written by samnb {wrote}, here is {here}. Update samnb, or export the recipe with samnb {here}."


def _check_texts(part: RecipeImage | RecipeMask, *names: str) -> None:
    """Raise `ValueError` for fields that are no text."""
    for name in names:
        if not isinstance(value := getattr(part, name), str):
            raise ValueError(f"{name}: expected a text; got {str(value)[:40]!r}")


def _check_size(image: RecipeImage) -> None:
    """Raise `ValueError` for sizes that no picture has: their masks could take any amount of memory."""
    sides = (image.height, image.width)
    if not all(isinstance(side, int) and side > 0 for side in sides) or math.prod(sides) > picture_files.MAX_PIXELS:
        raise ValueError(
            f"{image.filename!r} of size {list(sides)}, expected at most {picture_files.MAX_PIXELS:,} pixels"
        )


def _check_provenances(masks: Iterable[RecipeMask], templates: Iterable[Template]) -> None:
    """Raise `ValueError` if the provenance of a mask cannot be replayed."""
    listed = {f"{template.name}@{template.version}" for template in templates}
    for way in dict.fromkeys(mask.way for mask in masks):
        prompted = way.kind == "prompt" and way.asked in _PROMPTED and isinstance(way.index, int) and way.index >= 0
        if not (prompted or way.kind == "kept" or (way.kind == "template" and way.template in listed)):
            raise ValueError(f"a mask made in no known way, {way}")


def make_recipe(
    images: Sequence[ImageRecord],
    annotations: Sequence[AnnotationRecord],
    *,
    categories: Iterable[CategoryRecord],
    attributes: Iterable[AttributeRecord] = (),
    templates: Mapping[str, Template],
    model: Model,
    stored_as: str,
    embedding_of: Callable[[ImageRecord], Embedding],
    features_of: Callable[[ImageRecord, Template], ImageFeatures],
) -> Recipe:
    """Find out how annotations were made, by trying, and record it.

    Parameters
    ----------
    images : sequence of ImageRecord
    annotations : sequence of AnnotationRecord
        On these images; one of another size than its image is left out.
    categories : iterable of CategoryRecord
    attributes : iterable of AttributeRecord
    templates : mapping
        By ``"<name>@<version>"``, those that can be applied here.
    model : Model
    stored_as : str
        The recipe of the embeddings, with the precision they are stored in.
    embedding_of : callable
        An image's embedding. Where it raises `ImageError`, masks are recorded as they are.
    features_of : callable
        What a template compares on an image; the same.
    """
    places = {image.id: index for index, image in enumerate(images)}
    by_image: dict[str, list[AnnotationRecord]] = {image.id: [] for image in images}
    for annotation in annotations:
        by_image[annotation.image_id].append(annotation)
    masks = []
    for image in images:
        decoder = RecipeDecoder(model, templates, image, embedding_of, features_of)
        for annotation in by_image[image.id]:
            if tuple(annotation.rle["size"]) == image.size_hw:
                masks.append(_written(annotation, places[image.id], decoder))
    used = {mask.way.template for mask in masks}
    return Recipe(
        images=tuple(RecipeImage(**{n: getattr(i, n) for n in RecipeImage.__dataclass_fields__}) for i in images),
        masks=tuple(masks),
        templates=tuple(template for name, template in templates.items() if name in used),
        categories=tuple((category.name, category.color) for category in categories),
        model={"name": model.name, "fingerprint": model.fingerprint, "recipe": stored_as},
        made_with=packages_here(),
        attributes=tuple(attributes),
    )


def packages_here() -> dict[str, str]:
    """What masks depend on besides pictures and weights: versions of packages, and the kind of processor."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a source tree that is not installed
            found[name] = "unknown"
    return found


class RecipeDecoder:
    """The objects that templates find on one image; each template is applied once."""

    def __init__(
        self,
        model: Model,
        templates: Mapping[str, Template],
        image: ImageRecord,
        embedding_of: Callable[[ImageRecord], Embedding],
        features_of: Callable[[ImageRecord, Template], ImageFeatures],
    ):
        self.model, self.templates = model, templates
        self._image, self._embedding_of, self._features_of = image, embedding_of, features_of
        self._embedding: Embedding | None = None
        self._unreadable: ImageError | None = None
        self._found: dict[str, list[Match]] = {}

    @property
    def embedding(self) -> Embedding:
        """The image's embedding, read on first use."""
        if self._unreadable is not None:  # asked once: a drive may not answer
            raise self._unreadable
        if self._embedding is None:
            try:
                self._embedding = self._embedding_of(self._image)
            except ImageError as error:
                self._unreadable = error
                raise
        return self._embedding

    def found(self, template: str, category: str) -> list[NDArray[np.bool_]]:
        """The masks of a category that ``"<name>@<version>"`` finds."""
        if template not in self._found:
            decode, wanted = self.model.decode, self.templates[template]
            features = self._features_of(self._image, wanted)
            ways: Any = {"propose": proposer(decode, self.model), "find": finder(self.model)}
            self._found[template] = find_objects(wanted, features, decode, **ways)
        return [match.mask for match in self._found[template] if match.category == category]


def decode_as_recorded(model: Model, embedding: Embedding, prompt: Prompt, asked: str) -> NDArray[np.bool_]:
    """Candidate masks (N, H, W) of a prompt, asked as `Provenance.asked` says."""
    return _PROMPTED[asked](model, embedding, prompt).masks


def _written(annotation: AnnotationRecord, place: int, decoder: RecipeDecoder) -> RecipeMask:
    names = ("category", "rle", "score", "source", "review", "layer", "attributes")
    same = {name: getattr(annotation, name) for name in names}
    try:
        way = _provenance_of(annotation, decoder)
    except ImageError:  # neither encoded nor there: the mask is known, not how it is made; the caller counts these
        way = Provenance("kept")
    return RecipeMask(place, way=way, prompt=dict(annotation.prompt), **same)


def _provenance_of(annotation: AnnotationRecord, decoder: RecipeDecoder) -> Provenance:
    """The provenance that gives the identical mask, or "kept", as all masks of an image that is never read whole."""
    height, width = annotation.rle["size"]
    if height * width > picture_files.MAX_PIXELS:
        return Provenance("kept")
    mask, template = decode_rle(annotation.rle), annotation.source.removeprefix("template:")
    if template in decoder.templates and any(
        np.array_equal(mask, found) for found in decoder.found(template, annotation.category)
    ):
        return Provenance("template", template=template)
    prompt = Prompt.from_dict(annotation.prompt)
    if prompt and annotation.model == decoder.model.fingerprint:
        for asked, index, candidate in _all_decoded(decoder, prompt):
            if np.array_equal(mask, candidate):
                return Provenance("prompt", asked, index)
    return Provenance("kept")


def _all_decoded(decoder: RecipeDecoder, prompt: Prompt) -> Iterator[tuple[str, int, NDArray[np.bool_]]]:
    for asked in _PROMPTED:
        if asked == "click by click" and len(prompt.points) + (prompt.box is not None) < 2:
            continue
        for index, candidate in enumerate(decode_as_recorded(decoder.model, decoder.embedding, prompt, asked)):
            yield asked, index, candidate


def _at_once(model: Model, embedding: Embedding, prompt: Prompt) -> Prediction:
    return model.decode(embedding, prompt)


def _one_mask(model: Model, embedding: Embedding, prompt: Prompt) -> Prediction:
    return model.decode(embedding, prompt, multimask=False)


def _click_by_click(model: Model, embedding: Embedding, prompt: Prompt) -> Prediction:
    """As the annotator does: each click gets the previous mask as input."""
    logits, prediction = None, None
    for count in range(0 if prompt.box is not None else 1, len(prompt.points) + 1):
        so_far = Prompt(prompt.points[:count], prompt.point_labels[:count], prompt.box)
        prediction = model.decode(embedding, so_far, mask_input=logits)
        logits = prediction.low_res_logits[prediction.best_for(so_far)]
    assert prediction is not None, "a prompt has a point or a box"
    return prediction


_PROMPTED: dict[str, Callable[[Model, Embedding, Prompt], Prediction]] = {
    "at once": _at_once,
    "click by click": _click_by_click,
    "one mask": _one_mask,
}
