"""Models of other packages, found by the entry point group ``samnb.models``.

An entry point's name is the model's name; the object it points to is called without arguments and returns a
`samnb.models.ModelEntry`. One that fails is reported with its reason; the others, and samnb's own, still work.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points

from .protocol import ModelEntry

GROUP = "samnb.models"
log = logging.getLogger(__name__)

_loaded: dict[tuple[str, str], object] = {}


class Plugins:
    """The models found: `entries` by name, and by name why others are `broken`, with the exceptions as `causes`."""

    def __init__(self) -> None:
        self.entries: dict[str, ModelEntry] = {}
        self.broken: dict[str, str] = {}
        self.causes: dict[str, Exception] = {}

    def _reject(self, point: EntryPoint, reason: str) -> None:
        package = point.dist.name if point.dist else "an unknown package"
        self.broken[point.name] = f"{point.name} of {package} ({point.value}): {reason}"


def find_plugins(taken: Collection[str]) -> Plugins:
    """Load what other packages register; each is called once in a process, and a failure is logged once.

    Parameters
    ----------
    taken : collection of str
        Names of samnb's own models.
    """
    found = Plugins()
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        known = (point.name, point.value)
        new = known not in _loaded
        if new:
            _loaded[known] = _load(point)
        given = _loaded[known]
        if isinstance(given, Exception):
            found.causes[point.name] = given
            found._reject(point, f"{type(given).__name__}: {given}")
        elif not isinstance(given, ModelEntry):
            found._reject(point, f"expected a samnb.models.Entry; got {type(given).__name__}")
        elif given.info.name != point.name:
            found._reject(point, f"its Entry is called {given.info.name!r}; the two names have to be the same")
        elif point.name in taken or point.name in found.entries:
            found._reject(point, "the name is taken; choose another one")
        else:
            found.entries[point.name] = given
        if new and point.name in found.broken:
            log.warning("A model was not registered: %s", found.broken[point.name])
    return found


def _load(point: EntryPoint) -> object:
    try:
        return point.load()()
    except Exception as error:  # another package may raise anything: it is reported
        return error
