"""The object in hand: its prompts, the mask the model gives for them, and which candidate is chosen. No widgets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..errors import SamnbError, UnknownName
from ..prompts import Prediction, Prompt
from .drafts import Draft
from .worker import LatestOnly

if TYPE_CHECKING:
    from ..catalog import ImageRecord
    from ..session import Session

__all__ = ["Editing"]

_log = logging.getLogger("samnb.widgets")


class Editing:
    """Asks for a mask at each change of the prompt, off the main thread, and tells when it is there.

    Parameters
    ----------
    session : Session
    lock : RLock
        Held while anything here changes: handlers may come on any thread.
    on_change : callable
        After the prompt changed, and again when its prediction is there.
    on_failure : callable
        With the error of a prompt that cannot be decoded, which is already taken back.
    """

    def __init__(
        self,
        session: Session,
        lock: threading.RLock,
        *,
        on_change: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ):
        self._session, self._lock = session, lock
        self._on_change, self._on_failure = on_change, on_failure
        self._worker = LatestOnly()
        self._drafts: dict[str, Draft] = {}
        self._predicted = Prompt()
        self.image: ImageRecord | None = None
        self.shown: Prediction | None = None
        self.chosen = 0
        self.accept_when_ready = False

    @property
    def prompt(self) -> Prompt:
        """The prompt as it stands, empty at the start."""
        return self._draft.prompt if self.image is not None else Prompt()

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of just this prompt; None while there is none. `shown` may still be an earlier one."""
        return self.shown if self.prompt and self._predicted == self.prompt else None

    def open(self, image: ImageRecord) -> None:
        """Another image; what was in hand on it is in hand again."""
        with self._lock:
            self.image, self.shown = image, None
            self._changed()

    def push(self, prompt: Prompt) -> None:
        """One more step.

        Raises
        ------
        PointOutsideImage
            Nothing has changed then.
        """
        with self._lock:
            draft = self._draft
            assert self.image is not None
            prompt.check_inside(self.image.size_hw, self.image.filename)
            draft.push(prompt)
            self._changed()

    def undo(self) -> None:
        """One step back, if there is one."""
        with self._lock:
            if self.image is not None and self._draft.undo():
                self._changed()

    def clear(self) -> None:
        """An empty prompt as the next step."""
        with self._lock:
            if self.prompt:
                self.push(Prompt())

    def reset(self) -> None:
        """Forget the object in hand: it was accepted."""
        with self._lock:
            self._draft.reset()
            self._changed()

    def choose(self, index: int) -> None:
        """Another candidate mask, counted from 0; nothing happens while there is none.

        Raises
        ------
        UnknownName
            No such candidate.
        """
        with self._lock:
            if self.shown is None:
                return
            count = len(self.shown.masks)
            if not 0 <= index < count:
                raise UnknownName("mask", index + 1, [str(i + 1) for i in range(count)])
            self.chosen = int(index)
            self._on_change()

    def wait(self, timeout: float) -> None:
        """Block until nothing is being computed, then tell what came."""
        self._worker.wait(timeout)

    @property
    def _draft(self) -> Draft:
        if self.image is None:
            raise SamnbError('There is no picture to click on. Turn the page, or add some with session.add("photos/").')
        return self._drafts.setdefault(self.image.id, Draft())

    def _changed(self) -> None:
        self.accept_when_ready = False
        image, prompt = self.image, self.prompt
        if image is None or not prompt:
            self.shown = None
        elif self.prediction is None:
            work = partial(self._session.predict, image, prompt=prompt, multimask=True)
            self._worker.submit(work, partial(self._answered, image, prompt))
        self._on_change()

    def _answered(
        self, image: ImageRecord, prompt: Prompt, prediction: Prediction | None, error: Exception | None
    ) -> None:
        with self._lock:
            if self.image is None or image.id != self.image.id or prompt != self.prompt:
                return
            if error is not None:
                _log.warning("no mask for %s on %s", prompt, image.filename, exc_info=error)
                self._draft.undo()
                self._changed()
                self._on_failure(error)
            elif prediction is not None:
                self.shown, self._predicted, self.chosen = prediction, prompt, prediction.best
                self._on_change()
