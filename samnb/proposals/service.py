"""`ProposalService`: searches for proposals, kept proposals, and what a person decides on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotations.annotation import Annotation, Annotations
from ..annotations.changes import AnnotationChanges
from ..annotations.rows import category_name
from ..annotations.service import AnnotationService
from ..catalog import Catalog
from ..catalog.values import to_json
from ..encoding.encoder import Encoder
from ..encoding.regions import Region, whole_region
from ..errors import ImageChanged, PromptError
from ..ingest.library import ImageLibrary
from ..jobs import Event, Job, JobControl
from ..masks.part import MaskPart
from ..prompts import Prediction, Prompt
from ..records import ACCEPTED, BY_HAND, REJECTED, ImageRecord, ImageRef, NewAnnotation, ProposalRecord
from ..templates.examples import CategoryExamples
from ..templates.image_features import ImageFeatures
from ..templates.phrase_examples import ExampleBoxes
from ..templates.service import ShownMask, TemplateService
from ..templates.template import Template
from .covered import uncovered
from .grouping import group_alike
from .like import NAME, Like
from .phrase import NAME as PHRASE
from .phrase import Phrase
from .proposal import Proposal, Proposals
from .query import Query, Search, query_key
from .run import propose_events, search_image

Shown = Annotation | Proposal | Prediction
"""What may be an example: a mask on an image."""


class ProposalService:
    """The proposal methods of `samnb.session.Session`, which documents the arguments.

    Parameters
    ----------
    catalog : Catalog
    library : ImageLibrary
    encoder : Encoder
        Its model draws the masks.
    templates : TemplateService
        Makes examples, and reads what a query compares.
    annotations : AnnotationService
        Saves what is accepted.
    changes : AnnotationChanges
        Notified of the images whose offers change.
    """

    def __init__(
        self,
        catalog: Catalog,
        library: ImageLibrary,
        encoder: Encoder,
        templates: TemplateService,
        annotations: AnnotationService,
        changes: AnnotationChanges,
    ):
        self._catalog, self._library, self._encoder = catalog, library, encoder
        self._templates, self._annotations, self._changes = templates, annotations, changes

    # -- search ------------------------------------------------------------------------------------

    def propose(
        self, query: Query, dataset: str | None, images: Iterable[ImageRef] | None, *, start: bool = True
    ) -> Job:
        """A job that asks a query on images; begun in the background, or with `start` False by its caller."""
        records, name = self._library.select(dataset, images), f"find {query.kind}"
        work = partial(self._events, query, records)
        return Job(name, lambda control: work(control), total=len(records), start=start)

    def stream(self, query: Query, dataset: str | None, images: Iterable[ImageRef] | None) -> Iterator[Event]:
        """The same in this thread: an iterator of its events."""
        return self._events(query, self._library.select(dataset, images), JobControl())

    def on_image(self, query: Query, image: ImageRef) -> Proposals:
        """All proposals of a query on one image, the best first; searched only if it was not before."""
        record = self._library.read(image)
        if record.pixel_hash not in self._catalog.searched(self._encoder.model.fingerprint, query_key(query)):
            search_image(query, self._search(record), self._catalog)
            self._catalog.sync()
        return self.find(query=query, images=[record], annotated=True)

    # -- like an example ---------------------------------------------------------------------------

    def like(
        self,
        example: Shown | Iterable[Shown] | Like,
        *,
        strategy: str,
        features: str | None,
        parameters: Mapping[str, float],
    ) -> Like:
        """A query for all objects like an example; for a `Like` its own, and what was decided on its proposals."""
        if not isinstance(example, Like):
            # A template's weight is lower, for marks in the tuner; what was rejected here must not be offered again.
            parameters = {"background_weight": 1.0, **parameters}
            options: Any = {"strategy": strategy, "parameters": parameters, "features": features}
            shown = _as_list(example)
            if not shown:
                raise PromptError("like: expected an annotation, a proposal or a prediction, or several; got none.")
            return Like(self._templates.of_masks(NAME, NAME, map(self._shown, shown), **options))
        made, [before] = example.template, example.template.categories
        values = {**made.parameters, **parameters}
        options = {"strategy": made.strategy, "features": made.features, "parameters": values}
        decided = self.find(query=example, annotated=True, rejected=True)
        # An accepted one may have been undone since; and a picture that is there twice has its proposals twice.
        open_ones = {(one.id, one.image_id) for one in self.find(query=example)}
        kept = {one.id: one for one in decided if one.review == ACCEPTED and (one.id, one.image_id) not in open_ones}
        wrong = {one.id: one for one in decided if one.review == REJECTED}
        # One after the other: all masks of a large picture together take gigabytes.
        accepted, rejected = (map(self._shown, some.values()) for some in (kept, wrong))
        learnt = self._templates.of_masks(NAME, NAME, accepted, rejected, **options)
        [new] = learnt.categories
        known = {(one.pixel_hash, to_json(one.rle)) for one in before.examples}
        more = tuple(one for one in new.examples if (one.pixel_hash, to_json(one.rle)) not in known)
        all_of_it = CategoryExamples(NAME, before.examples + more, before.background + new.background)
        return Like(replace(learnt, categories=(all_of_it,)))

    def phrase(self, phrase: str | None, examples: ExampleBoxes | None, parameters: Mapping[str, float]) -> Phrase:
        """A query for all objects that a phrase, examples or both name."""
        if not isinstance(phrase, str) and (phrase is not None or examples is None):
            raise PromptError(f'find: expected a phrase, such as "yellow taxi", or examples; got {phrase!r}.')
        options: Any = {"categories": None, "parameters": parameters}
        return Phrase(self._templates.of_phrase(PHRASE, phrase, examples, **options))

    def as_template(self, like: Like, name: str, category: str) -> Template:
        """Save the examples of a query, and what was decided on its proposals, as a template."""
        learnt = self.like(like, strategy=like.template.strategy, features=like.template.features, parameters={})
        [found] = learnt.template.categories
        named = replace(learnt.template, name=name, categories=(replace(found, category=category_name(category)),))
        return self._templates.save(named)

    def _shown(self, example: Shown) -> ShownMask:
        if not example.image_id:
            raise PromptError("like: a prediction without a session says of no image. Use session.predict(image, …).")
        record = self._library.read(example.image_id)
        prompt = example.prompt if isinstance(example, Prediction) else Prompt.from_dict(example.prompt)
        part = _part_of(example)
        if part.size_hw != record.size_hw:
            raise ImageChanged(record.path, record.dataset)
        if not part.area:
            raise PromptError(f"like: the mask on {record.filename} is empty. Add a point, or take another example.")
        return ShownMask(record, part, prompt)

    # -- what is kept ------------------------------------------------------------------------------

    def find(
        self,
        *,
        query: Query | None = None,
        kind: str | None = None,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        annotated: bool = False,
        rejected: bool = False,
    ) -> Proposals:
        """Kept proposals of this session's model, image by image, the best first."""
        records = self._library.select(dataset, images)  # nobody has searched one that was not read yet
        wanted = None if dataset is None and images is None else {record.pixel_hash for record in records}
        kept = self._catalog.proposals(
            pixel_hashes=wanted,
            model=self._encoder.model.fingerprint,
            search=None if query is None else query_key(query),
            rejected=rejected,
        )
        by_picture: dict[str, list[ProposalRecord]] = defaultdict(list)
        for one in kept:
            if kind in (None, one.query["kind"]):
                by_picture[one.pixel_hash].append(one)
        found = Proposals()
        for record in records:
            here = sorted(by_picture.get(record.pixel_hash, ()), key=lambda one: -one.score)
            if here and not annotated:
                here = uncovered(here, self._catalog.annotations(image_id=record.id))
            found += [Proposal(one, record) for one in here]
        return found

    def forget(self, query: Query | None, dataset: str | None, images: Iterable[ImageRef] | None) -> int:
        """Remove searches with their proposals; returns the number of searches."""
        wanted = None
        if dataset is not None or images is not None:
            wanted = {record.pixel_hash for record in self._library.select(dataset, images)}
        key = None if query is None else query_key(query)
        return self._catalog.forget_proposals(pixel_hashes=wanted, model=self._encoder.model.fingerprint, search=key)

    def groups(self, proposals: Iterable[Proposal], *, alike: float) -> list[Proposals]:
        """Proposals that look alike, the largest group first; those of several images together."""
        some = list(proposals)
        if not some:
            return []
        means: list[NDArray[np.float32]] = []
        by_place: dict[tuple[str, Region | None], ImageFeatures] = {}
        for one in some:
            image, part = one.image_record, MaskPart.of_rle(one.rle)
            large = self._encoder.large.has(image)
            tile = self._encoder.large.grid(image).centred(part.box) if large else None
            place = (one.image_id, tile)
            if place not in by_place:
                by_place[place] = self._templates.features.of(image, region=tile).features
            means.append(by_place[place].mean_inside(part.inside(tile or whole_region(image))))
        shares = [one.area / (one.image_record.width * one.image_record.height) for one in some]
        found = group_alike(np.stack(means), shares, alike=alike)
        return [Proposals(some[number] for number in group) for group in found]

    # -- decided -----------------------------------------------------------------------------------

    def accept(self, proposals: Proposal | Iterable[Proposal], category: str) -> Annotations:
        """Save proposals as annotations by hand; one whose mask is annotated already gives that annotation."""
        chosen = [proposals] if isinstance(proposals, Proposal) else list(proposals)
        name = category_name(category)
        for one in {(one.image_id, one.pixel_hash): one for one in chosen}.values():
            if self._library.image(one.image_id).pixel_hash != one.pixel_hash:
                raise ImageChanged(one.image_record.path, one.dataset)
        rows = [_as_annotation(one, name) for one in chosen]
        return self._annotations.save_proposals([one.id for one in chosen], rows)

    def reject(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Mark proposals as wrong: they are not offered again; returns their number."""
        return self._reviewed(proposals, REJECTED)

    def unreview(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Undo `accept` or `reject` for proposals: they are offered again; returns their number."""
        return self._reviewed(proposals, "")

    # -- inside ------------------------------------------------------------------------------------

    def _reviewed(self, proposals: Proposal | Iterable[Proposal], review: str) -> int:
        chosen = [proposals] if isinstance(proposals, Proposal) else list(proposals)
        records = self._catalog.review_proposals([one.id for one in chosen], review)
        for image_id in {one.image_id for one in chosen}:
            self._changes.emit(image_id)
        return len(records)

    def _events(self, query: Query, records: Sequence[ImageRecord], control: JobControl) -> Iterator[Event]:
        how: Any = {"catalog": self._catalog, "model": self._encoder.model, "control": control}
        how["search"] = partial(self._search, control=control)
        return self._library.once_read(records, lambda images: propose_events(query, images, **how), control=control)

    def _search(self, image: ImageRecord, *, control: JobControl | None = None) -> Search:
        options = {} if control is None else {"go_on": lambda: not control.cancelled}
        return Search(image, self._encoder, self._templates.features, **options)


def _part_of(example: Shown) -> MaskPart:
    if not isinstance(example, Prediction):
        return MaskPart.of_rle(example.rle)
    corner, mask = example.part_of(example.best)
    return MaskPart.of(mask, corner, example.size_hw)


def _as_list(example: Shown | Iterable[Shown]) -> list[Shown]:
    if isinstance(example, Annotation | Proposal | Prediction):
        return [example]
    return list(example)


def _as_annotation(proposal: Proposal, category: str) -> NewAnnotation:
    record = proposal.record
    return NewAnnotation(
        image_id=proposal.image_id,
        category=category,
        rle=record.rle,
        bbox=record.bbox,
        area=record.area,
        score=record.score,
        source=BY_HAND,
        prompt=record.prompt,
        model=record.model,
    )
