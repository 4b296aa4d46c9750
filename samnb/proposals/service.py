"""`ProposalService`: searches for proposals, kept proposals, and what a person decides on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ..annotations.annotation import Annotation, Annotations
from ..annotations.rows import category_name
from ..annotations.service import AnnotationService
from ..catalog import Catalog
from ..catalog.values import to_json
from ..encoding.encoder import Encoder
from ..errors import ImageChanged
from ..ingest.library import ImageLibrary
from ..jobs import Event, Job, JobControl
from ..records import ACCEPTED, BY_HAND, REJECTED, ImageRecord, ImageRef, NewAnnotation, ProposalRecord
from ..templates.other_features import FeatureReader
from .covered import uncovered
from .proposal import Proposal, Proposals
from .query import Query, Search, query_key
from .run import propose_events, search_image


class ProposalService:
    """The proposal methods of `samnb.session.Session`, which documents the arguments.

    Parameters
    ----------
    catalog : Catalog
    library : ImageLibrary
    encoder : Encoder
        Its model draws the masks.
    features : FeatureReader
        Reads what a query compares.
    annotations : AnnotationService
        Saves what is accepted.
    """

    def __init__(
        self,
        catalog: Catalog,
        library: ImageLibrary,
        encoder: Encoder,
        features: FeatureReader,
        annotations: AnnotationService,
    ):
        self._catalog, self._library, self._encoder = catalog, library, encoder
        self._features, self._annotations = features, annotations

    # -- search ------------------------------------------------------------------------------------

    def propose(self, query: Query, dataset: str | None, images: Iterable[ImageRef] | None) -> Job:
        """A job, started in the background, that asks a query on images."""
        records = self._library.select(dataset, images)
        return Job(f"find {query.kind}", lambda control: self._events(query, records, control), total=len(records))

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
        records = self._library.with_hashes(self._library.select(dataset, images))
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
            here = sorted(by_picture.pop(record.pixel_hash, ()), key=lambda one: -one.score)
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

    # -- decided -----------------------------------------------------------------------------------

    def accept(self, proposals: Proposal | Iterable[Proposal], category: str) -> Annotations:
        """Save proposals as annotations by hand; one whose mask is annotated already gives that annotation."""
        chosen = [proposals] if isinstance(proposals, Proposal) else list(proposals)
        name = category_name(category)
        by_image: dict[str, list[Proposal]] = defaultdict(list)
        for one in chosen:
            if self._library.image(one.image_id).pixel_hash != one.pixel_hash:
                raise ImageChanged(one.image_record.path, one.dataset)
            by_image[one.image_id].append(one)
        saved = Annotations()
        for some in by_image.values():
            there = {to_json(a.rle): a for a in self._catalog.annotations(image_id=some[0].image_id)}
            new = [one for one in some if to_json(one.rle) not in there]
            saved += [Annotation(there[to_json(one.rle)]) for one in some if one not in new]
            saved += self._annotations.save_all([_as_annotation(one, name) for one in new]) if new else []
        self._catalog.review_proposals([one.id for one in chosen], ACCEPTED)
        return saved

    def reject(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Mark proposals as wrong: they are not offered again; returns their number."""
        return self._reviewed(proposals, REJECTED)

    def unreview(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Undo `accept` or `reject` for proposals: they are offered again; returns their number."""
        return self._reviewed(proposals, "")

    # -- inside ------------------------------------------------------------------------------------

    def _reviewed(self, proposals: Proposal | Iterable[Proposal], review: str) -> int:
        chosen: Iterable[Proposal] = [proposals] if isinstance(proposals, Proposal) else proposals
        return len(self._catalog.review_proposals([one.id for one in chosen], review))

    def _events(self, query: Query, records: Sequence[ImageRecord], control: JobControl) -> Iterator[Event]:
        images = self._library.with_hashes(records)
        return propose_events(
            query, images, catalog=self._catalog, model=self._encoder.model, search=self._search, control=control
        )

    def _search(self, image: ImageRecord) -> Search:
        return Search(image, self._encoder, self._features)


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
