"""`PointerListener`: an invisible widget over the canvas that receives pointer, wheel and keys.

Not ipyevents: it takes every key from the page (Ctrl+S too), misses a release outside, rounds positions to whole
pixels, does not report the device pixel ratio, and queues its moves behind a slow handler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import traitlets

from ..common.script_widget import ScriptWidget, script
from .key_bindings import KEYS

_log = logging.getLogger("samnb.widgets")

_CSS = """
.samnb-stage { position: relative; }
.samnb-pointer-listener { position: absolute !important; inset: 0; z-index: 1; touch-action: none; outline: none;
  margin: 0 !important; cursor: crosshair; overflow: hidden; user-select: none; -webkit-user-select: none; }
.samnb-pointer-listener:focus-visible { box-shadow: inset 0 0 0 2px var(--samnb-accent, #1976d2); }
.samnb-pointer-listener[data-tool="proposals"], .samnb-pointer-listener[data-tool="select"] { cursor: pointer; }
.samnb-pointer-listener[data-tool="brush"], .samnb-pointer-listener[data-tool="erase"] { cursor: none; }
.samnb-ring { position: absolute; transform: translate(-50%, -50%); border-radius: 50%; pointer-events: none;
  box-sizing: border-box; border: 1.5px solid #fff; 
  box-shadow: 0 0 0 1px rgba(0,0,0,.6), inset 0 0 0 1px rgba(0,0,0,.6); }
.samnb-busy::after { content: "kernel busy: it answers as soon as it can"; position: absolute; left: 8px; bottom: 8px;
  padding: 3px 8px; border-radius: 4px; background: rgba(0,0,0,.7); color: #fff; font-size: 12px; line-height: 18px;
  pointer-events: none; }
"""


class PointerListener(ScriptWidget):
    """Receives pointer, wheel and keys in the page and reports them as dictionaries; see `Gestures`.

    Parameters
    ----------
    on_events : callable
        Called with a list of events, in the order they came.
    """

    _esm = script(__package__, "focus", "two_fingers", "pointer_listener")
    _css = _CSS
    # (KeyboardEvent.key in lower case, with Ctrl, with Shift or None, with Alt): kept from the page, all others not.
    keys_kept: traitlets.List = traitlets.List().tag(sync=True)
    # Keys, in lower case, whose release is reported too.
    keys_held: traitlets.List = traitlets.List().tag(sync=True)
    hover = traitlets.Bool(False).tag(sync=True)
    tool = traitlets.Unicode("prompt").tag(sync=True)
    zoomed = traitlets.Bool(False).tag(sync=True)
    # Radius of the brush's ring as a fraction of the stage's width; 0: none.
    ring = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, on_events: Callable[[list[dict[str, Any]]], None]):
        held = sorted({name for key in KEYS if key.released for name in key.names})
        super().__init__(keys_kept=list(_kept(KEYS)), keys_held=held)
        self._on_events = on_events
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            self._on_events([event for event in content.get("events", ()) if isinstance(event, dict)])
        except Exception:
            _log.exception("what the hand did was not understood")
        finally:
            # In any case: without this the page would wait for ever with the next move.
            self.send({"view": content.get("view"), "ack": content.get("seq")})


def _kept(keys: Iterable[Any]) -> Iterable[tuple[str, bool, bool | None, bool]]:
    for key in keys:
        for name in key.names:
            # Shift+Enter runs the cell, even if the table has Enter.
            yield name, key.ctrl, False if name == "enter" else key.shift, key.alt
