"""The methods of `samnb.session.Session` about proposals that were found: listed, accepted, rejected, forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..annotations.annotation import Annotations
from ..proposals import Proposal, Proposals, Query
from ..proposals.grouping import ALIKE
from ..records import ImageRef
from .parts import SessionParts


class KeptProposalMethods(SessionParts):
    """Proposals that are in the catalog, and what a person decides on them."""

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
            Only of queries of this kind: "everything", "like" or "phrase".
        annotated : bool
            Also those that show an object with an annotation.
        rejected : bool
            Also those that `reject_proposals` marked as wrong.

        Returns
        -------
        Proposals
            A list, which `to_dataframe` makes a table.

        Raises
        ------
        UnknownName
            No such dataset or image.
        UnknownOption
            Both `dataset` and `images`.

        Examples
        --------
        >>> found = session.segment_everything("coins_1.png", points_per_side=3)
        >>> len(session.proposals("monday", kind="everything", annotated=True)) == len(found)
        True
        >>> session.proposals("monday", kind="like")
        []
        """
        narrow: Any = {"query": query, "kind": kind, "annotated": annotated, "rejected": rejected}
        return self._proposals.find(dataset=dataset, images=images, **narrow)

    def accept_proposals(self, proposals: Proposal | Iterable[Proposal], *, category: str) -> Annotations:
        """Save proposals as annotations by hand; they are in the catalog when this returns.

        Parameters
        ----------
        proposals : Proposal or iterable of Proposal
        category : str
            A new one is added.

        Returns
        -------
        Annotations
            One whose mask is an annotation already gives that annotation.

        Raises
        ------
        PromptError
            An empty category.
        ImageChanged
            Another picture came under the name of an image.
        UnknownName
            The image is no longer there, or `forget_proposals` removed the proposal.

        Examples
        --------
        >>> session.segment_everything("coins_1.png", points_per_side=3)
        [...]
        >>> best = session.proposals("monday")[0]
        >>> [found] = session.accept_proposals(best, category="coin")
        >>> found.category, found.source, found.area == best.area
        ('coin', 'hand', True)
        """
        return self._proposals.accept(proposals, category)

    def reject_proposals(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Mark proposals as wrong: they are not offered again.

        Parameters
        ----------
        proposals : Proposal or iterable of Proposal

        Returns
        -------
        int
            Their number.

        Raises
        ------
        UnknownName
            `forget_proposals` removed one of them.

        Examples
        --------
        >>> found = session.segment_everything("coins_1.png", points_per_side=3)
        >>> session.reject_proposals(found) == len(found)
        True
        >>> session.proposals("monday")
        []
        """
        return self._proposals.reject(proposals)

    def unreview_proposals(self, proposals: Proposal | Iterable[Proposal]) -> int:
        """Undo `reject_proposals`: they are offered again.

        Parameters
        ----------
        proposals : Proposal or iterable of Proposal

        Returns
        -------
        int
            Their number.

        Raises
        ------
        UnknownName
            `forget_proposals` removed one of them.

        Examples
        --------
        >>> found = session.segment_everything("coins_1.png", points_per_side=3)[:3]
        >>> session.reject_proposals(found)
        3
        >>> session.unreview_proposals(found)
        3
        """
        return self._proposals.unreview(proposals)

    def group_proposals(self, proposals: Iterable[Proposal], *, alike: float = ALIKE) -> list[Proposals]:
        """Groups of proposals that look alike, to be accepted at one stroke; the largest group first.

        Parameters
        ----------
        proposals : iterable of Proposal
            Of one image or of several.
        alike : float
            -1 to 1: mean cosine of two groups' features from which they are one.

        Returns
        -------
        list of Proposals
            Each proposal is in one group.

        Raises
        ------
        PromptError
            `alike` is not from -1 to 1.
        ImageError
            An image is no longer encoded, and its file is gone, cannot be read or has other pixels now.

        Examples
        --------
        >>> found = session.segment_everything("coins_1.png", points_per_side=3)
        >>> groups = session.group_proposals(found, alike=0.9)
        >>> len(groups[0]) >= len(groups[-1]), sum(len(group) for group in groups) == len(found)
        (True, True)
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

        Parameters
        ----------
        dataset : str, optional
            None: of all images.
        images : iterable, optional
            Only of these.
        query : Query, optional
            Only of this one.

        Returns
        -------
        int
            Number of removed searches: one for each picture and query.

        Raises
        ------
        UnknownName
            No such dataset or image.
        UnknownOption
            Both `dataset` and `images`.

        Examples
        --------
        >>> found = session.segment_everything("coins_1.png", points_per_side=3)
        >>> session.forget_proposals(images=["coins_1.png"])
        1
        >>> session.proposals()
        []
        """
        return self._proposals.forget(query, dataset, images)
