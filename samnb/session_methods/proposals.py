"""The methods of `samnb.session.Session` about proposals: everything, by example, by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..encoding.regions import Region
from ..jobs import Event, Job
from ..progress import run_shown
from ..proposals import Everything, InRegion, Like, Phrase, Proposals, Query
from ..proposals.run import tell_failures
from ..proposals.service import Shown
from ..records import ImageRef
from ..templates import Template
from ..templates.phrase_examples import ExampleBoxes
from .parts import SessionParts, shown


class ProposalMethods(SessionParts):
    """Searches for masks that a person accepts or rejects afterwards."""

    def segment_everything(self, image: ImageRef, **parameters: Any) -> Proposals:
        """All masks that a grid of clicks finds on one image, the best first: proposals, kept in the catalog.

        Asked again with the same parameters, they are read from the catalog. The image is encoded only if it never was.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        **parameters
            Those of segment-anything's ``SamAutomaticMaskGenerator``, see `samnb.proposals.Everything`:
            points_per_side, pred_iou_thresh, stability_score_thresh, crop_n_layers, min_mask_region_area, …

        Returns
        -------
        Proposals
            The highest IoU estimate of the model first; also those of objects that are annotated.

        Raises
        ------
        UnknownName
            No such image.
        UnknownOption, PromptError
            No such parameter, a value out of its range.
        ImageError
            The image is not encoded, and its file is gone, cannot be read or has other pixels now.

        Examples
        --------
        >>> found = session.segment_everything("coins_1.png", points_per_side=3)
        >>> len(found) > 3, found[0].score >= found[-1].score, found[0].mask.shape
        (True, True, (202, 243))
        """
        return self._proposals.on_image(self.everything(**parameters), image)

    def everything(self, **parameters: Any) -> Everything:
        """The query of `segment_everything`, for `propose`: with the defaults that suit the session's model.

        Parameters
        ----------
        **parameters
            As in `segment_everything`.

        Returns
        -------
        Everything

        Raises
        ------
        UnknownOption, PromptError
            No such parameter, a value out of its range.

        Examples
        --------
        >>> query = session.everything(points_per_side=3)
        >>> query.kind, query.points_per_side
        ('everything', 3)
        """
        return Everything.of(self.model, **parameters)

    def segment_everything_stream(
        self, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None, **parameters: Any
    ) -> Iterator[Event]:
        """`segment_everything` on many images, in this thread: an iterator of events. A second call goes on.

        Parameters
        ----------
        dataset, images
            As in `propose`.
        **parameters
            As in `segment_everything`.

        Yields
        ------
        Event
            One for each image, with the number of its "masks"; one that cannot be searched has the status "failed". The
            last one has the status "done".

        Raises
        ------
        UnknownName
            No such dataset or image.
        UnknownOption, PromptError
            Both `dataset` and `images`; no such parameter, a value out of its range.

        Examples
        --------
        >>> [event.status for event in session.segment_everything_stream(images=["coins_1.png"], points_per_side=3)]
        ['computed', 'done']
        """
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

        Images that cannot be searched are told in a warning of the log.

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
            Only the tiles of this part of a large image, in whole image pixels; `samnb.proposals.InRegion` does it for
            any query.
        show : bool
            Show progress (a tqdm bar outside a notebook) if it takes longer than a second.
        **parameters
            See `samnb.templates.DEFAULT_PARAMETERS`.

        Returns
        -------
        Proposals
            Without those of objects that are annotated, and those that were rejected.

        Raises
        ------
        PromptError
            No example, an empty mask, a prediction that was not made by a session.
        UnknownName
            No such dataset or image, or an example's image is no longer there; an unknown strategy; no such model.
        UnknownOption, TemplateError
            Both `dataset` and `images`; no such parameter, a value out of its range.
        CheckpointError
            The weights of the model of `features` are not here.
        ImageChanged
            Another picture came under the name of an example's image.
        ImageError
            An example's image is not encoded, and its file is gone or cannot be read.
        KeyboardInterrupt
            After the current image is finished; the same call goes on from there.

        Examples
        --------
        >>> found = session.find_like(coin, images=["coins_1.png"], max_objects=5, show=False)
        >>> len(found) > 1, found[0].kind
        (True, 'like')
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
        """The query of `find_like`, for `propose` and `propose_stream`.

        Parameters
        ----------
        example, strategy, features, **parameters
            As in `find_like`.

        Returns
        -------
        Like

        Raises
        ------
        PromptError, UnknownName, UnknownOption, TemplateError, CheckpointError, ImageChanged, ImageError
            As in `find_like`.

        Examples
        --------
        >>> query = session.like(coin, max_objects=3)
        >>> job = session.propose(query, images=["coins_1.png"], show=False)
        >>> job.wait().details["computed"], len(session.proposals(query=query)) <= 3
        (1, True)
        """
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

        Images that cannot be searched are told in a warning of the log.

        Parameters
        ----------
        phrase : str, optional
            For a model that knows words. None: `examples` alone.
        dataset : str, optional
            None: all images.
        examples, images, show, **parameters
            As of `template`, and of `find_like`.

        Returns
        -------
        Proposals
            Without those of objects that are annotated, and those that were rejected.

        Raises
        ------
        ModelError
            The session's model knows no words; the message names models that do.
        PromptError
            Neither a phrase nor examples; a box that is none, or lies outside its image.
        TemplateError
            An empty phrase, no examples in `examples`, a value out of its range.
        UnknownName
            No such dataset or image.
        UnknownOption
            Both `dataset` and `images`; no such parameter.
        ImageError
            An image of `examples` is not encoded, and its file is gone, cannot be read or has other pixels now.
        KeyboardInterrupt
            After the current image is finished; the same call goes on from there.

        Examples
        --------
        >>> session.find("yellow taxi", show=False)  # with the model "sam3" it finds taxis
        Traceback (most recent call last):
        ...
        samnb.errors.ModelError: tiny knows no words. Open the session with a model that does: 'sam3'; ...
        """
        return self._found(self.phrase(phrase, examples=examples, **parameters), dataset, images, show)

    def phrase(self, phrase: str | None = None, *, examples: ExampleBoxes | None = None, **parameters: float) -> Phrase:
        """The query of `find`, for `propose` and `propose_stream`.

        Parameters
        ----------
        phrase, examples, **parameters
            As in `find`.

        Returns
        -------
        Phrase

        Raises
        ------
        ModelError, PromptError, TemplateError, UnknownName, UnknownOption, ImageError
            As in `find`.

        Examples
        --------
        >>> session.phrase("yellow taxi")  # with the model "sam3": session.propose(session.phrase("yellow taxi"))
        Traceback (most recent call last):
        ...
        samnb.errors.ModelError: tiny knows no words. Open the session with a model that does: 'sam3'; ...
        """
        return self._proposals.phrase(phrase, examples, parameters)

    def save_like(self, like: Like, name: str, *, category: str) -> Template:
        """Save a query as a template: its examples, its accepted proposals, and its rejected ones as background.

        Parameters
        ----------
        like : Like
            Made by `like`.
        name : str
            Of the template, without "@".
        category : str
            That its objects get.

        Returns
        -------
        Template
            With its version: a name that is taken gets the next one.

        Raises
        ------
        TemplateError, PromptError
            A name that is empty or has an "@", an empty category.
        ImageError
            An image of a proposal that was accepted or rejected is no longer encoded, and its file is gone, cannot be
            read or has other pixels now.

        Examples
        --------
        >>> session.save_like(session.like(coin), "coins", category="coin")
        <Template coins v1: match_all, examples: 1 coin>
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

        Returns
        -------
        Job
            Its last event has the numbers of "computed", "skipped" and "failed" images, and of "masks".

        Raises
        ------
        UnknownName
            No such dataset or image.
        UnknownOption
            Both `dataset` and `images`.

        Examples
        --------
        >>> query = session.everything(points_per_side=3)
        >>> done = session.propose(query, images=["coins_1.png"], show=False).wait()
        >>> done.details["computed"], len(session.proposals(query=query)) > 3
        (1, True)
        """
        return shown(self._proposals.propose(query, dataset, images), show)

    def propose_stream(
        self, query: Query, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> Iterator[Event]:
        """The same as `propose`, in this thread: an iterator of its events.

        Parameters
        ----------
        query, dataset, images
            As in `propose`.

        Yields
        ------
        Event
            One for each image, with the number of its "masks"; one that cannot be searched has the status "failed". The
            last one has the status "done".

        Raises
        ------
        UnknownName, UnknownOption
            As in `propose`.

        Examples
        --------
        >>> events = list(session.propose_stream(session.everything(points_per_side=3), images=["coins_1.png"]))
        >>> events[0].filename, events[0].details["masks"] > 3, events[-1].status
        ('coins_1.png', True, 'done')
        """
        return self._proposals.stream(query, dataset, images)

    def _found(self, query: Query, dataset: str | None, images: Iterable[ImageRef] | None, show: bool) -> Proposals:
        images = None if images is None else list(images)  # read twice
        job = self._proposals.propose(query, dataset, images, start=False)
        run_shown(job, show=show)
        tell_failures(job)
        found = self._proposals.find(query=query, dataset=dataset, images=images)
        return Proposals(sorted(found, key=lambda one: -one.score))
