"""`Editor`: the draft on one image, and the masks the model gives for it. No widgets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache

from ...encoding.regions import Region, RegionMasks, holds, region_around
from ...encoding.tiles import TileGrid
from ...errors import ImageChanged, SamnbError, UnknownName
from ...masks.editing import tidy
from ...masks.geometry import Mask
from ...masks.part import MaskPart
from ...masks.stitching import touches_rim
from ...prompts import Prediction, Prompt
from ..common import style
from ..common.background import LatestOnlyWorker
from ..common.thumbnails import mask_thumbnail
from .draft import Draft, PackedLogits, Request
from .history import Change, EditState, History, Step

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession


_log = logging.getLogger("samnb.widgets")

_THUMBNAILS, HOVER = 1, 2
"""Priorities after the draft's own mask: thumbnails of the candidates, and previews."""

# Bytes of masks kept, so that undo and redo need no model.
_KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class DecodedPrompt:
    """A prediction with cleaned masks, what it was requested with, and a thumbnail of each mask."""

    prediction: Prediction
    request: Request
    thumbnails: tuple[bytes, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of its masks; at most the total limit, so that the last one is always kept."""
        return min(sum(self.prediction.part_of(n)[1].nbytes for n in range(len(self.prediction.scores))), _KEPT_BYTES)


class Editor:
    """Requests a mask at each change of the draft, on a worker thread, and calls back when it is there.

    It has two workers, so that a click on a cached image never waits for the encoding of another image.

    Parameters
    ----------
    session : AnnotatorSession
    edit_state : EditState
        Holds the drafts, and the lock that is held while anything changes here.
    on_change : callable
        Called after the draft changed, and again when its prediction is there.
    on_thumbnails : callable
        Called when the thumbnails of the candidates are there.
    on_failure : callable
        Called with the error of a prompt that cannot be decoded; its step is already undone.
    say : callable
        Called with a text for the user.

    Attributes
    ----------
    detail : callable
        Returns (x0, y0, x1, y1), the part of the image to show to the model alone, or None for all of it.
    accept_when_ready : bool
        True while an accepted mask, of category `accept_as`, is still computed.
    renewing : frozenset of str
        The ids of images that get another view at the moment: their pixels may change before their records here do.
    last_accepted : Annotation or None
        What was accepted last, on any image.
    """

    def __init__(
        self,
        session: AnnotatorSession,
        edit_state: EditState,
        *,
        on_change: Callable[[], None],
        on_thumbnails: Callable[[], None],
        on_failure: Callable[[Exception], None],
        say: Callable[[str], None],
    ):
        self._session, self._edit_state, self.lock = session, edit_state, edit_state.lock
        self._on_change, self._on_thumbnails, self._on_failure = on_change, on_thumbnails, on_failure
        self._say = say
        self.worker, self._encoding_worker = LatestOnlyWorker(), LatestOnlyWorker()
        self._kept: LRUCache[Any, DecodedPrompt] = LRUCache(_KEPT_BYTES, getsizeof=lambda decoded: decoded.nbytes)
        self.image: ImageRecord | None = None
        self.is_large = False
        self.decoded: DecodedPrompt | None = None
        self.accept_when_ready, self.accept_as = False, ""
        self._choices: list[Callable[[int, int], int]] = []  # made while the masks are computed
        self.notifying = False
        self.renewing: frozenset[str] = frozenset()
        self.last_accepted: Annotation | None = None
        self.detail: Callable[[], Sequence[float] | None] = lambda: None

    # -- state -------------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The steps on this image. Raises `SamnbError` while there is none."""
        if self.image is None:
            raise SamnbError('There is no picture to click on. Turn the page, or add some with session.add("photos/").')
        return self._history_of(self.image)

    def _history_of(self, image: ImageRecord) -> History:
        return self._edit_state.history(image.id, image.pixel_hash)

    @property
    def draft(self) -> Draft:
        """The draft on this image, empty at the start."""
        return self.history.draft if self.image is not None else Draft()

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of exactly this draft; None while there is none. `decoded` may still be an earlier one."""
        draft, decoded = self.draft, self.decoded
        return decoded.prediction if decoded and draft.needs_model and decoded.request == draft.request else None

    @property
    def chosen(self) -> int:
        """The chosen candidate, counted from 0."""
        if self.decoded is None:
            return 0
        taken, prediction = self.draft.chosen, self.decoded.prediction
        if taken is not None and self.prediction is not None and taken < len(prediction.scores):
            return taken
        return prediction.best_for(self.draft.prompt)

    @property
    def is_ready(self) -> bool:
        """True if `mask` is the mask of this draft, and not of an earlier one."""
        draft = self.draft
        return bool(draft) and (not draft.needs_model or self.prediction is not None)

    @property
    def mask(self) -> Mask | None:
        """(H, W) bool: the draft's mask, that of an earlier prompt while the new one is computed.

        None on a large image: see `part`.
        """
        draft, image = self.draft, self.image
        if (
            self.is_large
            or image is None
            or not draft
            or (draft.needs_model and self.decoded is None and draft.added is None)
        ):
            return None
        base = self.decoded.prediction.masks[self.chosen] if self.decoded is not None and draft.needs_model else None
        return draft.composed(base, image.size_hw)

    @property
    def part(self) -> MaskPart | None:
        """The draft's mask inside its box, on an image of any size."""
        if not self.is_large:
            return None if (mask := self.mask) is None else MaskPart.of(mask)
        draft, image = self.draft, self.image
        if draft.drawn is not None:
            return draft.drawn.part
        if image is None or not draft or self.decoded is None:
            return None
        corner, mask = self.decoded.prediction.part_of(self.chosen)
        return MaskPart.of(mask, corner, image.size_hw)

    def accept_is_pending(self) -> bool:
        """True, with a message to the user, while an accepted mask is still computed: it must not get lost."""
        if self.accept_when_ready:
            self._say("one moment: the mask you accepted is still computed (Esc lets it go)")
        return self.accept_when_ready

    def is_renewing(self) -> bool:
        """True, with a message to the user, while the image shown gets another view: nothing is accepted meanwhile."""
        found = self.image is not None and self.image.id in self.renewing
        if found:
            self._say("one moment: another view is read; accept when it is shown")
        return found

    # -- changes of the draft ----------------------------------------------------------------------

    def open(self, image: ImageRecord) -> None:
        """Edit another image; its draft is as it was left."""
        with self.lock:
            self.image, self.decoded = image, None
            self.is_large = self._session.large_picture(image) is not None
            self.worker.cancel(priority=HOVER)
            self.changed()

    def renew(self, before: Iterable[ImageRecord], after: Iterable[ImageRecord]) -> None:
        """Keep drafts and steps of images that are shown by another view: these have other pixels, the same objects."""
        hashes = {image.id: image.pixel_hash for image in after}
        for image in before:
            if image.id in hashes:
                self._edit_state.renew(image.id, image.pixel_hash, hashes[image.id])

    def do(self, what: str, draft: Draft, changes: Iterable[Change] = ()) -> None:
        """Make another draft the current one, as a step called `what`.

        Raises
        ------
        PointOutsideImage
            Nothing has changed then.
        """
        with self.lock:
            history = self.history
            assert self.image is not None
            draft.prompt.check_inside(self.image.size_hw, self.image.filename)
            # Without prompt and paint the draft is empty: it no longer edits an annotation either.
            history.do(what, draft if draft else Draft(), changes)
            self.changed(notify=True)

    def push(self, what: str, prompt: Prompt, *, refine: bool = False) -> None:
        """Give the draft another prompt; with `refine` the model gets back the mask that is shown."""
        with self.lock:
            self.do(what, self.with_prompt(prompt, refine=refine))

    def with_prompt(self, prompt: Prompt, *, refine: bool = False) -> Draft:
        """The draft with another prompt, as `push` makes it."""
        region = self._region_for(prompt)
        shown = self.draft.region if self.prediction is None or not self.is_large else self.prediction.region
        hint = self._hint() if refine and region == shown else None
        return self.draft.with_prompt(prompt, hint=hint, region=region)

    def _region_for(self, prompt: Prompt) -> Region | None:
        """The part of the image for the model: the draft's region while it holds the prompt, so that clicks refine."""
        if self.is_large:
            return self._tile_for(prompt)
        box, now = self.detail(), self.draft.region
        if box is None or self.image is None or not prompt:
            return None
        if now is not None and holds(now, prompt):
            return now
        region = region_around(box, self.image.size_hw)
        return region if region is not None and holds(region, prompt) else None

    def _tile_for(self, prompt: Prompt) -> Region | None:
        """The tile of the mask that is shown, while it holds the prompt and cuts nothing off; None: the nearest one."""
        prediction, part = self.prediction, self.part
        if prediction is None or prediction.region is None or part is None:
            return None
        tile = prediction.region
        return tile if holds(tile, prompt) and not touches_rim(part, tile) else None

    def _hint(self) -> PackedLogits | None:
        """The logits of the mask that is shown; of the one before, while the next is computed."""
        prediction = self.prediction
        return self.draft.hint if prediction is None else PackedLogits.of(prediction.low_res_logits[self.chosen])

    def move(self, *, back: bool) -> Step | None:
        """Undo one step, or redo it; None when there is none."""
        with self.lock:
            if self.image is None:
                return None
            step = self.history.undo() if back else self.history.redo()
            if step is not None:
                self.changed(notify=True)
            return step

    def take_back(self, what: str) -> None:
        """Undo the last step for good, if it is called that: it was not meant."""
        with self.lock:
            last = self.history.last
            if last is not None and last.what == what:
                self.history.take_back()
                self.changed(notify=True)

    def choose(self, index: int) -> None:
        """Take another candidate mask, counted from 0; while the masks are computed, as soon as they are there.

        Raises
        ------
        UnknownName
            No such candidate.
        """
        self._choose(lambda now, count: int(index))

    def choose_step(self, by: int) -> None:
        """Take the candidate mask `by` places further, cyclically; as `choose`, as soon as the masks are there."""
        self._choose(lambda now, count: (now + by) % count)

    def _choose(self, pick: Callable[[int, int], int]) -> None:
        """Take candidate `pick(chosen now, how many)`. A key that comes before the masks is not lost."""
        with self.lock:
            if self.prediction is not None:
                self._amend_chosen(pick)
                self._notify()
            elif self.draft.needs_model and not self.accept_is_pending():
                self._choices.append(pick)

    def _amend_chosen(self, pick: Callable[[int, int], int]) -> None:
        assert self.prediction is not None
        count = len(self.prediction.scores)
        index = pick(self.chosen, count)
        if not 0 <= index < count:
            raise UnknownName("mask", index + 1, [str(i + 1) for i in range(count)])
        self.history.amend(replace(self.draft, chosen=index))

    @property
    def busy(self) -> bool:
        """True while a mask is computed or waits to be shown."""
        workers = (self.worker, self._encoding_worker)
        return any(worker.busy or worker.pending for worker in workers)

    def wait(self, timeout: float) -> None:
        """Block until nothing is computed, then show what came."""
        while self.busy:
            self._encoding_worker.wait(timeout)
            self.worker.wait(timeout)

    # -- the model ---------------------------------------------------------------------------------

    def changed(self, *, notify: bool = False) -> None:
        """Request the draft's mask unless it is known, and call back; `notify`: the other annotators too."""
        self.accept_when_ready, self._choices = False, []
        image, draft = self.image, self.draft
        if image is None or not draft.needs_model:
            self.decoded = None
        elif self.prediction is None:
            known = self._kept.get(_key(image, draft.request))
            if known is not None:
                self.decoded = known
            else:
                worker = self.worker if self.is_encoded(image, draft) else self._encoding_worker
                worker.submit(partial(self._decode, image, draft), partial(self._take, image, draft))
        if notify:
            self._notify()
        else:
            self._on_change()

    def predict(self, image: ImageRecord, draft: Draft) -> Prediction:
        """The model's prediction for a draft, with cleaned masks; called on any thread."""
        hint = None if draft.hint is None else draft.hint.array
        prediction = self._session.predict(image, prompt=draft.prompt, mask_input=hint, region=draft.region)
        if self.is_large:
            return tidied_on_tile(prediction, draft.prompt)
        return replace(prediction, masks=np.stack([tidy(mask, draft.prompt) for mask in prediction.masks]))

    def is_encoded(self, image: ImageRecord, draft: Draft) -> bool:
        """True when the draft's mask needs no encoding; on a large image, where it is on the nearest tile."""
        region = draft.region
        if region is None and self.is_large:
            region = TileGrid(image.size_hw).for_prompt(draft.prompt)
        return self._session.is_cached(image, region=region)

    def _decode(self, image: ImageRecord, draft: Draft) -> DecodedPrompt:
        return DecodedPrompt(self.predict(image, draft), draft.request)

    def _take(self, image: ImageRecord, draft: Draft, decoded: DecodedPrompt | None, error: Exception | None) -> None:
        with self.lock:
            if decoded is not None:
                self._history_of(image).answered.add(hash(draft.request))
                self._kept[_key(image, decoded.request)] = decoded
            if self.image is None or image.id != self.image.id or draft.request != self.draft.request:
                return
            renewing = isinstance(error, ImageChanged) and image.id in self.renewing
            if renewing or image.pixel_hash != self.image.pixel_hash:
                return  # of the view before; it is asked again with the pixels that are shown then
            if not self.draft.needs_model:
                return
            if error is not None:
                self._take_failure(image, draft, error)
            elif decoded is not None:
                self.decoded = decoded
                self._on_change_with(self._choices)
                if not decoded.thumbnails:  # after the mask is on its way to the page
                    work = partial(self._with_thumbnails, image, decoded)
                    self.worker.submit(work, partial(self._take_thumbnails, image), priority=_THUMBNAILS)

    def _on_change_with(self, choices: Sequence[Callable[[int, int], int]]) -> None:
        """Call back that the masks are there, after the choices that were made before."""
        self._choices, wrong = [], ""
        try:
            for pick in choices:
                self._amend_chosen(pick)
        except UnknownName as error:  # the key of a candidate that this prompt does not have
            self.accept_when_ready, wrong = False, str(error)
        if choices:
            self._notify()
        else:
            self._on_change()
        if wrong:
            self._say(wrong)

    def _take_failure(self, image: ImageRecord, draft: Draft, error: Exception) -> None:
        _log.warning("no mask for %s on %s", draft.prompt, image.filename, exc_info=error)
        self.accept_when_ready = False
        last = self.history.last
        # A prompt that never had a mask is removed; one that had a mask is work, and stays for another try.
        if last is not None and not last.changes and hash(draft.request) not in self.history.answered:
            self.history.take_back()
            self.changed(notify=True)
        else:
            self._on_change()
        self._on_failure(error)

    def _with_thumbnails(self, image: ImageRecord, decoded: DecodedPrompt) -> DecodedPrompt:
        prediction = decoded.prediction
        masks: Sequence[Mask] = [prediction.part_of(number)[1] for number in range(len(prediction.scores))]
        if self.is_large and prediction.region is not None:
            pixels = self._session.region_pixels(image, prediction.region)
        else:
            pixels = self._session.pixels(image)
        return replace(decoded, thumbnails=tuple(mask_thumbnail(pixels, mask, style.ACCENT) for mask in masks))

    def _take_thumbnails(self, image: ImageRecord, decoded: DecodedPrompt | None, error: Exception | None) -> None:
        if error is not None or decoded is None:
            _log.warning("no thumbnails of the masks on %s", image.filename, exc_info=error)
            return
        with self.lock:
            self._kept[_key(image, decoded.request)] = decoded
            if self.decoded is not None and self.decoded.prediction is decoded.prediction:
                self.decoded = decoded
                self._on_thumbnails()

    def _notify(self) -> None:
        """Call back here, then let the other annotators of the session draw the draft too."""
        self._on_change()
        if self.image is not None:
            self.notifying = True
            try:
                self._edit_state.changes.emit(self.image.id)
            finally:
                self.notifying = False


def tidied_on_tile(prediction: Prediction, prompt: Prompt) -> Prediction:
    """A prediction on a tile of a large image with cleaned masks, which stay those of the tile."""
    assert prediction.region is not None
    parts = [prediction.part_of(number) for number in range(len(prediction.scores))]
    masks = [tidy(mask, prompt.moved(-corner[0], -corner[1])) for corner, mask in parts]
    size_hw, region = prediction.size_hw, prediction.region
    return prediction.but(masks=RegionMasks(len(masks), size_hw, region, masks.__getitem__))


def _key(image: ImageRecord, request: Request) -> tuple[object, ...]:
    """The key includes the pixels: another picture may get the same name."""
    return image.id, image.pixel_hash, request
