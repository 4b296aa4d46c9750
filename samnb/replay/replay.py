"""`Replayer`: recipes written, replayed, and compared with what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotations.attributes import checked_attributes
from ..annotations.rows import all_annotations_of
from ..annotations.service import AnnotationService
from ..atomic_files import write_atomic
from ..cards import count_text
from ..encoding.encoder import Encoder
from ..errors import ImageError, PromptError, RecipeError, UnknownName, earlier_tiny
from ..exchange.report import ExportReport
from ..exchange.writers.layout import ExportItem
from ..images import content_hash, pixel_hashes
from ..images.discovery import iter_images
from ..ingest.library import ImageLibrary
from ..masks import decode_rle, encode_rle, mask_area, mask_bbox, mask_iou
from ..prompts import Embedding, Prompt
from ..records import AnnotationRecord, AttributeRecord, Failure, ImageRecord, NewAnnotation
from ..templates import Template
from ..templates.image_features import ImageFeatures
from ..templates.service import TemplateService
from .recipe import Recipe, RecipeDecoder, RecipeImage, RecipeMask, decode_as_recorded, make_recipe, packages_here
from .report import Difference, ReplayReport

_NAMED = 5


class Replayer:
    """The recipe methods of `samnb.session.Session`, which documents the arguments.

    Parameters
    ----------
    library : ImageLibrary
    annotations : AnnotationService
    templates : TemplateService
    encoder : Encoder
        Its model is the one that masks are made with.
    """

    def __init__(
        self, library: ImageLibrary, annotations: AnnotationService, templates: TemplateService, encoder: Encoder
    ):
        self._library, self._annotations, self._templates = library, annotations, templates
        self._encoder, self._catalog, self._model = encoder, library.catalog, encoder.model

    def recipe(
        self,
        images: Sequence[ImageRecord],
        annotations: Sequence[AnnotationRecord],
        *,
        told: Callable[[ImageRecord], object] = lambda image: None,
    ) -> Recipe:
        """The recipe of these masks; without images that were never read, and whose files cannot be read.

        Masks of an image that is neither encoded nor there are recorded as they are, and it is `told`.
        """

        def telling(read: Callable[..., Any]) -> Callable[..., Any]:
            def attempt(image: ImageRecord, *more: Any) -> Any:
                try:
                    return read(image, *more)
                except ImageError:
                    told(image)
                    raise

            return attempt

        read = {image.id: image for image in self._library.with_hashes(images) if image.is_read}
        return make_recipe(
            list(read.values()),
            [annotation for annotation in annotations if annotation.image_id in read],
            categories=self._catalog.category_records(),
            attributes=self._catalog.attributes(),
            templates=self._templates.usable(),
            model=self._model,
            stored_as=self._encoder.embedding_spec,
            embedding_of=telling(self._embedding_of),
            features_of=telling(self._features_of),
        )

    def export(self, place: Path, items: Sequence[ExportItem], categories: Sequence[str]) -> ExportReport:
        """The exporter "recipe" of `samnb.exchange.export.export`."""
        annotations = sorted((one for item in items for one in item.annotations), key=lambda one: one.id)
        images = self._library.with_hashes([item.image for item in items])
        gone: dict[str, str] = {}
        recipe = self.recipe(images, annotations, told=lambda image: gone.setdefault(image.id, image.filename))
        write_atomic(place, recipe.as_bytes())
        note = (
            f"{recipe.count('prompt')} come from prompts, {recipe.count('template')} from templates, "
            f"{recipe.count('kept')} can only be copied"
        )
        unread = "its file cannot be read, and a recipe names a picture by its pixels"
        failed = tuple(Failure(image.filename, unread) for image in images if not image.is_read)
        notes = [note]
        if gone:
            one = "its masks" if len(gone) == 1 else "their masks"
            names = ", ".join(list(gone.values())[:_NAMED]) + (", …" if len(gone) > _NAMED else "")
            gone_text = f"{count_text(len(gone), 'image')} neither encoded nor there"
            notes.append(f"{gone_text}, {one} can only be copied: {names}")
        wrote: Any = {"files": (place,), "failed": failed, "notes": tuple(notes)}
        return ExportReport("recipe", place, len(recipe.images), len(recipe.masks), **wrote)

    def replay(self, recipe: Recipe | str | Path, images: str | Path, *, any_model: bool) -> ReplayReport:
        """Make a recipe's masks again from pictures in a folder and save them."""
        recipe = recipe if isinstance(recipe, Recipe) else Recipe.read(recipe)
        if recipe.model["fingerprint"] != self._model.fingerprint and not any_model:
            raise RecipeError(
                f"The recipe was made with the model {recipe.model['name']!r}, {recipe.model['fingerprint'][:24]}…; "
                f"this session has {self._model.name!r}, {self._model.fingerprint[:24]}…. Open a session with that "
                "model and its checkpoint, or say any_model=True to see how much differs."
                + earlier_tiny(recipe.model["fingerprint"])
            )
        paths, missing = find_pictures(recipe.images, images)
        records, refused = self._added(recipe, paths)
        records |= self._without_file(recipe, missing, records)
        records = dict(sorted(records.items()))
        failed = [failure for place, failure in missing.items() if place not in records] + refused
        names = self._templates.adopt(recipe.templates)
        categories = self._take_categories(recipe, records, names)
        self._catalog.have_attributes(recipe.attributes)
        templates = {f"{t.name}@{t.version}": replace(t, model=self._model.fingerprint) for t in recipe.templates}
        same, kept, different = 0, 0, []
        for place, record in records.items():
            try:
                done = list(self._made_again(recipe, place, record, templates))
            except Exception as error:
                # One picture that cannot be encoded or decoded must not stop the others.
                failed.append(Failure(record.filename, str(error) or repr(error)))
                continue
            kept += sum(mask.way.kind == "kept" for _, mask, _ in done)
            for number, mask, made in done:
                found = _compared(number, mask, made, record.filename)
                different += [found] if found else []
                same += mask.way.kind != "kept" and found is None
            called = ((replace(mask, category=categories.get(mask.category, mask.category)), m) for _, mask, m in done)
            self._keep_masks(record, [(mask, made) for mask, made in called if made is not None], names)
        report = ReplayReport(len(records), len(recipe.images), same, kept, tuple(different), tuple(failed))
        already = _already(recipe, paths, records)
        other = _other_attributes(recipe, self._catalog.attributes())
        return replace(
            report, notes=(*already, *other, *_renamed(names), *_called(categories), *self._not_as_it_was(recipe))
        )

    # -- inside ------------------------------------------------------------------------------------

    def _embedding_of(self, image: ImageRecord) -> Embedding:
        return self._encoder.embedding(image)[0]

    def _features_of(self, image: ImageRecord, template: Template) -> ImageFeatures:
        return self._templates.features.read(image, template).features

    def _added(self, recipe: Recipe, paths: Mapping[int, Path]) -> tuple[dict[int, ImageRecord], list[Failure]]:
        """The recipe's images in this session, by their index in it."""
        records: dict[int, ImageRecord] = {}
        failed: list[Failure] = []
        of_dataset: dict[str, dict[int, Path]] = {}
        for place, path in paths.items():
            of_dataset.setdefault(recipe.images[place].dataset, {})[place] = path
        for dataset, own in of_dataset.items():
            records |= self._elsewhere(recipe, own, dataset)
        records |= self._in_other_datasets(recipe, of_dataset, records)
        for dataset, own in of_dataset.items():
            new = {place: path for place, path in own.items() if place not in records}
            if not new:
                continue
            files = list(dict.fromkeys(new.values()))
            report = self._library.add(files, dataset=dataset, start=False).run_to_report()
            failed += report.failed
            by_path = {record.path: record for record in report.images}
            records |= {place: by_path[str(path)] for place, path in new.items() if str(path) in by_path}
        return records, failed

    def _in_other_datasets(
        self, recipe: Recipe, of_dataset: Mapping[str, Mapping[int, Path]], found: Mapping[int, ImageRecord]
    ) -> dict[int, ImageRecord]:
        """Images of other datasets for those places whose own has none with the pixels; each of them once."""
        wanted = {recipe.images[place].pixel_hash for own in of_dataset.values() for place in own if place not in found}
        there = self._catalog.images_with_pixels(wanted) if wanted else []
        at_place = {(record.dataset, record.path) for record in there}
        # Of a dataset that the recipe has too, an image there is that one's.
        free: dict[str, list[ImageRecord]] = {}
        for record in there:
            if record.dataset not in of_dataset:
                free.setdefault(record.pixel_hash, []).append(record)
        here: dict[int, ImageRecord] = {}
        for dataset, own in of_dataset.items():
            for place, path in own.items():
                if place in found or (dataset, str(path)) in at_place:
                    continue
                left = free.get(recipe.images[place].pixel_hash, [])
                while left and place not in here:
                    record = left.pop(0)
                    if _as_recorded(record):
                        here[place] = record
        return here

    def _elsewhere(self, recipe: Recipe, paths: Mapping[int, Path], dataset: str) -> dict[int, ImageRecord]:
        """Images of the dataset with the recipe's pixels under another path; each of them once."""
        if dataset not in (one.name for one in self._catalog.datasets()):
            return {}
        records = self._catalog.images(dataset=dataset)
        at_path = {record.path for record in records}
        given = {str(path) for path in paths.values()}
        of_pixels: dict[str, list[ImageRecord]] = {}
        for record in records:
            if record.path not in given:
                of_pixels.setdefault(record.pixel_hash, []).append(record)
        here: dict[int, ImageRecord] = {}
        for place, path in paths.items():
            left = of_pixels.get(recipe.images[place].pixel_hash, [])
            while left and str(path) not in at_path and place not in here:
                record = left.pop(0)
                if _as_recorded(record):
                    here[place] = record
        return here

    def _without_file(
        self, recipe: Recipe, places: Collection[int], found: Mapping[int, ImageRecord]
    ) -> dict[int, ImageRecord]:
        """Images here for places without a picture in the folder: slices of a stack, pictures from memory."""
        there = self._catalog.images_with_pixels({recipe.images[place].pixel_hash for place in places})
        taken, datasets = {record.id for record in found.values()}, {image.dataset for image in recipe.images}
        here: dict[int, ImageRecord] = {}
        for place in places:
            image = recipe.images[place]
            for dataset in (image.dataset, *sorted({record.dataset for record in there} - datasets)):
                alike = [r for r in there if (r.dataset, r.pixel_hash) == (dataset, image.pixel_hash)]
                free = [record for record in alike if record.id not in taken and _as_recorded(record)]
                if free and place not in here:
                    here[place] = max(free, key=lambda record: record.filename == image.filename)
                    taken.add(here[place].id)
        return here

    def _take_categories(
        self, recipe: Recipe, records: Mapping[int, ImageRecord], names: Mapping[str, str]
    ) -> dict[str, str]:
        """Add the recipe's categories; existing ones stay. Returns new names of those renamed here."""
        missing = [(name, color) for name, color in recipe.categories if name not in self._catalog.categories()]
        wanted = {name for name, _ in missing}
        masks: Counter[str] = Counter()
        others: dict[str, Counter[str]] = {name: Counter() for name in wanted}
        for place, record in records.items() if wanted else ():
            kept = all_annotations_of(self._catalog, record.id)
            for mask in (one for one in recipe.masks if one.image == place and one.category in wanted):
                masks[mask.category] += 1
                source = _source_here(mask.source, names)
                others[mask.category].update({a.category for a in kept if a.source == source and _same(mask, a)})
        renamed = {}
        for name, color in missing:
            found = others[name]
            # All of one name and most of the masks: else some were recategorised by hand, and the category removed.
            if len(found) == 1 and 2 * found.total() >= masks[name]:
                [renamed[name]] = found
            elif not 0 < masks[name] <= found.total():
                self._annotations.add_category(name, color=color)
        return renamed

    def _made_again(
        self, recipe: Recipe, place: int, record: ImageRecord, templates: Mapping[str, Template]
    ) -> Iterator[tuple[int, RecipeMask, NDArray[np.bool_] | None]]:
        decoder = RecipeDecoder(self._model, templates, record, self._embedding_of, self._features_of)
        for number, mask in enumerate(recipe.masks):
            if mask.image == place:
                yield number, mask, _MAKE[mask.way.kind](mask, decoder)

    def _keep_masks(
        self, record: ImageRecord, made: Sequence[tuple[RecipeMask, NDArray[np.bool_]]], names: Mapping[str, str]
    ) -> None:
        rows, declared = [], self._catalog.attributes()
        for mask, rle, pixels in self._missing(record, made, names):
            rows.append(
                NewAnnotation(
                    image_id=record.id,
                    category=mask.category,
                    rle=rle,
                    bbox=mask_bbox(pixels),
                    area=mask_area(pixels),
                    score=mask.score,
                    source=_source_here(mask.source, names),
                    prompt=dict(mask.prompt),
                    model="" if mask.way.kind == "kept" else self._model.fingerprint,
                    layer=mask.layer,
                    review=mask.review,
                    attributes=_fitting(mask.attributes, declared),
                )
            )
        if rows:
            self._annotations.save_all(rows)

    def _missing(
        self, record: ImageRecord, made: Sequence[tuple[RecipeMask, NDArray[np.bool_]]], names: Mapping[str, str]
    ) -> list[tuple[RecipeMask, dict[str, Any], NDArray[np.bool_]]]:
        """Masks that are not here yet; each annotation matches one of them, also if edited or recategorised since."""
        left = all_annotations_of(self._catalog, record.id)
        rest = []
        for mask, pixels in made:
            rle = encode_rle(pixels)
            same = [a for a in left if a.category == mask.category and a.rle["counts"] == rle["counts"]]
            if same:
                left.remove(same[0])
            elif pixels.any():
                rest.append((mask, rle, pixels))
        new = []
        for mask, rle, pixels in rest:
            source = _source_here(mask.source, names)
            like = next((a for a in left if a.source == source and _same(mask, a)), None)
            if like is None:
                new.append((mask, rle, pixels))
            else:
                left.remove(like)
        return new

    def _not_as_it_was(self, recipe: Recipe) -> Iterator[str]:
        if recipe.model["fingerprint"] != self._model.fingerprint:
            yield f"model: was {recipe.model['name']}, {recipe.model['fingerprint'][:24]}…; here {self._model.name}"
        if recipe.model["recipe"] != self._encoder.embedding_spec:
            yield f"embeddings: were {recipe.model['recipe']}; here {self._encoder.embedding_spec}"
        here = packages_here()
        for name, was in recipe.made_with.items():
            if here.get(name) != was:
                yield f"{name}: was {was}; here {here.get(name, 'none')}"


