"""`KeyListener`: the keys of a widget that has no stage; an invisible widget within it.

Not ipyevents: it takes every key from the page (Ctrl+S too), and JupyterLab still reacts to the letters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import traitlets

from .script_widget import ScriptWidget

_log = logging.getLogger("samnb.widgets")

_ESM = """
const EDITABLE = "input, textarea, select, [contenteditable='true'], [role='slider'], .cm-content, .CodeMirror";

function render({ model, el }) {
  el.classList.add("samnb-key-listener");
  let root = null;
  // A samnb widget inside this one has its own listener.
  const ours = (node) => Boolean(node?.closest) && node.closest(".samnb") === root && !node.matches(EDITABLE);
  const onKey = (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || !el.isConnected || !root?.offsetParent) return;
    const name = e.key.toLowerCase();
    if (!model.get("keys_kept").includes(name) || !ours(document.activeElement)) return;
    e.preventDefault();
    e.stopImmediatePropagation();
    // A key that is held down would answer unseen items.
    if (!e.repeat) model.send({ key: name });
  };
  // What had the focus went away: keys would be the page's now.
  const onMessage = (content) => {
    const at = document.activeElement;
    const lost = !at || at.contains(root) || (root?.contains(at) && !at.matches(EDITABLE));
    if (content?.focus && root?.offsetParent && lost) root.focus({ preventScroll: true });
  };
  model.on("msg:custom", onMessage);
  // Before JupyterLab's own, which listens on the document in the capture phase.
  window.addEventListener("keydown", onKey, true);
  const start = () => {
    root = el.closest(".samnb");
    if (!root) return requestAnimationFrame(start);
    // A click on anything in the widget that takes no focus of its own gives it the focus.
    root.tabIndex = 0;
    el.dataset.listens = "yes";
  };
  start();
  return () => {
    model.off("msg:custom", onMessage);
    window.removeEventListener("keydown", onKey, true);
  };
}
export default { initialize, render };
"""


class KeyListener(ScriptWidget):
    """Keys pressed while the widget around this one has the focus; text fields keep theirs.

    The pointer alone does not count: what is typed into a cell while it rests over the widget is meant for the cell.

    Parameters
    ----------
    names : iterable of str
        `KeyboardEvent.key` in lower case; all others, and all with Ctrl, Alt or Cmd, reach the page.
    on_key : callable
        Called with the name.
    """

    _esm = _ESM
    _css = ".samnb-key-listener { display: none; }"
    keys_kept: traitlets.List = traitlets.List().tag(sync=True)

    def __init__(self, names: Iterable[str], on_key: Callable[[str], None]):
        super().__init__(keys_kept=list(names))
        self._on_key = on_key
        self.on_msg(self._on_message)

    def take_focus(self) -> None:
        """Give the keys to this widget, if what had them in it is shown no more."""
        self.send({"focus": True})

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            name = str(content.get("key", ""))
            if name in self.keys_kept:
                self._on_key(name)
        except Exception:
            _log.exception("what a key did failed")
