"""`ProposalTool`: takes objects that a search has found: all of an image, or those like one. In image pixels."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...cards import count_text
from ...errors import SamnbError
from ...masks import Polygon
from ..common import style
from ..common.background import LatestOnlyWorker
from ..common.error_line import show_errors
from .gestures import Click, DoubleClick, Hover, HoverEnd, Scroll, Sweep
from .offers import SHARED, Offer, Offers, distinct
from .rendering import AnnotatorPart
from .shapes import Shape

if TYPE_CHECKING:
    from ...jobs import Job
    from ...proposals import Proposal, Query
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .editor import Editor
    from .gestures import Gesture
    from .layout import AnnotatorLayout
    from .tool_settings import ToolSettings

_TWICE_S, _NEAR = 0.4, 8.0  # seconds and CSS pixels between the two clicks of a double click
_NOTCH = 60.0  # CSS pixels of a wheel that are one step from part to whole


Found = tuple[Offers, dict[int, list[Offer]]]
"""What is offered, and what looks alike by the id of each proposal; empty where one click takes one."""


@dataclass(eq=False)
class ProposalTool(AnnotatorPart):
    """Shows proposals while it is the tool, and takes or rejects them.

    What is taken is an annotation by hand; it and everything else that shows an annotated object is not offered.
    """

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    actions: AnnotationActions
    settings: ToolSettings
    layout: AnnotatorLayout
    worker: LatestOnlyWorker = field(default_factory=LatestOnlyWorker)
    grouped: bool = False
    """Whether the pointer means all that look like what is under it."""

    _offers: Offers = field(default_factory=Offers)
    _groups: Mapping[int, list[Offer]] = field(default_factory=dict)
    _taken: tuple[float, float, float] = (-1e9, 0.0, 0.0)
    _image: ImageRecord | None = None
    _query: Query | None = None
    _shown_query: Query | None = None
    _job: Job | None = None
    _pointer: tuple[float, float] | None = None
    _level: int | None = None
    _turned: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it is the tool."""
        return self.settings.tool == "proposals"

    @property
    def offered(self) -> list[Proposal]:
        """What is offered on the image shown, the best first."""
        return [offer.proposal for offer in self._offers]

    # -- on and off ------------------------------------------------------------------------------------

    @show_errors("Nothing was searched")
    def toggle_proposals(self) -> None:
        """Offer everything on the image; a second time: back to points and boxes."""
        if self.is_on and self._query is None:
            self.settings.tool = "prompt"
        else:
            self._query = None
            self.settings.tool = "proposals"

    @show_errors("Nothing was searched")
    def find_like_selected(self) -> None:
        """Offer all that is like the selected annotation, or like the draft's mask."""
        selected, prediction = self.annotations.get(self.annotations.selected), self.editor.prediction
        if selected is not None:
            self._query = self.session.like(selected)
            # Else the digit that chooses the category of what is taken next would relabel the example.
            self.annotations.selected = None
            self.renderer.draw_annotations()
        elif prediction is not None and self.editor.is_ready:
            chosen = self.editor.chosen
            self._query = self.session.like(
                prediction.but(masks=prediction.mask_of(chosen)[None], scores=prediction.scores[chosen : chosen + 1])
            )
        else:
            self.layout.say("like what? Click an object, or select an annotation")
            return
        self.settings.tool = "proposals"

    @show_errors("Nothing was searched")
    def offer(self, query: Query) -> None:
        """Offer what a query finds, on this image and the next ones: ``annotator.offer(session.phrase("coin"))``."""
        self._query = query
        self.settings.tool = "proposals"

    def changed(self) -> None:
        """The tool, the image or its annotations changed: offer what is left."""
        image = self.editor.image
        if not self.is_on or image is None:
            if self._image is not None:
                self._show(None, Offers())
            return
        again = self._image is not None and image.id == self._image.id and self._query is self._shown_query
        if not again:
            self._show(image, Offers())
            self._shown_query = self._query
            self.layout.say(f"searching {image.filename} …")
            if self._job is not None:
                self._job.cancel()  # else the search of this image would wait for it
        taken = partial(self._take, image, self._query, again)
        self.worker.submit(partial(self._searched, image, self._query), taken)

    def annotations_changed(self) -> None:
        """Annotations of the image shown, or the image, changed."""
        if self.is_on:
            self.changed()

    def _searched(self, image: ImageRecord, query: Query | None) -> Found:
        """On the worker: what is kept, or what a search finds now; without what was made already."""
        known = {offer.proposal.id: offer for offer in self._offers}
        found = self._kept(image, query)
        if found is None:
            query = query or self.session.everything()
            self._job = self.session.propose(query, images=[image], show=False)
            self._job.wait()
            for event in self._job.events:
                if event.status == "failed":
                    raise SamnbError(event["error"])
            found = self._kept(image, query)
        outline = self.renderer.outlines
        offers = Offers(known.get(one.id) or Offer.of(one, outline) for one in found or ())
        return offers, self._grouped(offers) if self.grouped else {}

    def _grouped(self, offers: Offers) -> dict[int, list[Offer]]:
        """On the worker, since it takes seconds on large pictures: what looks alike, by the id of each proposal."""
        by_id = {each.proposal.id: each for each in offers}
        groups = self.session.group_proposals([each.proposal for each in offers])
        members = [[by_id[one.id] for one in group] for group in groups]
        return {one.proposal.id: group for group in members for one in group}

    def _kept(self, image: ImageRecord, query: Query | None) -> Sequence[Proposal] | None:
        """What is offered of the last search of this kind; None: there was none yet."""
        narrow: dict[str, Any] = {"kind": "everything"} if query is None else {"query": query}
        every = self.session.proposals(images=[image], annotated=True, rejected=True, **narrow)
        if not every:
            return None
        last = max(every, key=lambda one: one.id).search
        return [one for one in self.session.proposals(images=[image], **narrow) if one.search == last]

    def _take(
        self, image: ImageRecord, query: Query | None, quiet: bool, found: Found | None, error: Exception | None
    ) -> None:
        if error is not None:
            self.show_error("Nothing was searched", error)
            return
        with self.editor.lock:
            shown = self.editor.image
            if found is not None and self.is_on and shown is not None and shown.id == image.id and query is self._query:
                offers, groups = found
                self._show(image, offers, groups)
                if quiet:
                    return
                what = "" if query is None else " like this one" if query.kind == "like" else f" by {query.kind}"
                self.layout.tell(f"{count_text(len(offers), 'object')}{what} offered: click or drag takes")

    def _show(self, image: ImageRecord | None, offers: Offers, groups: Mapping[int, list[Offer]] | None = None) -> None:
        self._image, self._offers = image, offers
        self._groups = self._groups if groups is None else groups
        self._level, self._turned = None, 0.0
        self.layout.stage.show_proposals([Shape(offer.outlines, style.PROPOSAL) for offer in offers])
        self._lift(self._meant())

    # -- the pointer -----------------------------------------------------------------------------------

    def handle(self, gesture: Gesture) -> bool:
        """A click or a drag takes what is offered there, a shift-click rejects it."""
        match gesture:
            case Click():
                (self.reject_at if gesture.background else self.take_at)(gesture.x, gesture.y)
            case DoubleClick():
                pass  # its two clicks took what they took
            case Hover():
                self.point_at(gesture.x, gesture.y)
            case HoverEnd():
                self.point_away()
            case Sweep():
                self.sweep(gesture.points, gesture.done)
            case Scroll():
                self.scroll(gesture.delta)
            case _:
                return False
        return True

    @show_errors("No preview")
    def point_at(self, x: float, y: float) -> None:
        """Lift out what a click here would take."""
        before = self._meant()
        under = self._offers.at(*self._pointer) if self._pointer else []
        self._pointer = (x, y)
        if [id(each) for each in self._offers.at(x, y)] != [id(each) for each in under]:
            self._level = None
        if self._meant() != before:
            self._lift(self._meant())

    def point_away(self) -> None:
        """The pointer left the picture."""
        self._pointer, self._level = None, None
        self._lift([])

    @show_errors("No other object here")
    def scroll(self, delta: float) -> None:
        """From part to whole (up) or back, through what lies under the pointer; CSS pixels of the wheel."""
        self._turned += delta
        steps = int(self._turned / _NOTCH)
        if not steps or self._pointer is None:
            return
        self._turned -= steps * _NOTCH
        under = self._offers.at(*self._pointer)
        if len(under) > 1:
            now = self._level if self._level is not None else under.index(self._best(under))
            self._level = min(max(now - steps, 0), len(under) - 1)
            self._lift(self._meant())
            offer = under[self._level]
            self.layout.say(f"{self._level + 1} of {len(under)} here · score {offer.proposal.score:.2f}")

    @show_errors("Nothing was taken")
    def take_at(self, x: float, y: float) -> None:
        """Take what is under the pointer, as an annotation of the chosen category."""
        self.point_at(x, y)
        meant, (moment, *place) = self._meant(), self._taken
        now, near = time.monotonic(), _NEAR / self.layout.stage.view.scale
        if now - moment < _TWICE_S and max(abs(x - place[0]), abs(y - place[1])) <= near:
            return  # the second click of a double click: it would take what lay under the first one's
        if meant:
            self._taken = now, x, y
            self._take_all(meant)
        else:
            self.layout.say("no object is offered here")

    @show_errors("Nothing was taken")
    def sweep(self, way: Sequence[tuple[float, float]], done: bool) -> None:
        """Take all that a drag touches."""
        touched = self._offers.touched(way)
        self._lift(touched)
        if done:
            self._pointer = None
            if touched:
                self._take_all(touched)
            else:
                self.layout.say("no object is offered along this way")

    @show_errors("Nothing was rejected")
    def reject_at(self, x: float, y: float) -> None:
        """What is under the pointer is not offered again."""
        self.point_at(x, y)
        meant = self._meant()
        if meant:
            ids = {offer.proposal.id for offer in meant}
            self.actions.reject([offer.proposal for offer in meant])
            self._show(self._image, self._offers.without(ids))
            self.layout.say(f"{len(ids)} not offered again · {len(self._offers)} left · Z undoes it")
        else:
            self.layout.say("no object is offered here")

    @show_errors("The groups were not made")
    def toggle_groups(self) -> None:
        """Whether the pointer means one object, or all that look like it."""
        self.grouped = not self.grouped
        if not self.is_on:
            self._query = None
            self.settings.tool = "proposals"
        self.changed()
        self._lift(self._meant())
        self.layout.say("one click takes all that look alike" if self.grouped else "one click takes one object")

    def _take_all(self, offers: Sequence[Offer]) -> None:
        ids = {offer.proposal.id for offer in offers}
        self.actions.take([offer.proposal for offer in offers])
        # What shows the same objects goes as well; read again below, since two offers may be nearly one.
        self._show(self._image, self._offers.without(ids))
        self.changed()

    def _meant(self) -> list[Offer]:
        if self._pointer is None:
            return []
        under = self._offers.at(*self._pointer)
        if not under:
            return []
        level = self._level
        one = under[level] if level is not None and level < len(under) else self._best(under)
        return self._group_of(one) if self.grouped else [one]

    def _group_of(self, offer: Offer) -> list[Offer]:
        left = set(self._offers)
        alike = [one for one in self._groups.get(offer.proposal.id, ()) if one in left]
        return [offer, *(one for one in distinct(alike) if one is not offer and offer.shares(one) < SHARED)]

    @staticmethod
    def _best(offers: Iterable[Offer]) -> Offer:
        return max(offers, key=lambda offer: offer.proposal.score)

    def _lift(self, offers: Sequence[Offer]) -> None:
        polygons: tuple[Polygon, ...] = tuple(polygon for offer in offers for polygon in offer.outlines)
        self.layout.stage.show_hover(Shape(polygons, style.ACCENT) if polygons else None)