def _as_recorded(record: ImageRecord) -> bool:
    """Whether an image's file is there and has the bytes it had when it was added."""
    try:
        return content_hash(record.path) == record.content_hash
    except (ImageError, OSError):
        return False


def _already(recipe: Recipe, paths: Mapping[int, Path], records: Mapping[int, ImageRecord]) -> Iterator[str]:
    """The notes about pictures that are here under another path, or in another dataset."""
    moved, other = [], []
    for place, one in records.items():
        image = recipe.images[place]
        if one.dataset != image.dataset:
            other.append(f"{image.filename} is {one.dataset}/{one.filename}")
        elif one.path != str(paths.get(place)):
            moved.append(f"{image.filename} is {one.path}")
    for told, some in (("under another path", moved), ("in another dataset", other)):
        more = f", and {len(some) - _NAMED:,} more" if len(some) > _NAMED else ""
        if some:
            yield f"pictures that were here already {told}: {', '.join(some[:_NAMED])}{more}"


def _source_here(source: str, names: Mapping[str, str]) -> str:
    """The source of a mask, with the template's name in this session."""
    kind, _, rest = source.partition(":")
    name, at, version = rest.rpartition("@")
    return f"{kind}:{names[name]}{at}{version}" if kind == "template" and name in names else source


def _fitting(values: Mapping[str, bool | str], declared: Sequence[AttributeRecord]) -> dict[str, bool | str]:
    """Those values that the attributes of this session can have; see `_other_attributes`."""
    fitting: dict[str, bool | str] = {}
    for name, value in values.items():
        with suppress(UnknownName, PromptError):
            fitting |= checked_attributes({name: value}, declared)
    return fitting


