"""The part of `Session` that is about templates: made, applied, taken back, measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .annotating import BY_HAND, Annotating
from .datasets import ImageRef
from .jobs import Event, Job, JobControl
from .progress import show_job
from .prompts import Prompt
from .records import ImageRecord
from .template_book import TemplateBook
from .templates import Template

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

    # -- inside ------------------------------------------------------------------------------------

    def _apply(self, template: Template, records: Sequence[ImageRecord], control: JobControl) -> Iterator[Event]:
        filled = self._filled(records)
        return self.changes.of(filled, self._templates.apply(template, filled, control))
