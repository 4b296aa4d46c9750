"""`ReviewWidget`, the base of the reviews: items one after the other, answers, keys, undo, header and status."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ...images import encode_png
from ..common import style
from ..common.closing import close_tree, collect_closed
from ..common.error_line import ErrorLine, show_errors
from ..common.key_listener import KeyListener

_CSS = """
.samnb.samnb-review:focus { outline: none; border-color: var(--samnb-accent); }
.samnb.samnb-review .samnb-answer { flex: 1 1 0; min-width: 110px; }
.samnb.samnb-review .samnb-status { margin-top: var(--samnb-gap); }
.samnb .samnb-verdict { padding: 1px 8px; border-radius: 10px; font-weight: 600; border: 1px solid currentColor; }
.samnb .samnb-yes { color: var(--samnb-accent); }
.samnb .samnb-finished { padding: 36px 16px; text-align: center; background: var(--samnb-sunk);
  border-radius: var(--samnb-radius); margin: var(--samnb-gap) 0; font-size: 15px; line-height: 24px; }
"""


class ReviewWidget(ipywidgets.VBox):
    """Base of the reviews. A subclass sets what it reviews, then calls `_build` and `_draw`."""

    noun: ClassVar[str]
    """The noun for an item."""

    css: ClassVar[str]
    """Style rules of its own."""

    def __init__(self, session: Any, dataset: str | None):
        self.session, self.dataset = session, dataset
        self.answers: dict[Any, Any] = {}
        self._undo: list[Any] = []
        self._place = 0
        self._said = ""

    # Not an abc.ABC: its metaclass and that of widgets exclude each other.
    # -- what a subclass provides ------------------------------------------------------------------

    @property
    def _items(self) -> Sequence[Any]:
        """The items to review, in their order."""
        raise NotImplementedError

    def _key_of(self, item: Any) -> Hashable:
        """The key of an item's answer in `answers`."""
        raise NotImplementedError

    def _actions(self) -> dict[str, Callable[[], None]]:
        """The action of each key, besides arrows and U."""
        raise NotImplementedError

    def _take_back(self) -> None:
        """Undo the last answer and show its item; `_undo` is not empty."""
        raise NotImplementedError

    def _show(self, item: Any) -> tuple[str, str]:
        """The item as HTML, and the text of the status line."""
        raise NotImplementedError

    def _titles(self) -> list[str | None]:
        """The texts after the session's name in the header; empty ones are left out."""
        raise NotImplementedError

    def _verdict(self, answer: Any) -> tuple[str, bool]:
        """An answer in words, and whether it is a positive one."""
        raise NotImplementedError

    def _counts(self) -> str:
        """The number of answers of each kind."""
        raise NotImplementedError

    def _finished_text(self) -> str:
        """The summary after the last item, as HTML."""
        raise NotImplementedError

    @property
    def hint(self) -> str:
        """The keys and what they do now, on the right of the status line."""
        raise NotImplementedError

    def _picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB for pages without a kernel."""
        raise NotImplementedError

    # -- actions -----------------------------------------------------------------------------------

    @show_errors("Undo failed")
    def undo(self) -> None:
        """Undo the last answer and show its item."""
        if self._undo:
            self._take_back()
        else:
            self._say("nothing to undo")

    @show_errors("The next {self.noun} cannot be shown")
    def next(self) -> None:
        """Show the next item, answered or not; after the last, a summary."""
        self._go(self._place + 1)

    @show_errors("The previous {self.noun} cannot be shown")
    def previous(self) -> None:
        """Show the previous item."""
        self._go(self._place - 1)

    @show_errors("This key did nothing")
    def key(self, name: str) -> None:
        """Handle a key while the widget has the focus."""
        action = self._keys.get(name.lower())
        if action is not None:
            action()

    @property
    def _keys(self) -> dict[str, Callable[[], None]]:
        return {"arrowleft": self.previous, "arrowright": self.next, "u": self.undo, **self._actions()}

    # -- state -------------------------------------------------------------------------------------

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._error_line.text

    @property
    def status(self) -> str:
        """The left part of the status line."""
        return self._said

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        self._error_line.show(what, error)

    def close(self) -> None:
        """Release the browser's objects."""
        # ipywidgets also closes a widget whose constructor raised.
        if hasattr(self, "_key_listener"):
            close_tree(self)
            collect_closed()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        picture = b64encode(encode_png(self._picture())).decode()
        return {**bundle, "text/plain": repr(self), "image/png": picture}

    @property
    def _shown(self) -> Any:
        return self._items[self._place] if self._place < len(self._items) else None

    def _answer_to(self, item: Any) -> Any:
        return None if item is None else self.answers.get(self._key_of(item))

    def _next_open(self) -> int:
        """The next item without an answer, also from the start again; past the last if there is none."""
        for place in (*range(self._place + 1, len(self._items)), *range(self._place)):
            if self._key_of(self._items[place]) not in self.answers:
                return place
        return len(self._items)

    def _go(self, place: int) -> None:
        self._place = min(max(place, 0), len(self._items))
        self._draw()

    # -- drawing -----------------------------------------------------------------------------------

    def _build(
        self,
        *buttons: ipywidgets.Button,
        always: Sequence[ipywidgets.Button] = (),
        instead: Sequence[ipywidgets.Widget] = (),
    ) -> None:
        """Put the widget together.

        Parameters
        ----------
        buttons, always : Button
            Disabled after the last item; never disabled.
        instead : sequence of Widget
            In the place of the picture; shown and hidden by the subclass.
        """
        self._buttons = buttons
        self._header, self._view, self._status = style.html(), style.html(), style.html()
        self._error_line = ErrorLine()
        self._back = style.tool("", self.undo, "Undo the last answer (U)", icon="undo")
        tools = style.box(
            style.tool("", self.previous, f"Previous {self.noun} (←)", icon="chevron-left"),
            style.tool("", self.next, f"Next {self.noun} (→)", icon="chevron-right"),
            *(self._back, *buttons, *always),
            classes=("samnb-row", "samnb-tools"),
        )
        own = style.html(f"<style>{_CSS}{self.css}</style>", "samnb-sheet")
        self._key_listener = KeyListener(self._keys, self.key)
        parts = (style.sheet(), own, self._key_listener, self._header, self._view, *instead, tools)
        super().__init__([*parts, self._status, self._error_line])
        self.add_class("samnb")
        self.add_class("samnb-review")
        self.layout.max_width = "1400px"

    def _draw(self) -> None:
        shown = self._shown
        self._header.value = self._header_text()
        for button in self._buttons:
            button.disabled = shown is None
        self._back.disabled = not self._undo
        if shown is None:
            self._view.value = f'<div class="samnb-finished">{self._finished_text()}</div>'
            self._say("")
            return
        self._view.value, text = self._show(shown)
        self._say(text)

    def _header_text(self) -> str:
        shown, answer = self._shown, self._answer_to(self._shown)
        left = style.span(self.session.name, "strong")
        left += style.span("".join(f" · {title}" for title in self._titles() if title), "dim")
        count = len(self._items)
        right = f"{self._place + 1} of {count}" if shown is not None else f"{count} {self.noun}s"
        right = style.span(f"{right} · {self._counts()}", "number")
        if answer is not None:
            text, positive = self._verdict(answer)
            right = f'<span class="samnb-verdict {"samnb-yes" if positive else ""}">{text}</span> {right}'
        return f'<div class="samnb-spread"><span class="samnb-clip">{left}</span><span>{right}</span></div>'

    def _say(self, text: str) -> None:
        self._said = text
        hint = f'<span class="samnb-dim samnb-clip" title="{self.hint}">{self.hint}</span>'
        self._status.value = f'<div class="samnb-status" role="status">{style.span(text, "number")}{hint}</div>'