def _other_attributes(recipe: Recipe, declared: Sequence[AttributeRecord]) -> Iterator[str]:
    here = {one.name: (one.kind, one.choices) for one in declared}
    for one in recipe.attributes:
        if here.get(one.name) != (one.kind, one.choices):
            yield f"attribute {one.name}: is another one here; values that it cannot have were left out"


def _renamed(names: Mapping[str, str]) -> Iterator[str]:
    for name, here in names.items():
        if name != here:
            yield f"template {name}: there is another one of that name here; this one is called {here}"


def _called(categories: Mapping[str, str]) -> Iterator[str]:
    for name, here in categories.items():
        yield f"category {name}: was renamed here; its masks are those of {here}"


def _same(mask: RecipeMask, annotation: AnnotationRecord) -> bool:
    """Whether an annotation is a recipe's mask, up to small differences."""
    return annotation.rle["counts"] == mask.rle["counts"] or bool(mask.prompt and annotation.prompt == mask.prompt)


def find_pictures(wanted: Sequence[RecipeImage], folder: str | Path) -> tuple[dict[int, Path], dict[int, Failure]]:
    """The path of each picture of a recipe in a folder, by its index in the recipe, and why some are missing.

    A file is one picture: the slices of a stack are not searched. Files with the right name are read first, the others
    only while something is missing.

    Raises
    ------
    ImageNotFound
        No such folder, or no pictures in it.
    """
    files = [Path(path).absolute() for path in iter_images(str(Path(folder).expanduser()))]
    hashes, unread = {image.pixel_hash for image in wanted}, {}
    names = {image.filename for image in wanted}
    found: dict[str, list[Path]] = {}
    for path in sorted(files, key=lambda path: path.name not in names):
        if path.name not in names and hashes <= found.keys():
            break
        try:
            for known_as in pixel_hashes(path):
                found.setdefault(known_as, []).append(path)
        except ImageError as error:
            unread[path.name] = str(error)
    places: dict[int, Path] = {}
    missing: dict[int, Failure] = {}
    used: set[tuple[str, Path]] = set()
    for place, image in enumerate(wanted):
        paths = found.get(image.pixel_hash, [])
        if paths:
            # Copies of a picture in one dataset are separate images: one file for each, while there are any.
            own = [(image.dataset, path) not in used for path in paths]
            best = max(zip(own, paths, strict=True), key=lambda one: (one[0], one[1].name == image.filename))
            places[place] = best[1]
            used.add((image.dataset, best[1]))
        else:
            missing[place] = Failure(image.filename, _why_missing(image, files, unread))
    return places, missing


