"""Models of other packages, found by the entry point group ``samnb.models``.

An entry point's name is the model's name, and what it points to is called without arguments and gives an
`samnb.models.Entry`. One that fails is set aside with its reason; the others, and samnb's own, are not touched by it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["GROUP", "Plugins", "find_plugins"]

GROUP = "samnb.models"
log = logging.getLogger(__name__)

_loaded: dict[tuple[str, str], Any] = {}


class Plugins:
    """What was found: `entries` by name, and why others are `broken`."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.broken: dict[str, str] = {}
        self.causes: dict[str, Exception] = {}

    def _set_aside(self, point: EntryPoint, reason: str) -> None:
        package = point.dist.name if point.dist else "an unknown package"
        self.broken[point.name] = f"{point.name} of {package} ({point.value}): {reason}"


def find_plugins(taken: Collection[str], entry_class: type) -> Plugins:
    """Load what other packages register; each is called once in a process, and a failure is logged once.

    Parameters
    ----------
    taken : collection of str
        Names of samnb's own models.
    entry_class : type
        What a plugin has to give.
    """
    found = Plugins()
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        known = (point.name, point.value)
        new = known not in _loaded
        if new:
            _loaded[known] = _load(point)
        given: Any = _loaded[known]
        name = getattr(getattr(given, "info", None), "name", None)
        if isinstance(given, Exception):
            found.causes[point.name] = given
            found._set_aside(point, f"{type(given).__name__}: {given}")
        elif not isinstance(given, entry_class):
            found._set_aside(point, f"expected a samnb.models.Entry; got {type(given).__name__}")
        elif name != point.name:
            found._set_aside(point, f"its Entry is called {name!r}; the two names have to be the same")
        elif point.name in taken or point.name in found.entries:
            found._set_aside(point, "the name is taken; choose another one")
        else:
            found.entries[point.name] = given
        if new and point.name in found.broken:
            log.warning("A model was not registered: %s", found.broken[point.name])
    return found


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()()
    except Exception as error:  # whatever another package does wrong: its reason is kept and told
        return error
