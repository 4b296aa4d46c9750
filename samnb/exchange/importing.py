"""`import_job`: annotations of other tools taken into a session, from the formats of `samnb.exchange.readers`.

Existing annotations never change. An object that is there already is left out, so a second import adds
nothing; so is one that was edited by hand since. A record that cannot be used is reported, and the rest continues.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..annotations.rows import all_annotations_of, chosen_annotation
from ..cards import count_text
from ..errors import AnyPath, ImageError, ImageNotFound, ModelError, PromptError, UnknownName, UnknownOption
from ..ingest.library import ImageLibrary
from ..ingest.report import AddReport
from ..jobs import Event, Job, JobControl
from ..masks import encode_rle, mask_area, mask_bbox
from ..prompts import Prediction, Prompt
from ..records import BY_HAND, UNSURE, AnnotationRecord, AttributeRecord, Failure, ImageRecord, NewAnnotation
from .attributes import fitting, inferred
from .image_matching import EmbeddedPicture, ImageMatcher, picture_folder
from .readers.coco import read_coco
from .readers.labelme import read_labelme
from .readers.mask_pngs import read_mask_pictures
from .readers.objects import Contents, ImageReference, ImportedObject, Mask, box_alone, plain
from .readers.upright import may_be_turned, upright_mask
from .readers.voc import read_voc
from .readers.yolo import read_yolo
from .report import ImportReport
from .same_object import Box, key_of, like, of_box

Reader = Callable[..., Contents]
"""Takes the path and, if it has such a parameter, the available pictures; its options are keywords."""

READERS: dict[str, Reader] = {
    "coco": read_coco,
    "labelme": read_labelme,
    "masks": read_mask_pictures,
    "voc": read_voc,
    "yolo": read_yolo,
}

Draw = Callable[[ImageRecord, Prompt], Prediction]
"""Makes the masks of a box."""

_SURE = 0.88
"""A mask drawn in a box with a lower estimate of its IoU waits for a review; SAM's automatic masks need as much."""

_BATCH = 500


def read_contents(format: str, path: AnyPath, matcher: ImageMatcher, **options: Any) -> Contents:
    """The contents of a file, or folder, of one of the formats of `READERS`.

    Raises
    ------
    UnknownName, UnknownOption
        No such format, or the format takes no such option.
    ImageNotFound, FormatError
        Nothing there, or something else.
    """
    if format not in READERS:
        raise UnknownName("import format", format, READERS)
    reader = READERS[format]
    parameters = inspect.signature(reader).parameters.values()
    allowed = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    if unknown := options.keys() - allowed:
        known = {"dataset", "images", "by_hand", "from_boxes", "show"}
        raise UnknownOption(f"import_({format!r})", unknown, {*known, *allowed})
    place = Path(path).expanduser().absolute()
    if not place.exists():
        raise ImageNotFound(place, expected="a file or folder to import")
    # The folder and the images are not searched for a format that does not need them.
    takes = any(parameter.name == "pictures" for parameter in parameters)
    return reader(place, *([matcher.pictures] if takes else []), **options)


def import_job(
    format: str,
    path: AnyPath,
    library: ImageLibrary,
    *,
    add: Callable[[list[Any]], AddReport],
    on_changed: Callable[[str], object],
    dataset: str | None = None,
    images: AnyPath | None = None,
    by_hand: bool = False,
    draw: Draw | None = None,
    options: Mapping[str, Any],
) -> Job:
    """A job, not begun, whose last event has an `ImportReport` in its details.

    Parameters
    ----------
    format, path, dataset, images, by_hand, options
        As `samnb.session.Session.import_` has them.
    library : ImageLibrary
        The images there are.
    add : callable
        Adds picture files to the session.
    on_changed : callable
        Called with the id of each image whose annotations changed.
    draw : callable, optional
        Draws the objects that are only boxes.
    """
    folder, catalog = None if images is None else picture_folder(images, path), library.catalog
    is_new = dataset is not None and folder is not None and dataset not in {each.name for each in catalog.datasets()}
    matcher = ImageMatcher([] if is_new else catalog.images(dataset=dataset), folder)
    contents = read_contents(format, path, matcher, **options)
    run = ImportRun(format, Path(path).expanduser(), library, matcher, contents, add, on_changed, by_hand, draw)
    return Job(f"import {format}", run.events, start=False)