def _why_missing(image: RecipeImage, files: Sequence[Path], unread: Mapping[str, str]) -> str:
    if image.filename in unread:
        return unread[image.filename]
    if any(path.name == image.filename for path in files):
        return (
            f"altered: a file of this name is there, but its pixels are not those of the recipe "
            f"({image.width} x {image.height}, {image.pixel_hash[:12]}…), nor are any other file's"
        )
    # Named as `samnb.ingest` names a slice.
    of_stack = (
        ". Files are not searched for slices of a stack: add the stack to a session, session.add(…, stack=True), and "
        "replay in it"
    )
    return (
        f"not there: no file has its pixels ({image.width} x {image.height}, {image.pixel_hash[:12]}…)"
        f"{of_stack if image.filename.endswith(']') else ''}"
    )


def _compared(number: int, mask: RecipeMask, made: NDArray[np.bool_] | None, image: str) -> Difference | None:
    was = decode_rle(mask.rle)
    if made is None:
        return Difference(image, mask.category, number, 0.0, int(was.sum()))
    if np.array_equal(was, made):
        return None
    return Difference(image, mask.category, number, float(mask_iou(was, made)), int((was ^ made).sum()))


def _from_prompt(mask: RecipeMask, decoder: RecipeDecoder) -> NDArray[np.bool_] | None:
    masks = decode_as_recorded(decoder.model, decoder.embedding, Prompt.from_dict(mask.prompt), mask.way.asked)
    return masks[mask.way.index] if mask.way.index < len(masks) else None


def _from_template(mask: RecipeMask, decoder: RecipeDecoder) -> NDArray[np.bool_] | None:
    """The most similar mask that the template finds; None if no found mask overlaps."""
    was = decode_rle(mask.rle)
    found = [one for one in decoder.found(mask.way.template, mask.category) if one.shape == was.shape]
    best = max(found, key=lambda one: mask_iou(was, one), default=None)
    return best if best is not None and (best & was).any() else None


def _copied(mask: RecipeMask, decoder: RecipeDecoder) -> NDArray[np.bool_] | None:
    return decode_rle(mask.rle)


_MAKE: dict[str, Callable[[RecipeMask, RecipeDecoder], NDArray[np.bool_] | None]] = {
    "prompt": _from_prompt,
    "template": _from_template,
    "kept": _copied,
}
