"""`PopupMenu`: a menu at the pointer, with a field to search its items where they may be many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import traitlets

from ..common.script_widget import ScriptWidget, script

_log = logging.getLogger("samnb.widgets")

_CSS = """
.samnb-popup-home { display: none; }
.samnb.samnb-popup { position: fixed; z-index: 10000; margin: 0; padding: 4px; min-width: 200px; max-width: 320px;
  max-height: min(420px, 90vh); display: flex; flex-flow: column; overflow: hidden;
  box-shadow: 0 4px 16px rgba(0, 0, 0, .35); }
.samnb-popup .samnb-label { padding: 4px 8px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  flex: none; }
.samnb-popup input { margin: 2px 4px 4px; padding: 4px 8px; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--samnb-line); border-radius: var(--samnb-radius); flex: none; }
.samnb-popup [role="menu"] { overflow: auto; display: flex; flex-flow: column; }
.samnb-popup [role="menuitem"] { display: flex; align-items: center; gap: 8px; padding: 5px 8px; border: 0; flex: none;
  background: transparent; color: inherit; font: inherit; text-align: left; border-radius: var(--samnb-radius); }
.samnb-popup [role="menuitem"]:is(:hover, :focus, .samnb-active):not(:disabled) { background: var(--samnb-sunk);
  outline: 2px solid var(--samnb-accent); outline-offset: -2px; }
.samnb-popup [role="menuitem"]:disabled { opacity: .4; }
.samnb-popup [role="menuitem"] > .samnb-text { flex: 1 1 auto; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.samnb-popup [role="menuitem"] > .samnb-dim { flex: none; font-size: 12px; }
@media (pointer: coarse) { .samnb-popup [role="menuitem"] { min-height: 36px; } }
"""


@dataclass(frozen=True, eq=False)
class MenuItem:
    """One line of a menu: its text, what it does, its key, whether it can be done now, and a "#rrggbb" dot or none."""

    text: str
    action: Callable[[], object]
    key: str = ""
    color: str = ""
    enabled: bool = True


class PopupMenu(ScriptWidget):
    """A closed menu; `show` opens it in the page, where the pointer was pressed last."""

    _esm = script(__package__, "popup_menu")
    _css = _CSS
    title = traitlets.Unicode().tag(sync=True)
    items: traitlets.List = traitlets.List().tag(sync=True)
    searches = traitlets.Bool(False).tag(sync=True)
    # Another number each time it is opened; 0: it was never open.
    version = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._open: Sequence[MenuItem] = ()
        self._on_new: Callable[[str], object] | None = None
        self.on_msg(self._on_message)

    @property
    def texts(self) -> list[str]:
        """The lines shown last."""
        return [item.text for item in self._open]

    def show(self, title: str, items: Sequence[MenuItem], *, on_new: Callable[[str], object] | None = None) -> None:
        """Show these items.

        Parameters
        ----------
        title : str
        items : sequence of MenuItem
        on_new : callable, optional
            With it, the menu has a field to search in; called with a text that is none of the items.
        """
        self._open, self._on_new = tuple(items), on_new
        with self.hold_sync():
            self.title, self.searches = title, on_new is not None
            self.items = [
                {"text": item.text, "key": item.key, "color": item.color, "enabled": item.enabled} for item in items
            ]
            self.version += 1

    def choose(self, text: str) -> None:
        """Do what a line does, as a click on it; another text is a new one."""
        item = next((each for each in self._open if each.text == text), None)
        if item is not None and item.enabled:
            item.action()
        elif item is None and self._on_new is not None and text.strip():
            self._on_new(text.strip())

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            self.choose(str(content["chosen"]))
        except Exception:
            _log.exception("what was chosen from a menu failed")
