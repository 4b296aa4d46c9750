"""`Page`: an invisible widget that fits the annotator into the page around it, and moves it to a tab or fullscreen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import ipywidgets
import traitlets

from ..common.script_widget import ScriptWidget, script

_log = logging.getLogger("samnb.widgets")


class Page(ScriptWidget):
    """Makes the stage as high as the page has room for; handles the buttons for a tab of its own and for fullscreen.

    Both need nothing from the kernel: a browser allows fullscreen only during a click, and JupyterLab's tabs are opened
    by the notebook's widget manager. A kernel that went away is shown over the annotator.

    Parameters
    ----------
    on_say : callable
        Called with a text for the status line: what this front end cannot do.

    Attributes
    ----------
    on_came : callable
        Called when the pointer comes to the annotator, or its page into view.
    """

    _esm = script(__package__, "page")
    _css = ".samnb-page { display: none; }"
    # "IPY_MODEL_…" of the annotator, of which a tab shows a second view; and the tab's title.
    root = traitlets.Unicode("").tag(sync=True)
    title = traitlets.Unicode("annotator").tag(sync=True)

    def __init__(self, on_say: Callable[[str], None]):
        super().__init__()
        self._on_say = on_say
        self.on_came: Callable[[], object] = lambda: None
        self.on_msg(self._on_message)

    def serve(self, annotator: ipywidgets.Widget) -> None:
        """Name the widget that a tab of its own shows."""
        self.root = f"IPY_MODEL_{annotator.model_id}"

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            if content.get("came"):
                self.on_came()
            else:
                self._on_say(str(content.get("say", "")))
        except Exception:
            _log.exception("what the page said was not understood")
