"""`TemplateBook`: a session's templates, made from annotations by hand and kept in the catalog under their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..catalog import AnnotationRecord, ImageRecord
from ..encoding.encoder import Encoder
from ..errors import TemplateError, TemplateMismatch, UnknownName
from ..jobs import Event, JobControl
from ..masks import decode_rle
from ..masks.clicks import first_click
from ..prompts import Point, Prompt
from .apply import apply_events
from .features import cells_at, make_example
from .template import CategoryExamples, Example, Template, make_template

__all__ = ["TemplateBook"]


class TemplateBook:
    """Templates of one catalog, for the model of an encoder."""

    def __init__(self, encoder: Encoder):
        self.encoder, self.catalog, self.model = encoder, encoder.catalog, encoder.model

    def make(
        self,
        name: str,
        by_hand: Sequence[AnnotationRecord],
        *,
        categories: Sequence[str] | None,
        strategy: str,
        parameters: Mapping[str, float],
        background: Sequence[tuple[ImageRecord, Sequence[Point]]] = (),
    ) -> Template:
        """A template from annotations by hand, saved; see `Session.template`."""
        known = list(dict.fromkeys(a.category for a in by_hand))
        wanted = known if categories is None else [categories] if isinstance(categories, str) else list(categories)
        if unknown := [category for category in wanted if category not in known] or ([] if wanted else ["any"]):
            raise UnknownName("category", unknown[0], known)
        not_this = tuple(cell for image, points in background for cell in self._background(image, points))
        place = strategy == "fixed"
        examples = [
            CategoryExamples(
                category, tuple(self._example(a, place=place) for a in by_hand if a.category == category), not_this
            )
            for category in wanted
        ]
        return self.saved(make_template(name, strategy, examples, model=self.model.fingerprint, parameters=parameters))

    def find(self, template: Template | str, *, save: bool = True) -> Template:
        """A saved template by name, or one in hand, which is saved unless told otherwise.

        Raises
        ------
        UnknownName
            None of that name.
        TemplateMismatch
            Made with another model.
        """
        if isinstance(template, str):
            # Only read: written again, it would become the newest where another writer saved one meanwhile.
            save, versions = False, [version for name, version in self.catalog.templates() if name == template]
            latest = max(versions, default=None)
            template = Template.from_dict(self.catalog.template(template, latest), version=latest or 1)
        if template.model != self.model.fingerprint:
            raise TemplateMismatch(template.name, template.model, self.model.fingerprint)
        return self.saved(template) if save else template

    def apply(self, template: Template, images: Sequence[ImageRecord], control: JobControl) -> Iterator[Event]:
        """Find a template's objects on images; see `samnb.templates.apply.apply_events`."""
        return apply_events(
            template,
            images,
            catalog=self.catalog,
            model=self.model,
            embedding_of=self.encoder.embedding,
            control=control,
        )

    def saved(self, template: Template) -> Template:
        """The template with its version: the latest if the content is the same, else the next."""
        values = template.as_dict()
        version = self.catalog.save_template(template.name, values)
        # As it is kept, rounded: what is applied today is what another day, or another machine, applies.
        return Template.from_dict(values, version=version)

    def _background(self, image: ImageRecord, points: Sequence[Point]) -> tuple[NDArray[np.float32], ...]:
        Prompt.of(points=points).check_inside(image.size_hw, image.filename)
        return cells_at(self.encoder.embedding(image)[0], points)

    def _example(self, annotation: AnnotationRecord, *, place: bool) -> Example:
        record, mask = self.catalog.image(annotation.image_id), decode_rle(annotation.rle)
        if mask.shape != record.size_hw:
            raise TemplateError(
                f"Annotation {annotation.id} on {record.filename} belongs to an earlier picture under that name: its "
                f"mask is {mask.shape}, the picture now {record.size_hw}. session.remove({annotation.id})"
            )
        # A mask drawn by hand comes without a prompt: strategy "fixed" then clicks its middle.
        prompt = Prompt.from_dict(annotation.prompt) or Prompt.of(points=[first_click(mask)])
        return make_example(record.pixel_hash, prompt, mask, self.encoder.embedding(record)[0], place=place)
