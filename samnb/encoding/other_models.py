"""`OtherModels`: models of a session beside its own, whose embeddings of the same images are kept in the same store."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence

from ..errors import SamnbError
from ..models import Model, load_model
from .encoder import Encoder
from .tasks import EncodeTask

_log = logging.getLogger("samnb.encoding")


class OtherModels:
    """Encoders of other models, opened once each.

    Parameters
    ----------
    own : Encoder
        Of the session's model; the others share its store, its images and its priorities.
    """

    def __init__(self, own: Encoder):
        self._own, self._lock = own, threading.Lock()
        self._opened: dict[str, Encoder] = {}

    def open(self, name: str, *, checkpoint: str | os.PathLike[str] | None = None) -> Model:
        """Open a model under its name; replaces the one that was opened under it before.

        Raises
        ------
        UnknownName, CheckpointError, PackageMissing
            As `samnb.models.load_model`.
        """
        model = load_model(name, checkpoint=checkpoint, device=self._own.device)
        with self._lock:
            self._opened[name] = _OtherEncoder(model, self._own, checkpoint=str(checkpoint or ""))
        return model

    def encoder(self, name: str) -> Encoder:
        """The encoder of a model, opened if it is not open yet; the session's own under its own name."""
        with self._lock:
            known = self._opened.get(name)
        if known is None and name == self._own.model.name:
            return self._own
        if known is None:
            self.open(name)
            return self.encoder(name)
        return known

    def chosen(
        self, names: Iterable[str] | None, wanted: Callable[[], Iterable[str]]
    ) -> tuple[list[Encoder], dict[str, str]]:
        """The session's own encoder and those of these models, for a prewarm.

        Parameters
        ----------
        names : iterable of str or None
            None: those of `wanted`. Then a model that cannot be opened here is left out, with the reason.

        Returns
        -------
        list of Encoder
            The session's own first, each once.
        dict of str to str
            Why others were left out, by name.
        """
        encoders, left_out = {self._own.model.fingerprint: self._own}, {}
        for name in [names] if isinstance(names, str) else wanted() if names is None else names:
            try:
                encoder = self.encoder(name)
            except SamnbError as error:
                if names is not None:
                    raise
                _log.warning("%s is not prewarmed for templates: %s", name, error)
                left_out[name] = str(error)
            else:
                encoders.setdefault(encoder.model.fingerprint, encoder)
        return list(encoders.values()), left_out

    def close(self) -> None:
        """Give up the pins of what was asked for last."""
        with self._lock:
            opened, self._opened = list(self._opened.values()), {}
        for encoder in opened:
            encoder.close()


class _OtherEncoder(Encoder):
    """An encoder of another model. The catalog's flags tell of the session's own model, so it leaves them alone."""

    def __init__(self, model: Model, own: Encoder, *, checkpoint: str):
        super().__init__(model, own.cache, own.catalog, checkpoint=checkpoint, device=own.device)
        # A user who waits for the session's own model has priority over this one's prewarm too.
        self.changes, self.waiting, self.large = own.changes, own.waiting, own.large
        own.cache.unsubscribe(self)

    def find_cached(self, tasks: Sequence[EncodeTask], *, shared: Collection[str] = ()) -> set[str]:
        return {task.key for task in tasks if task.key in shared or task.key in self.cache}

    def _note_cached(self, task: EncodeTask) -> None:
        pass