@dataclass
class ImportRun:
    """One import; see `import_job`."""

    format: str
    path: Path
    library: ImageLibrary
    matcher: ImageMatcher
    contents: Contents
    add: Callable[[list[Any]], AddReport]
    on_changed: Callable[[str], object]
    by_hand: bool = False
    draw: Draw | None = None
    added: int = 0
    drawn: int = 0
    doubtful: int = 0
    boxes: int = 0
    _undrawable: bool = False
    already: int = 0
    like: int = 0
    described_otherwise: int = 0
    turned: int = 0
    pictures_added: int = 0
    categories_added: list[str] = field(default_factory=list)
    declared: list[AttributeRecord] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    uncertain: list[str] = field(default_factory=list)

    def events(self, control: JobControl) -> Iterator[Event]:
        """Add what is missing, image after image; the last event has the report in its details."""
        self.failed += self.contents.failed
        of_picture: dict[ImageReference, list[ImportedObject]] = {named: [] for named in self.contents.pictures}
        for found in self.contents.objects:
            of_picture.setdefault(found.picture, []).append(found)
        images = self._images(of_picture, control)
        # Several names can refer to one image: a mask file and its label map, a file named in two ways.
        of_image: dict[str, list[ImportedObject]] = {}
        for named, image in images.items():
            of_image.setdefault(image.id, []).extend(of_picture[named])
        self._have_categories()
        self._have_attributes()
        records = {image.id: image for image in images.values()}
        done = 0
        for done, (image_id, objects) in enumerate(of_image.items(), 1):
            before = self.added
            self._import(records[image_id], objects, control)
            is_new = self.added > before
            yield Event("computed" if is_new else "skipped", done, len(of_image), records[image_id].filename)
            if not control.go_on():
                break
        report = self._report(done)
        details: dict[str, Any] = {"report": report, "summary": str(report).splitlines()[0]}
        if control.cancelled and done < len(of_image):
            details |= {"cancelled": True, "left": len(of_image) - done}
        yield Event("done", total=len(of_image), details=details)

    # -- pictures ----------------------------------------------------------------------------------

    def _images(
        self, of_picture: Mapping[ImageReference, list[ImportedObject]], control: JobControl
    ) -> dict[ImageReference, ImageRecord]:
        """The images of the file, in its order; those in the folder are added, others reported."""
        images: dict[ImageReference, ImageRecord | Path | EmbeddedPicture] = {}
        for named, objects in of_picture.items():
            try:
                images[named] = self.matcher.match(named)
            except ImageError as error:
                self._lost(named, objects, str(error))
        new = list(dict.fromkeys(found for found in images.values() if isinstance(found, Path)))
        added: dict[Path | EmbeddedPicture, ImageRecord] = dict(self._added(new).items()) if new else {}
        for embedded in dict.fromkeys(found for found in images.values() if isinstance(found, EmbeddedPicture)):
            # One at a time: a picture in a file of text takes a third more memory than its own file.
            report = self.add([(embedded.name, embedded.content())])
            self.pictures_added += report.added
            self.failed += report.failed
            if report.images:
                added[embedded] = report.images[0]
        certain = {
            named: image
            for named, found in images.items()
            if (image := found if isinstance(found, ImageRecord) else added.get(found)) is not None
        }
        filled = self.library.with_hashes(list(certain.values()), control=control)
        return self._without_contradictions(dict(zip(certain, filled, strict=True)), of_picture)

    def _without_contradictions(
        self, certain: dict[ImageReference, ImageRecord], of_picture: Mapping[ImageReference, list[ImportedObject]]
    ) -> dict[ImageReference, ImageRecord]:
        """Of several names for one image those that agree with its path best; the others are reported."""
        together: dict[str, list[ImageReference]] = {}
        for named, image in certain.items():
            together.setdefault(image.id, []).append(named)
        otherwise = 0
        for several in together.values():
            agreed = {named: self.matcher.agreement(named, certain[named]) for named in several}
            otherwise += sum(same > 0 and not cased for same, _, cased in agreed.values())
            best = max(agreed.values())
            for named, (same, whole, cased) in agreed.items():
                if same > 0 and (same, cased) < (best[0], best[2]) and not (whole and cased):
                    path = certain.pop(named).path
                    self._lost(named, of_picture[named], f"another record of the file is {path}, and this one is not.")
            left = [named for named in several if named in certain]
            if len(left) > 1:
                listed = ", ".join(f"{n.name} (no. {n.number})" if n.number is not None else n.name for n in left[:3])
                self.notes.append(f"{len(left)} records of one picture, whose objects are all on it: {listed}")
        if otherwise:
            self.notes.append(f"{count_text(otherwise, 'name')} found in another spelling of upper and lower case")
        return certain

    def _lost(self, named: ImageReference, objects: Sequence[ImportedObject], reason: str) -> None:
        lost = f" ({count_text(len(objects), 'object')})" if objects else ""
        self.failed.append(Failure(f"{named.name}{lost}", reason.removeprefix(f"{named.name}: ")))

    def _added(self, paths: list[Path]) -> dict[Path, ImageRecord]:
        report = self.add(paths)
        self.pictures_added = report.added
        self.failed += report.failed
        by_path = {record.path: record for record in report.images}
        found = {path: by_path.get(str(path)) or by_path.get(str(path.resolve())) for path in paths}
        return {path: record for path, record in found.items() if record is not None}

    def _have_categories(self) -> None:
        """Add the file's categories, in its order, after the existing ones."""
        names = (plain(name).strip() for name in self.contents.categories)
        self.categories_added = self.library.catalog.have_categories(names)

    def _have_attributes(self) -> None:
        """Declare the attributes of the file that are not declared yet."""
        wanted = [*self.contents.attributes, *inferred(found.attributes for found in self.contents.objects)]
        if wanted:
            new = self.library.catalog.have_attributes(wanted)
            self.declared = self.library.catalog.attributes()
            if new:
                self.notes.append(f"{count_text(len(new), 'attribute')} declared: {', '.join(new)}")

    # -- objects -----------------------------------------------------------------------------------

    def _import(self, image: ImageRecord, objects: Sequence[ImportedObject], control: JobControl) -> None:
        there = all_annotations_of(self.library.catalog, image.id)
        rows, untried = [], 0
        self._undrawable = False
        for found in objects:
            if self._undrawable and found.read_box is not None:
                untried += 1
            elif (row := self._row(found, image, there)) is not None:
                rows.append(row)
                if row.prompt and not control.go_on():  # a mask takes time
                    break
        if untried:
            self.failed.append(Failure(image.filename, f"{count_text(untried, 'more box', 'more boxes')} not tried"))
        if not rows:
            return
        # A file that does not say the size of its picture cannot show that it was turned.
        unsized = self.format in ("voc", "yolo") and any(found.picture.size_hw is None for found in objects)
        if not self.contents.upright and may_be_turned(image.size_hw, Path(image.path), unsized=unsized):
            self.uncertain.append(image.filename)
        new = self._missing(rows, there)
        self.drawn += sum(bool(row.prompt) for row in new)
        self.doubtful += sum(row.review == UNSURE for row in new)
        for start in range(0, len(new), _BATCH):
            self.added += len(self.library.catalog.add_annotations(new[start : start + _BATCH]))
        if new:
            self.on_changed(image.id)

    def _row(self, found: ImportedObject, image: ImageRecord, there: list[AnnotationRecord]) -> NewAnnotation | None:
        """The annotation to make of an object; None for one that is there already, and is taken out of `there`."""
        category = plain(found.category).strip() or "object"
        try:
            if found.read_box is not None:
                box, turned = _box(found, image)
                if (record := of_box(box, category, there)) is not None:
                    there.remove(record)
                    self._is_there(self._attributes(found), record)
                    return None
                if self.draw is not None:
                    self.turned += turned
                    return self._drawn(self.draw, image, box, category, found)
            self.boxes += found.read_mask is box_alone
            mask = self._upright(found, image)
        except (ImageError, PromptError, ModelError) as error:
            self.failed.append(Failure.of(found.place, error))
            return None
        if not mask.any():
            return None
        return NewAnnotation(
            image_id=image.id,
            category=category,
            rle=encode_rle(mask),
            bbox=mask_bbox(mask),
            area=mask_area(mask),
            score=found.score,
            source=BY_HAND if self.by_hand else f"import:{self.format}",
            attributes=self._attributes(found),
        )

    def _upright(self, found: ImportedObject, image: ImageRecord) -> Mask:
        """The mask of an object on the upright image. Raises `ImageError`."""
        mask, turned = upright_mask(found, image.size_hw, Path(image.path), image.filename)
        self.turned += turned
        self.failed += [Failure(found.place, f"a part of it is left out: {reason}") for reason in found.lost]
        if not mask.any() and not found.may_be_empty:
            raise _empty()
        return mask

    def _drawn(self, draw: Draw, image: ImageRecord, box: Box, category: str, found: ImportedObject) -> NewAnnotation:
        """What the model draws in a box. Raises `ImageError`, `PromptError` or `ModelError`."""
        try:
            prediction = draw(image, Prompt.of(box=box))
        except (ImageError, ModelError):
            self._undrawable = True  # no other box of the image can be drawn either
            raise
        about: Any = {"source": f"import:{self.format}", "model": prediction.model}
        row = chosen_annotation(prediction, image, category, None, **about)
        return replace(row, attributes=self._attributes(found), review=UNSURE if row.score < _SURE else "")

    def _attributes(self, found: ImportedObject) -> dict[str, bool | str]:
        values, lost = fitting(found.attributes, self.declared)
        self.failed += [Failure(found.place, plain(reason)) for reason in lost]
        return values

    def _missing(self, rows: Sequence[NewAnnotation], there: Sequence[AnnotationRecord]) -> list[NewAnnotation]:
        """Those that are not there yet; each existing one matches only one of the file."""
        exact: dict[tuple[str, str], list[AnnotationRecord]] = {}
        for record in there:
            exact.setdefault(key_of(record), []).append(record)
        rest: list[NewAnnotation] = []
        for row in rows:
            same = exact.get(key_of(row))
            if same:
                self._is_there(row.attributes, same.pop(0))
            else:
                rest.append(row)
        unused = [record for left in exact.values() for record in left]
        new: list[NewAnnotation] = []
        for row in rest:
            alike = like(row, unused, by_hand=self.by_hand)
            if alike is None:
                new.append(row)
            else:
                unused.remove(alike)
                self.like += 1
                self._is_there(row.attributes, alike)
        return new

    def _is_there(self, attributes: Mapping[str, bool | str], record: AnnotationRecord) -> None:
        self.already += 1
        # False and "" are the same as no value.
        self.described_otherwise += any(
            (value or None) != (record.attributes.get(name) or None) for name, value in attributes.items()
        )

    def _report(self, images: int) -> ImportReport:
        notes = [*self.contents.notes, *self.notes]
        if self.boxes:
            notes.append(f"{count_text(self.boxes, 'object')} only a box: from_boxes=True lets the model draw the mask")
        if self.drawn:
            doubtful = f", {self.doubtful:,} of them to review" if self.doubtful else ""
            notes.append(f"{count_text(self.drawn, 'mask')} drawn by the model from boxes{doubtful}")
        if self.like:
            notes.append(f"{count_text(self.like, 'object')} there with another outline or category: left as they are")
        if self.described_otherwise:
            notes.append(
                f"{count_text(self.described_otherwise, 'object')} there with other attributes: left as they are. "
                "To take those of the file, remove the annotations and import it again"
            )
        if self.turned:
            notes.append(
                f"{count_text(self.turned, 'mask')} drawn on pictures as they lie in their files: turned upright"
            )
        if self.uncertain:
            shown = ", ".join(self.uncertain[:3]) + (" …" if len(self.uncertain) > 3 else "")
            notes.append(
                f"{count_text(len(self.uncertain), 'picture')} turned by EXIF as sizes do not show ({shown}): "
                "their masks count as drawn upright. Look at one; if it lies wrong, draw on pictures without EXIF"
            )
        return ImportReport(
            format=self.format,
            path=self.path,
            added=self.added,
            already=self.already,
            images=images,
            pictures_added=self.pictures_added,
            categories_added=tuple(self.categories_added),
            failed=tuple(Failure(plain(failure.path), plain(failure.reason)) for failure in self.failed),
            notes=tuple(notes),
            by_hand=self.by_hand,
        )


def _box(found: ImportedObject, image: ImageRecord) -> tuple[Box, bool]:
    """(x0, y0, x1, y1) of an object that is only a box, in whole pixels of the upright image; True if it was turned.

    Raises
    ------
    ImageError
        It cannot be read, or has no pixel of the image.
    """
    assert found.read_box is not None
    read = replace(found, read_mask=found.read_box)
    mask, turned = upright_mask(read, image.size_hw, Path(image.path), image.filename)
    if not mask.any():
        raise _empty()
    x, y, width, height = mask_bbox(mask)
    return (x, y, x + width, y + height), turned


def _empty() -> ImageError:
    return ImageError("an empty mask: it covers the middle of no pixel of the image.")
