"""`RowListener`: reports the row of a list under the pointer, and what a plain button does not: menu, Shift, double."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..common.script_widget import ScriptWidget, script

_log = logging.getLogger("samnb.widgets")

EVENTS = ("over", "menu", "more", "edit")


class RowListener(ScriptWidget):
    """An invisible sibling of a list of class "samnb-list", whose rows are of class "samnb-entry".

    Parameters
    ----------
    on_event : callable
        Called with one of `EVENTS` and the number of the row, counted from 0; "over" with -1 when the pointer left.
    """

    _esm = script(__package__, "row_listener")
    _css = ".samnb-row-listener { display: none; }"

    def __init__(self, on_event: Callable[[str, int], None]):
        super().__init__()
        self._on_event = on_event
        self.on_msg(self._on_message)

    def reveal(self, row: int) -> None:
        """Scroll the list, if needed, until that row is visible."""
        self.send({"reveal": row})

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            for event in EVENTS:
                if event in content:
                    self._on_event(event, int(content[event]))
        except Exception:
            _log.exception("what the pointer did in a list was not understood")
