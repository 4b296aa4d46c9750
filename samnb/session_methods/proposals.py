"""The methods of `samnb.session.Session` about proposals: everything, by example, by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..annotations.annotation import Annotations
from ..encoding.regions import Region
from ..jobs import Event, Job
from ..progress import run_shown
from ..proposals import Everything, InRegion, Like, Phrase, Proposal, Proposals, Query
from ..proposals.grouping import ALIKE
from ..proposals.run import tell_failures
from ..proposals.service import Shown
from ..records import ImageRef
from ..templates import Template
from ..templates.phrase_examples import ExampleBoxes
from .parts import SessionParts, shown


class ProposalMethods(SessionParts):
    """Masks that are proposed, and accepted or rejected afterwards."""

    def segment_everything(self, image: ImageRef, **parameters: Any) -> Proposals:
        """All masks that a grid of clicks finds on one image, the best first: proposals, kept in the catalog.

        Asked again with the same parameters, they are read from the catalog. The image is encoded only if it never was.

        Parameters
        ----------
        image : str, path or ImageRecord
        **parameters
            Those of segment-anything's ``SamAutomaticMaskGenerator``, see `samnb.proposals.Everything`:
            points_per_side, pred_iou_thresh, stability_score_thresh, crop_n_layers, min_mask_region_area, …

        Raises
        ------
        UnknownName, UnknownOption, PromptError
            No such image or parameter, a value out of its range.
        """
        return self._proposals.on_image(self.everything(**parameters), image)

    def everything(self, **parameters: Any) -> Everything:
        """The query of `segment_everything`, with the defaults that suit the session's model."""
        return Everything.of(self.model, **parameters)

    def segment_everything_stream(
        self, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None, **parameters: Any
    ) -> Iterator[Event]:
        """`segment_everything` on many images, in this thread: an iterator of events. A second call goes on."""
        return self._proposals.stream(self.everything(**parameters), dataset, images)

    def find_like(
        self,
        example: Shown | Iterable[Shown] | Like,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        strategy: str = "match_all",
        features: str | None = None,
        region: Region | None = None,
        show: bool = True,
        **parameters: float,
    ) -> Proposals:
        """All objects like an example: proposals, the best of all images first.

        Parameters
        ----------
        example
            An annotation, a proposal or a prediction (of its mask with the highest score), or several. A `Like`: its
            examples, with its accepted proposals as further examples and its rejected ones as background.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        strategy : {"match_all", "match", "fixed"}
            Every instance, the best one, or the same place on every image.
        features : str, optional
            The name of another model whose features are compared; see `template`.
        region : (x0, y0, x1, y1), optional
            Only the tiles of this part of a large image; `samnb.proposals.InRegion` does it for any query.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.
        **parameters
            See `samnb.templates.DEFAULT_PARAMETERS`.

        Raises
        ------
        PromptError
            No example, an empty mask.
        ImageChanged
            Another picture came under the name of an example's image.
        KeyboardInterrupt
            After the current image is finished; the same call goes on from there.
        """
        like = self.like(example, strategy=strategy, features=features, **parameters)
        return self._found(like if region is None else InRegion(like, region), dataset, images, show)

    def like(
        self,
        example: Shown | Iterable[Shown] | Like,
        *,
        strategy: str = "match_all",
        features: str | None = None,
        **parameters: float,
    ) -> Like:
        """The query of `find_like`, for `propose` and `propose_stream`."""
        return self._proposals.like(example, strategy=strategy, features=features, parameters=parameters)

    def find(
        self,
        phrase: str | None = None,
        dataset: str | None = None,
        *,
        examples: ExampleBoxes | None = None,
        images: Iterable[ImageRef] | None = None,
        show: bool = True,
        **parameters: float,
    ) -> Proposals:
        """All objects that a phrase names, such as "yellow taxi": proposals, the best of all images first.

        Parameters
        ----------
        phrase : str, optional
            For a model that knows words. None: `examples` alone.
        dataset : str, optional
            None: all images.
        examples, images, show, **parameters
            As of `template`, and of `find_like`.

        Raises
        ------
        ModelError
            The session's model knows no words; the message names models that do.
        TemplateError, PromptError
            Neither a phrase nor examples, a box that is none.
        KeyboardInterrupt
            After the current image is finished; the same call goes on from there.
        """
        return self._found(self.phrase(phrase, examples=examples, **parameters), dataset, images, show)

    def phrase(self, phrase: str | None = None, *, examples: ExampleBoxes | None = None, **parameters: float) -> Phrase:
        """The query of `find`, for `propose` and `propose_stream`."""
        return self._proposals.phrase(phrase, examples, parameters)

    def save_like(self, like: Like, name: str, *, category: str) -> Template:
        """Save a query as a template: its examples, its accepted proposals, and its rejected ones as background.

        Raises
        ------
        TemplateError, PromptError
            A name that is empty or has an "@", an empty category.
        """
        return self._proposals.as_template(like, name, category)

    def propose(
        self,
        query: Query,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        show: bool = True,
    ) -> Job:
        """Ask a query on images, in the background; `await` it, or `.wait()`. Then `proposals` lists what it found.

        Pictures that were searched with this query are skipped, so the same call resumes a run that was stopped.

        Parameters
        ----------
        query : Query
            Such as ``session.everything(points_per_side=16)``.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        return shown(self._proposals.propose(query, dataset, images), show)

    def propose_stream(
        self, query: Query, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> Iterator[Event]:
        """The same as `propose`, in this thread: an iterator of its events."""
        return self._proposals.stream(query, dataset, images)

    def proposals(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        query: Query | None = None,
        kind: str | None = None,
        annotated: bool = False,
        rejected: bool = False,
    ) -> Proposals:
        """Proposals that were found with the session's model, image by image, the best first.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only of these.
        query : Query, optional
            Only of this one.
        kind : str, optional
            Only of queries of this kind, such as "everything".
        annotated : bool
            Also those that show an object with an annotation.
        rejected : bool
            Also those that `reject_proposals` marked as wrong.
        """
        narrow: Any = {"query": query, "kind": kind, "annotated": annotated, "rejected": rejected}
        return self._proposals.find(dataset=dataset, images=images, **narrow)

    def accept_proposals(self, proposals: Proposal | Iterable[Proposal], *, category: str) -> Annotations:
        """Save proposals as annotations by hand; they are in the catalog when this returns.

        Raises
        ------
        PromptError
            An empty category.
        ImageChanged
            Another picture came under the name of an image.
        """
        return self._proposals.accept(proposals, category)

    def reject_proposals(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Mark proposals as wrong: they are not offered again; returns their number."""
        return self._proposals.reject(proposals)

    def unreview_proposals(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Undo `reject_proposals`: they are offered again; returns their number."""
        return self._proposals.unreview(proposals)

    def group_proposals(self, proposals: Iterable[Proposal], *, alike: float = ALIKE) -> list[Proposals]:
        """Groups of proposals that look alike, to be accepted at one stroke; the largest group first.

        Parameters
        ----------
        proposals : iterable of Proposal
            Of one image or of several.
        alike : float
            -1 to 1: mean cosine of two groups' features from which they are one.
        """
        return self._proposals.groups(proposals, alike=alike)

    def forget_proposals(
        self,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        query: Query | None = None,
    ) -> int:
        """Remove the proposals of the session's model, so that they are searched again; annotations stay.

        Returns
        -------
        int
            Number of removed searches: one for each picture and query.
        """
        return self._proposals.forget(query, dataset, images)

    def _found(self, query: Query, dataset: str | None, images: Iterable[ImageRef] | None, show: bool) -> Proposals:
        images = None if images is None else list(images)  # read twice
        job = self._proposals.propose(query, dataset, images, start=False)
        run_shown(job, show=show)
        tell_failures(job)
        found = self._proposals.find(query=query, dataset=dataset, images=images)
        return Proposals(sorted(found, key=lambda one: -one.score))
