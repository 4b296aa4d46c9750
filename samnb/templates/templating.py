"""The part of `Session` that is about templates: made, applied, taken back, measured."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..annotations.annotation import Annotation, Annotations
from ..annotations.service import BY_HAND, Annotating
from ..errors import NothingToMeasure, UnknownName
from ..jobs import Event, Job, JobControl
from ..progress import show_job
from ..prompts import Embedding, Prompt
from ..records import ACCEPTED, REJECTED, UNSURE, Failure, ImageRecord, ImageRef
from .evaluation import Known, PackedMasks, sweep, try_on
from .report import WORST, ImageFigures, Sweep, TemplateReport
from .service import TemplateBook
from .template import Template

if TYPE_CHECKING:
    from ..widgets import Review, Tuner

__all__ = ["Templating"]


class Templating(Annotating):
    """What a `Session` does with templates."""

    _templates: TemplateBook

    def template(
        self,
        name: str,
        *,
        categories: Sequence[str] | None = None,
        strategy: str = "match_all",
        background: Mapping[ImageRef, Sequence[Sequence[float]]] | None = None,
        **parameters: float,
    ) -> Template:
        """A template made from what was annotated by hand, saved under its name.

        Parameters
        ----------
        name : str
        categories : sequence of str, optional
            None: all that have annotations by hand.
        strategy : {"match_all", "match", "fixed"}
            Every instance, the best one, or the same relative prompt on every image.
        background : mapping of image to (N, 2), optional
            (x, y) in image pixels, on things that are taken for the object and are not: what looks more like them than
            like the examples is left out.
        **parameters
            See `samnb.templates.DEFAULT_PARAMETERS`.

        Raises
        ------
        UnknownName
            A category without annotations by hand, or an unknown strategy.
        UnknownOption
            An unknown parameter.
        """
        by_hand = [a for a in self.catalog.annotations() if a.source == BY_HAND]
        not_this = [
            (self._read(image), Prompt.of(points=points).points) for image, points in (background or {}).items()
        ]
        options: Any = {"categories": categories, "strategy": strategy, "parameters": parameters}
        return self._templates.make(name, by_hand, background=not_this, **options)

    def find_template(self, template: Template | str) -> Template:
        """A saved template by its name, in its latest version; one in hand is saved.

        Raises
        ------
        UnknownName
            None of that name.
        TemplateMismatch
            Made with another model.
        """
        return self._templates.find(template)

    def save_template(self, template: Template) -> Template:
        """Save a template: the same content keeps its version, other content gets the next one."""
        return self._templates.saved(template)

    def tune(self, template: Template | str, images: Iterable[ImageRef] | None = None) -> Tuner:
        """A widget with a template's parameters, and what they find on 12 images as they move.

        For the last line of a notebook cell. Nothing is written until "Save", which makes a new version.

        Parameters
        ----------
        template : Template or str
        images : iterable, optional
            The first 12 of these; None: 12 of all, a third of those annotated by hand.
        """
        # By name at run time: the core knows no widgets.
        return importlib.import_module("samnb.widgets").Tuner(self, template, images=images)

    def annotated_by_hand(self, template: Template) -> list[Known]:
        """The images with annotations by hand of a template's categories, and their masks; [] where there are none."""
        try:
            return self._known(template, self.images(), on_examples=True)[0]
        except NothingToMeasure:
            return []

    def apply(
        self,
        template: Template | str,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        show: bool = True,
    ) -> Job:
        """Find a template's objects on images, in the background; `await` it, or `.wait()`.

        What is done with this version of the template is skipped, so a run that was cut off is resumed by
        calling this again. Annotations by hand are never touched.

        Parameters
        ----------
        template : Template or str
            A saved one by its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order.
        show : bool
            Draw a progress widget (a tqdm bar outside a notebook).
        """
        template, records = self._templates.find(template), self._records(dataset, images)
        job = Job(f"apply {template.name}", lambda control: self._apply(template, records, control), total=len(records))
        if show:
            show_job(job)
        return job

    def apply_stream(
        self, template: Template | str, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> Iterator[Event]:
        """The same as `apply`, here and now: an iterator of its events."""
        return self._apply(self._templates.find(template), self._records(dataset, images), JobControl())

    def undo_apply(
        self, template: Template | str, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> int:
        """Take back what a template left, in whatever version; returns how many annotations went.

        What a review accepted or rejected stays, as does all that was done by hand.

        Parameters
        ----------
        template : Template or str
            Or its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        """
        name = template if isinstance(template, str) else template.name
        if isinstance(template, str) and name not in {known for known, _ in self.catalog.templates()}:
            raise UnknownName("template", name, {known for known, _ in self.catalog.templates()})
        chosen = None
        if dataset is not None or images is not None:
            chosen = [record.id for record in self._records(dataset, images)]
        gone = self.catalog.forget_applied(name, chosen)
        self.changes.tell()
        return gone

    def to_review(self, dataset: str | None = None, *, template: str | None = None) -> Annotations:
        """What templates left and were not sure of, the least sure first; `approve` or `reject` each.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        template : str, optional
            Only what this one left.
        """
        records = self.catalog.annotations(dataset=dataset, review=UNSURE)
        own = [r for r in records if template is None or r.source.partition("@")[0] == f"template:{template}"]
        return Annotations(Annotation(record) for record in sorted(own, key=lambda record: record.score))

    def review(self, dataset: str | None = None, *, template: str | None = None) -> Review:
        """A widget that shows what `to_review` gives, one object after the other: A accepts, R rejects, F fixes.

        For the last line of a notebook cell. What was answered is kept, and not asked again.
        """
        # By name at run time: the core knows no widgets.
        return importlib.import_module("samnb.widgets").Review(self, dataset=dataset, template=template)

    def approve(self, annotation: Annotation | int) -> Annotation:
        """Say that an annotation is right: applying its template again leaves it as it is."""
        return self._reviewed(annotation, ACCEPTED)

    def reject(self, annotation: Annotation | int) -> Annotation:
        """Say that an annotation is wrong: it is seen no more, and its template does not find it again.

        `approve` brings it back.
        """
        return self._reviewed(annotation, REJECTED)

    def unreview(self, annotation: Annotation | int) -> Annotation:
        """Take an `approve` or `reject` back: it is among `to_review` again."""
        return self._reviewed(annotation, UNSURE)

    def evaluate(
        self,
        template: Template | str,
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        min_iou: float = 0.5,
        on_examples: bool = False,
    ) -> TemplateReport:
        """How much of what was annotated by hand a template finds, and what it makes up; nothing is written.

        Only images with annotations by hand of the template's categories are searched, and all of their objects have to
        be annotated: what is not counts as made up.

        Parameters
        ----------
        template : Template or str
            A saved one by its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        min_iou : float
            From which a mask counts as the object, above 0 and up to 1.
        on_examples : bool
            Also on the images that hold the template's own examples, which flatters it.

        Raises
        ------
        NothingToMeasure
            No such images.
        """
        template, failed = self._templates.find(template, save=False), []
        known, left_out = self._known(template, self._records(dataset, images), on_examples=on_examples)
        found: list[ImageFigures] = []
        for one in known:
            try:
                found.append(try_on(template, one, self.model, min_iou=min_iou))
            except Exception as error:
                # One image that cannot be searched must not lose the figures of the others.
                failed.append(Failure(one.image.filename, str(error) or repr(error)))
        found.sort(key=lambda image: (image.tally.f1, image.tally.mean_iou))
        pictures = {image.image_id: self.pixels(image.image_id) for image in found[:WORST] if image.tally.f1 < 1}
        name = f"{template.name} v{template.version}"
        return TemplateReport(name, tuple(found), min_iou, left_out, tuple(failed), pictures)

    def sweep(
        self,
        template: Template | str,
        grid: Mapping[str, Sequence[float]],
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        min_iou: float = 0.5,
        on_examples: bool = False,
    ) -> Sweep:
        """Try parameters on what was annotated by hand, every combination of them; the best F1 comes first.

        Parameters
        ----------
        template : Template or str
        grid : mapping of str to sequence of float
            Values to try, such as ``{"min_score": [0.2, 0.3, 0.4], "refine": [0, 2]}``.
        dataset, images, min_iou, on_examples
            As for `evaluate`.

        Raises
        ------
        TemplateError, UnknownOption
            An unknown parameter, a value out of its range, an empty grid.
        NothingToMeasure
            No images with annotations by hand.
        """
        template = self._templates.find(template, save=False)
        known, _ = self._known(template, self._records(dataset, images), on_examples=on_examples)
        return sweep(template, grid, known, self.model, min_iou=min_iou)

    # -- inside ------------------------------------------------------------------------------------

    def _reviewed(self, annotation: Annotation | int, review: str) -> Annotation:
        number = annotation if isinstance(annotation, int) else int(annotation.id)
        record = self.catalog.update_annotation(number, review=review)
        self.changes.tell(record.image_id)
        return Annotation(record)

    def _known(
        self, template: Template, records: Sequence[ImageRecord], *, on_examples: bool
    ) -> tuple[list[Known], int]:
        """The images with annotations by hand, and how many were left out for holding examples."""
        wanted: dict[str, dict[str, list[Any]]] = {}
        categories = {examples.category for examples in template.categories}
        sizes = {record.id: record.size_hw for record in records}
        for annotation in self.catalog.annotations(source=BY_HAND):
            # A mask of another size belongs to an earlier picture under this name.
            if annotation.category in categories and sizes.get(annotation.image_id) == tuple(annotation.rle["size"]):
                wanted.setdefault(annotation.image_id, {}).setdefault(annotation.category, []).append(annotation.rle)
        used = {example.pixel_hash for examples in template.categories for example in examples.examples}
        annotated = [record for record in records if record.id in wanted]
        chosen = [record for record in annotated if on_examples or record.pixel_hash not in used]
        if not chosen:
            hint = " other than the template's own examples (on_examples=True measures on them)" if annotated else ""
            raise NothingToMeasure(f"images annotated by hand{hint}")
        known = [
            Known(record, partial(self._embedding_of, record), PackedMasks(wanted[record.id])) for record in chosen
        ]
        return known, len(annotated) - len(chosen)

    def _embedding_of(self, image: ImageRecord) -> Embedding:
        return self._encoder.embedding(image)[0]

    def _apply(self, template: Template, records: Sequence[ImageRecord], control: JobControl) -> Iterator[Event]:
        filled = self._filled(records)
        return self.changes.of(filled, self._templates.apply(template, filled, control))
