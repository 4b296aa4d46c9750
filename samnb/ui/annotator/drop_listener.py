"""`DropListener`: files that are dropped on the annotator, in pieces, put together here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..common.script_widget import ScriptWidget, script

_log = logging.getLogger("samnb.widgets")

_CSS = """
.samnb-drop-listener { display: none; }
.samnb.samnb-dropping { outline: 3px dashed var(--samnb-accent, #1976d2); outline-offset: -4px; }
"""


class DropListener(ScriptWidget):
    """An invisible child of the annotator.

    Parameters
    ----------
    on_files : callable
        Called with a list of (name, bytes), when the last piece of the last file is there.
    """

    _esm = script(__package__, "drop_listener")
    _css = _CSS

    def __init__(self, on_files: Callable[[list[tuple[str, bytes]]], None]):
        super().__init__()
        self._on_files = on_files
        self._files: list[tuple[str, bytearray]] = []
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, buffers: Sequence[Any] | None) -> None:
        try:
            if content.get("first"):
                self._files = []
            if content.get("begins"):
                self._files.append((str(content["name"]), bytearray()))
            for buffer in buffers or ():
                self._files[-1][1].extend(bytes(buffer))
            if content.get("last"):
                dropped, self._files = [(name, bytes(content)) for name, content in self._files], []
                self._on_files(dropped)
        except Exception:
            _log.exception("dropped files were not taken")
        finally:
            # In any case: without this the page would wait for ever with the next piece.
            self.send({"taken": True})
