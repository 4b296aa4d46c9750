"""`TemplateService`: templates made from annotations by hand, saved, applied and evaluated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotations.changes import AnnotationChanges
from ..catalog import AnnotationRecord, Catalog, ImageRecord
from ..catalog.templates import renamed_categories
from ..encoding.encoder import Encoder
from ..encoding.other_models import OtherModels
from ..encoding.regions import holds, whole_region
from ..encoding.search_events import search_here
from ..errors import NothingToMeasure, SamnbError, TemplateError, UnknownName
from ..ingest.library import ImageLibrary
from ..jobs import Event, Job, JobControl
from ..masks.clicks import first_click
from ..masks.part import MaskPart
from ..models import check_phrases
from ..prompts import Prompt
from ..records import BY_HAND, Failure, ImageRef
from .apply import apply_events, search_image
from .evaluation import LabelledImage, PackedMasks, check_min_iou, evaluate_image, sweep
from .examples import CategoryExamples, Example
from .features import cells_at, make_example
from .image_features import ImageFeatures
from .on_workers import search_on
from .other_features import FeatureReader
from .phrase_examples import ExampleBoxes, boxes_by_image, named_phrases
from .phrase_strategy import image_exemplars
from .report import WORST, ImageMetrics, Sweep, TemplateReport
from .template import Template, check_template_name, make_template


@dataclass(frozen=True, eq=False)
class ShownMask:
    """A mask on an image, and the prompt it was made with."""

    image: ImageRecord
    part: MaskPart
    prompt: Prompt

    @property
    def click(self) -> tuple[float, float]:
        """(x, y) of a point on the mask, image pixels."""
        x, y = first_click(self.part.mask)
        return x + self.part.corner[0], y + self.part.corner[1]


class TemplateService:
    """The template methods of `samnb.session.Session`, which documents the arguments.

    Parameters
    ----------
    catalog : Catalog
    library : ImageLibrary
    encoder : Encoder
        Its model is the one that templates are made for.
    others : OtherModels
        Those whose features a template may compare instead.
    changes : AnnotationChanges
        Notified of every image on which annotations change.
    """

    def __init__(
        self,
        catalog: Catalog,
        library: ImageLibrary,
        encoder: Encoder,
        others: OtherModels,
        changes: AnnotationChanges,
    ):
        self._catalog, self._library, self._changes = catalog, library, changes
        self._encoder, self._model, self._others = encoder, encoder.model, others
        self.features = FeatureReader(encoder, others)

    # -- made, found, saved ------------------------------------------------------------------------

    def make(
        self,
        name: str,
        by_hand: Sequence[AnnotationRecord],
        *,
        categories: Sequence[str] | None,
        strategy: str,
        background: Mapping[ImageRef, Sequence[Sequence[float]]] | None,
        parameters: Mapping[str, float],
        features: str | None = None,
    ) -> Template:
        """A template from annotations by hand; it is saved."""
        if strategy == "phrase":
            raise TemplateError(
                f"strategy 'phrase': expected a phrase or examples; got none. session.template({name!r}, "
                'phrase="yellow taxi", examples={"a.jpg": [(x0, y0, x1, y1)]})'
            )
        records = [(self._library.read(image), points) for image, points in (background or {}).items()]
        known = list(dict.fromkeys(a.category for a in by_hand))
        wanted = known if categories is None else [categories] if isinstance(categories, str) else list(categories)
        if unknown := [category for category in wanted if category not in known] or ([] if wanted else [""]):
            advice = "" if wanted else "A template is made of annotations by hand: accept some first."
            raise UnknownName("category", unknown[0], known, advice=advice)
        other = self.features.chosen(features)
        not_this = tuple(cell for record, points in records for cell in self._background(record, points, other))
        place = strategy == "fixed"
        made = [
            CategoryExamples(
                category,
                tuple(self._example(a, other, place=place) for a in by_hand if a.category == category),
                not_this,
            )
            for category in wanted
        ]
        models = {"model": self._model.fingerprint, "features": other[0], "features_model": other[1]}
        return self.save(make_template(name, strategy, made, parameters=parameters, **models))

    def of_masks(
        self,
        name: str,
        category: str,
        shown: Iterable[ShownMask],
        background: Iterable[ShownMask] = (),
        *,
        strategy: str,
        parameters: Mapping[str, float],
        features: str | None = None,
    ) -> Template:
        """A template with one category, from masks that need not be annotations; it is not saved.

        Parameters
        ----------
        name, category : str
        shown, background : iterable of ShownMask
            Masks of the object, and of what is mistaken for it.
        strategy, parameters, features
            As `make` has them.
        """
        other, place = self.features.chosen(features), strategy == "fixed"
        examples = CategoryExamples(
            category,
            tuple(self._example_of(one, other, place=place) for one in shown),
            tuple(cell for one in background for cell in self._background(one.image, [one.click], other)),
        )
        models = {"model": self._model.fingerprint, "features": other[0], "features_model": other[1]}
        return make_template(name, strategy, [examples], parameters=parameters, **models)

    def of_phrase(
        self,
        name: str,
        phrase: str | Mapping[str, str] | None,
        examples: ExampleBoxes | None,
        *,
        categories: Sequence[str] | None,
        parameters: Mapping[str, float],
    ) -> Template:
        """A template of strategy "phrase"; it is not saved."""
        check_phrases(self._model)
        phrases = named_phrases(name, phrase, categories)
        if examples is not None and len(phrases) > 1:
            raise TemplateError(
                f"examples: expected one phrase with them; got {len(phrases)}: make a template of each."
            )
        boxes = [] if examples is None else boxes_by_image(examples)
        records = [(self._library.read(image), own) for image, own in boxes]
        exemplars = tuple(
            image_exemplars(record.pixel_hash, own, self.features.of(record).features.embedding, self._model)
            for record, own in records
        )
        found = [CategoryExamples(category, (), (), words, exemplars) for category, words in phrases.items()]
        # As it would be saved, rounded.
        made = make_template(name, "phrase", found, parameters=parameters, model=self._model.fingerprint)
        return Template.from_dict(made.as_dict())

    def other_models(self) -> list[str]:
        """Names of the models whose features the latest versions of this model's templates compare."""
        latest = dict(self._catalog.templates()).items()
        values = (self._catalog.template(name, version) for name, version in latest)
        own = (one.get("features") for one in values if one["model"] == self._model.fingerprint)
        return sorted({other["name"] for other in own if other})

    def resolve(self, template: Template | str) -> Template:
        """The latest saved template of that name, or the template that is passed; nothing is written.

        Raises
        ------
        UnknownName
            There is none of that name.
        TemplateMismatch
            It was made with another model.
        """
        if isinstance(template, str):
            latest = max((version for name, version in self._catalog.templates() if name == template), default=None)
            template = Template.from_dict(self._catalog.template(template, latest), version=latest or 1)
        else:
            template = self._named_as_now(template)
        self.features.check(template)
        return template

    def resolve_saved(self, template: Template | str) -> Template:
        """As `resolve`; a passed template that is not a saved version is saved as a new one."""
        found = self.resolve(template)
        # What is saved is only read: written again, it would become the newest version.
        return found if isinstance(template, str) else self._as_saved(found) or self.save(found)

    def save(self, template: Template) -> Template:
        """The template with its version: the latest if the content is the same, else the next."""
        check_template_name(template.name)
        values = self._named_as_now(template).as_dict()
        version = self._catalog.save_template(template.name, values)
        # As it is saved, rounded: what is applied today is what another day, or another machine, applies.
        return Template.from_dict(values, version=version)

    def all(self) -> dict[str, Template]:
        """Every version of every template by ``"<name>@<version>"``."""
        kept = self._catalog.templates()
        return {f"{n}@{v}": Template.from_dict(self._catalog.template(n, v), version=v) for n, v in kept}

    def usable(self) -> dict[str, Template]:
        """Those of `all` that were made with the models of this session."""
        return {name: template for name, template in self.all().items() if self.features.has_models_of(template)}

    def adopt(self, templates: Sequence[Template]) -> dict[str, str]:
        """Save templates of another session under their versions; returns the name that each has here.

        Existing templates stay as they are. Another template of the same name would treat the masks of this one
        as those of its own version, so then the name gets a number.
        """
        names: dict[str, str] = {}
        for name in dict.fromkeys(template.name for template in templates):
            wanted = {t.version: t.as_dict() for t in templates if t.name == name}
            numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
            names[name] = free = next(free for free in numbered if self._is_free(free, wanted))
            here = set(self._catalog.templates())
            for version, values in wanted.items():
                if (free, version) not in here:
                    self._catalog.save_template(free, {**values, "name": free}, version=version)
        return names

    # -- applied -----------------------------------------------------------------------------------

    def apply(
        self,
        template: Template | str,
        dataset: str | None,
        images: Iterable[ImageRef] | None,
        on: Any = None,
        *,
        only_open: bool = True,
    ) -> Job:
        """A job, started in the background, that finds a template's objects on images."""
        found, (records, left_out) = self.resolve_saved(template), self._chosen(dataset, images, only_open)
        work = partial(self._apply, found, records, left_out, on)
        return Job(f"apply {found.name}", work, total=len(records))

    def apply_stream(
        self,
        template: Template | str,
        dataset: str | None,
        images: Iterable[ImageRef] | None,
        on: Any = None,
        *,
        only_open: bool = True,
    ) -> Iterator[Event]:
        """The same in this thread, while its events are read."""
        found, (records, left_out) = self.resolve_saved(template), self._chosen(dataset, images, only_open)
        return self._apply(found, records, left_out, on, JobControl())

    def undo_apply(self, template: Template | str, dataset: str | None, images: Iterable[ImageRef] | None) -> int:
        """Remove the annotations of all versions of a template; returns their number."""
        name = template if isinstance(template, str) else template.name
        known = {name for name, _ in self._catalog.templates()}
        if isinstance(template, str) and name not in known:
            raise UnknownName("template", name, known)
        chosen = None
        if dataset is not None or images is not None:
            chosen = [record.id for record in self._library.select(dataset, images)]
        removed = self._catalog.forget_applied(name, chosen)
        self._changes.emit()
        return removed

    # -- evaluated ---------------------------------------------------------------------------------

    def labelled_images(self, template: Template) -> list[LabelledImage]:
        """The images with annotations by hand of a template's categories; [] if there are none."""
        try:
            return self._labelled(template, self._library.select(), on_examples=True)[0]
        except NothingToMeasure:
            return []

    def evaluate(
        self,
        template: Template | str,
        *,
        dataset: str | None,
        images: Iterable[ImageRef] | None,
        min_iou: float,
        on_examples: bool,
    ) -> TemplateReport:
        """The found, missed and false objects of a template, against annotations by hand; nothing is written."""
        check_min_iou(min_iou)  # before the search of each image, whose errors are told as those of the image
        template, failed = self.resolve(template), []
        labelled, left_out = self._labelled(template, self._library.select(dataset, images), on_examples=on_examples)
        found: list[ImageMetrics] = []
        for one in labelled:
            try:
                found.append(evaluate_image(template, one, self._model, min_iou=min_iou))
            except Exception as error:
                # One image that cannot be searched must not lose the results of the others.
                failed.append(Failure(one.image.filename, str(error) or repr(error)))
        found.sort(key=lambda image: (image.tally.f1, image.tally.mean_iou))
        pixels: dict[str, NDArray[np.uint8]] = {}
        for image in found[:WORST]:
            try:
                if image.tally.f1 < 1:
                    pixels[image.image_id] = self._library.pixels(image.image_id)
            except (SamnbError, OSError) as error:
                # Its embedding was there: it is measured, and only not shown.
                failed.append(Failure(image.image, f"measured, and not shown: {error}"))
        name = f"{template.name} v{template.version}"
        return TemplateReport(name, tuple(found), min_iou, left_out, tuple(failed), pixels)

    def sweep(
        self,
        template: Template | str,
        grid: Mapping[str, Sequence[float]],
        *,
        dataset: str | None,
        images: Iterable[ImageRef] | None,
        min_iou: float,
        on_examples: bool,
    ) -> Sweep:
        """The template evaluated with every combination of parameters; the best F1 comes first."""
        template = self.resolve(template)
        labelled, _ = self._labelled(template, self._library.select(dataset, images), on_examples=on_examples)
        return sweep(template, grid, labelled, self._model, min_iou=min_iou)

    # -- inside ------------------------------------------------------------------------------------

    def _chosen(
        self, dataset: str | None, images: Iterable[ImageRef] | None, only_open: bool
    ) -> tuple[list[ImageRecord], int]:
        """The images to search, and the number of those left out: a person called them done, empty or skip."""
        records = self._library.select(dataset, images)
        states = self._catalog.image_states() if only_open else {}
        chosen = [record for record in records if record.id not in states]
        return chosen, len(records) - len(chosen)

    def _apply(
        self, template: Template, records: Sequence[ImageRecord], left_out: int, on: Any, control: JobControl
    ) -> Iterator[Event]:
        if on is None:
            features_of = partial(self.features.read, template=template)
            search = search_here(lambda image: search_image(template, image, self._encoder, features_of))
        else:
            search = search_on(on, template, self._encoder, self._others, self._encoder.forget_file)
        work: Any = {"catalog": self._catalog, "model": self._model, "search": search, "control": control}
        work["left_out"] = left_out

        def search_all(images: Sequence[ImageRecord]) -> Iterator[Event]:
            return self._changes.emit_for(images, apply_events(template, images, **work))

        return self._library.once_read(records, search_all, control=control, on=on)

    def _background(
        self, image: ImageRecord, points: Sequence[Sequence[float]], other: tuple[str, str]
    ) -> tuple[NDArray[np.float32], ...]:
        prompt = Prompt.of(points=points)
        prompt.check_inside(image.size_hw, image.filename)
        if not self._encoder.large.has(image):
            return cells_at(self.features.of(image, *other).features, prompt.points)
        grid = self._encoder.large.grid(image)
        cells: list[NDArray[np.float32]] = []
        for x, y in prompt.points:
            tile = grid.at(x, y)
            cells += cells_at(self.features.of(image, *other, region=tile).features, [(x - tile[0], y - tile[1])])
        return tuple(cells)

    def _example(self, annotation: AnnotationRecord, other: tuple[str, str], *, place: bool) -> Example:
        record, part = self._catalog.image(annotation.image_id), MaskPart.of_rle(annotation.rle)
        if part.size_hw != record.size_hw:
            raise TemplateError(
                f"Annotation {annotation.id} on {record.filename} belongs to an earlier picture under that name: its "
                f"mask is {part.size_hw}, the picture now {record.size_hw}. session.remove({annotation.id})"
            )
        shown = ShownMask(record, part, Prompt.from_dict(annotation.prompt))
        return self._example_of(shown, other, place=place)

    def _example_of(self, shown: ShownMask, other: tuple[str, str], *, place: bool) -> Example:
        # A mask drawn by hand comes without a prompt: strategy "fixed" then clicks its middle.
        prompt, image = shown.prompt or Prompt.of(points=[shown.click]), shown.image
        if not self._encoder.large.has(image):
            features = self.features.of(image, *other).features
            return make_example(image.pixel_hash, prompt, shown.part.inside(whole_region(image)), features, place=place)
        tile = self._encoder.large.grid(image).centred(shown.part.box)
        features = self.features.of(image, *other, region=tile).features
        inside = (prompt if holds(tile, prompt) else Prompt.of(points=[shown.click])).moved(-tile[0], -tile[1])
        made = make_example(image.pixel_hash, inside, shown.part.inside(tile), features, place=place)
        return replace(made, rle=shown.part.rle)

    def _features_of(self, image: ImageRecord, template: Template) -> ImageFeatures:
        return self.features.read(image, template).features

    def _as_saved(self, template: Template) -> Template | None:
        """The saved version that a template is; None if it was changed since, or was never saved.

        A category that was renamed since is no change: a template that a variable holds has its old name.
        """
        name, version = template.name, template.version
        if (name, version) not in self._catalog.templates():
            return None
        saved = Template.from_dict(self._catalog.template(name, version), version=version)
        return saved if _without_names(saved.as_dict()) == _without_names(template.as_dict()) else None

    def _named_as_now(self, template: Template) -> Template:
        """A template of a variable or a file, where its categories were renamed or merged since it was saved here.

        A name that is a category again keeps it.
        """
        former = self._catalog.former_categories(template.name)
        if former.keys().isdisjoint(one.category for one in template.categories):
            return template
        values, there = template.as_dict(), self._catalog.categories()
        for old, new in former.items():
            renamed = None if old in there else renamed_categories(values["categories"], old, new)
            values["categories"] = renamed or values["categories"]
        return Template.from_dict(values, version=template.version)

    def _is_free(self, name: str, wanted: Mapping[int, Mapping[str, Any]]) -> bool:
        """Whether no template has that name, or the same ones do, whose categories may have been renamed."""
        here = {v: self._catalog.template(n, v) for n, v in self._catalog.templates() if n == name}
        both = here.keys() & wanted.keys()
        same = (_without_names(Template.from_dict(here[v]).as_dict()) == _without_names(wanted[v]) for v in both)
        return not here or (bool(both) and all(same))

    def _labelled(
        self, template: Template, records: Sequence[ImageRecord], *, on_examples: bool
    ) -> tuple[list[LabelledImage], int]:
        """The images with annotations by hand, and the number of those left out because they hold examples."""
        rles: dict[str, dict[str, list[Any]]] = {}
        categories = {examples.category for examples in template.categories}
        sizes = {record.id: record.size_hw for record in records}
        for annotation in self._catalog.annotations(source=BY_HAND):
            # A mask of another size belongs to an earlier picture under this name.
            if annotation.category in categories and sizes.get(annotation.image_id) == tuple(annotation.rle["size"]):
                rles.setdefault(annotation.image_id, {}).setdefault(annotation.category, []).append(annotation.rle)
        used = {one for examples in template.categories for one in examples.pixel_hashes}
        annotated = [record for record in records if record.id in rles]
        chosen = [record for record in annotated if on_examples or record.pixel_hash not in used]
        if not chosen:
            hint = " other than the template's own examples (on_examples=True measures on them)" if annotated else ""
            named = ", ".join(map(repr, sorted(categories)))
            raise NothingToMeasure(f"images with {named} annotated by hand{hint}")
        labelled = [
            LabelledImage(record, partial(self._features_of, record, template), PackedMasks(rles[record.id]))
            for record in chosen
        ]
        return labelled, len(annotated) - len(chosen)


def _without_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a template is but for its name and those of its categories."""
    categories = [{**one, "category": ""} for one in values["categories"]]
    return {**values, "name": "", "categories": categories}
