"""The object in hand: its draft, the masks the model gives for it, and which of them is taken. No widgets."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...encoding.regions import Region, holds, region_around
from ...errors import SamnbError, UnknownName
from ...masks.editing import tidy
from ...masks.geometry import Mask
from ...prompts import Prediction, Prompt
from ..common import style
from ..common.background import LatestOnlyWorker
from ..common.thumbnails import mask_thumbnail
from .draft import Draft, PackedLogits, Request
from .history import Change, EditState, History, Step

if TYPE_CHECKING:
    from ...catalog import ImageRecord
    from ...session import Session

__all__ = ["HOVER", "DecodedPrompt", "Editor"]

_log = logging.getLogger("samnb.widgets")

_SMALL, HOVER = 1, 2
"""Lanes behind what the hand does: small pictures of the candidates, and previews."""

# Bytes of masks kept so that going back and forth asks nothing again.
_KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class DecodedPrompt:
    """An answer of the model, tidied, with a small picture of each mask."""

    prediction: Prediction
    request: Request
    thumbnails: tuple[bytes, ...] = ()


class Editor:
    """Request for a mask at each change of the draft, off the main thread, and tells when it is there.

    Two threads: a click on an image that is cached never waits for the encoding of another.

    Parameters
    ----------
    session : Session
    hands : EditState
        Its lock is held while anything here changes: handlers may come on any thread.
    on_change : callable
        After the draft changed, and again when its prediction is there.
    on_pictures : callable
        After the small pictures of the candidates are there.
    on_failure : callable
        With the error of a prompt that cannot be decoded, which is already taken back.

    Attributes
    ----------
    detail : callable
        Gives (x0, y0, x1, y1) on the screen if the model shall be shown that part of the image alone, else None.
    """

    def __init__(
        self,
        session: Session,
        hands: EditState,
        *,
        on_change: Callable[[], None],
        on_pictures: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ):
        self._session, self._edit_state, self._lock = session, hands, hands.lock
        self._on_change, self._on_pictures, self._on_failure = on_change, on_pictures, on_failure
        self.worker, self._encoding = LatestOnlyWorker(), LatestOnlyWorker()
        self._kept: OrderedDict[Any, DecodedPrompt] = OrderedDict()
        self.image: ImageRecord | None = None
        self.seen: DecodedPrompt | None = None
        self.accept_when_ready = False
        self.telling = False
        self.detail: Callable[[], Sequence[float] | None] = lambda: None

    # -- what there is -----------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The steps on this image. Raises `SamnbError` while there is none."""
        if self.image is None:
            raise SamnbError('There is no picture to click on. Turn the page, or add some with session.add("photos/").')
        return self._history_of(self.image)

    def _history_of(self, image: ImageRecord) -> History:
        return self._edit_state.history(image.id, getattr(image, "pixel_hash", ""))

    @property
    def draft(self) -> Draft:
        """What is in hand, empty at the start."""
        return self.history.draft if self.image is not None else Draft()

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of just this draft; None while there is none. `seen` may still be an earlier one."""
        draft = self.draft
        return self.seen.prediction if self.seen and draft.needs_model and self.seen.request == draft.request else None

    @property
    def chosen(self) -> int:
        """Which candidate is taken, counted from 0."""
        if self.seen is None:
            return 0
        taken, prediction = self.draft.chosen, self.seen.prediction
        if taken is not None and self.prediction is not None and taken < len(prediction.masks):
            return taken
        return prediction.best_for(self.draft.prompt)

    @property
    def is_ready(self) -> bool:
        """True when the mask in hand is what the draft says, and not an earlier one."""
        draft = self.draft
        return bool(draft) and (not draft.needs_model or self.prediction is not None)

    @property
    def mask(self) -> Mask | None:
        """(H, W) bool: the mask in hand, that of an earlier prompt while the new one is computed."""
        draft, image = self.draft, self.image
        if image is None or not draft or (draft.needs_model and self.seen is None and draft.added is None):
            return None
        asked = self.seen.prediction.masks[self.chosen] if self.seen is not None and draft.needs_model else None
        return draft.composed(asked, image.size_hw)

    # -- what is done ------------------------------------------------------------------------------

    def open(self, image: ImageRecord) -> None:
        """Another image; what was in hand on it is in hand again."""
        with self._lock:
            self.image, self.seen = image, None
            self.worker.cancel(priority=HOVER)
            self.changed()

    def do(self, what: str, draft: Draft, changes: Iterable[Change] = ()) -> None:
        """One more step.

        Raises
        ------
        PointOutsideImage
            Nothing has changed then.
        """
        with self._lock:
            history = self.history
            assert self.image is not None
            draft.prompt.check_inside(self.image.size_hw, self.image.filename)
            # Without prompt and paint nothing is in hand: also not the annotation that was being edited.
            history.do(what, draft if draft else Draft(), changes)
            self.changed(by_hand=True)

    def push(self, what: str, prompt: Prompt, *, refine: bool = False) -> None:
        """Another prompt for the object in hand; with `refine` the model gets back the mask that is shown."""
        with self._lock:
            self.do(what, self.asked(prompt, refine=refine))

    def asked(self, prompt: Prompt, *, refine: bool = False) -> Draft:
        """The object in hand with another prompt; see `push`."""
        region = self._region_for(prompt)
        hint = self.hint() if refine and region == self.draft.region else None
        return self.draft.with_prompt(prompt, hint=hint, region=region)

    def _region_for(self, prompt: Prompt) -> Region | None:
        """The part of the image to show the model: the one at hand while it holds the prompt, so that clicks refine."""
        box, now = self.detail(), self.draft.region
        if box is None or self.image is None or not prompt:
            return None
        if now is not None and holds(now, prompt):
            return now
        region = region_around(box, self.image.size_hw)
        return region if region is not None and holds(region, prompt) else None

    def hint(self) -> PackedLogits | None:
        """The logits of the mask that is shown; of the one before, while the next is computed."""
        prediction = self.prediction
        return self.draft.hint if prediction is None else PackedLogits.of(prediction.low_res_logits[self.chosen])

    def move(self, *, back: bool) -> Step | None:
        """One step back, or forth again; None when there is none."""
        with self._lock:
            if self.image is None:
                return None
            step = self.history.undo() if back else self.history.redo()
            if step is not None:
                self.changed(by_hand=True)
            return step

    def choose(self, index: int) -> None:
        """Another candidate mask, counted from 0; nothing happens while there is none.

        Raises
        ------
        UnknownName
            No such candidate.
        """
        with self._lock:
            if self.prediction is None:
                return
            count = len(self.prediction.masks)
            if not 0 <= index < count:
                raise UnknownName("mask", index + 1, [str(i + 1) for i in range(count)])
            self.history.amend(replace(self.draft, chosen=int(index)))
            self._tell()

    def wait(self, timeout: float) -> None:
        """Block until nothing is being computed, then tell what came."""
        while self.worker.busy or self._encoding.busy or self.worker.pending or self._encoding.pending:
            self._encoding.wait(timeout)
            self.worker.wait(timeout)

    # -- asking the model --------------------------------------------------------------------------

    def changed(self, *, by_hand: bool = False) -> None:
        """Ask for the draft's mask unless it is known, and tell; `by_hand`: tell the other annotators too."""
        self.accept_when_ready = False
        image, draft = self.image, self.draft
        if image is None or not draft.needs_model:
            self.seen = None
        elif self.prediction is None:
            known = self._kept.get(_key(image, draft.request))
            if known is not None:
                self.seen = known
            else:
                worker = self.worker if self.is_encoded(image, draft) else self._encoding
                worker.submit(partial(self._see, image, draft), partial(self._answered, image, draft))
        if by_hand:
            self._tell()
        else:
            self._on_change()

    def ask(self, image: ImageRecord, draft: Draft) -> Prediction:
        """Ask the model, on whatever thread; masks come back tidied."""
        hint = None if draft.hint is None else draft.hint.array
        options: dict[str, Any] = {} if draft.region is None else {"region": draft.region}
        prediction = self._session.predict(image, prompt=draft.prompt, multimask=True, mask_input=hint, **options)
        return replace(prediction, masks=np.stack([tidy(mask, draft.prompt) for mask in prediction.masks]))

    def is_encoded(self, image: ImageRecord, draft: Draft) -> bool:
        """True when what the draft asks needs no encoding."""
        if draft.region is None:
            return self._session.is_cached(image)
        return self._session.is_cached(image, region=draft.region)

    def _see(self, image: ImageRecord, draft: Draft) -> DecodedPrompt:
        return DecodedPrompt(self.ask(image, draft), draft.request)

    def _picture(self, image: ImageRecord, seen: DecodedPrompt) -> DecodedPrompt:
        pixels, masks = self._session.pixels(image), seen.prediction.masks
        return replace(seen, thumbnails=tuple(mask_thumbnail(pixels, mask, style.ACCENT) for mask in masks))

    def _pictured(self, image: ImageRecord, seen: DecodedPrompt | None, error: Exception | None) -> None:
        if error is not None:
            _log.warning("no small pictures of the masks on %s", image.filename, exc_info=error)
            return
        with self._lock:
            assert seen is not None
            self._keep(image, seen)
            if self.seen is not None and self.seen.prediction is seen.prediction:
                self.seen = seen
                self._on_pictures()

    def _answered(self, image: ImageRecord, draft: Draft, seen: DecodedPrompt | None, error: Exception | None) -> None:
        with self._lock:
            if seen is not None:
                self._history_of(image).answered.add(hash(draft.request))
                self._keep(image, seen)
            if self.image is None or image.id != self.image.id or draft.request != self.draft.request:
                return
            if not self.draft.needs_model:
                return
            if error is not None:
                self._failed(image, draft, error)
            elif seen is not None:
                self.seen = seen
                self._on_change()
                if not seen.thumbnails:  # after the mask is on its way to the page
                    self.worker.submit(
                        partial(self._picture, image, seen), partial(self._pictured, image), priority=_SMALL
                    )

    def _failed(self, image: ImageRecord, draft: Draft, error: Exception) -> None:
        _log.warning("no mask for %s on %s", draft.prompt, image.filename, exc_info=error)
        self.accept_when_ready = False
        last = self.history.last
        # A prompt that never had a mask goes; one that had is work, and stays for another try.
        if last is not None and not last.changes and hash(draft.request) not in self.history.answered:
            self.history.take_back()
            self.changed(by_hand=True)
        else:
            self._on_change()
        self._on_failure(error)

    def _keep(self, image: ImageRecord, seen: DecodedPrompt) -> None:
        self._kept[_key(image, seen.request)] = seen
        while len(self._kept) > 1 and sum(s.prediction.masks.nbytes for s in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)

    def _tell(self) -> None:
        """Show it here, then let the other annotators of the session show it too."""
        self._on_change()
        if self.image is not None:
            self.telling = True
            try:
                self._edit_state.changes.emit(self.image.id)
            finally:
                self.telling = False


def _key(image: ImageRecord, request: Request) -> tuple[object, ...]:
    """The pixels too: another picture may come under the same name."""
    return image.id, getattr(image, "pixel_hash", ""), request
