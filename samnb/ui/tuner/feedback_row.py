"""`FeedbackRow`: found objects by name, and buttons to mark them without a mouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from ...templates.preview import Preview
from ..common import style
from .feedback import Feedback

_SIGN = {True: " ✓", False: " ✗", None: ""}
_NONE = ("no object", None)


class FeedbackRow(ipywidgets.Box):
    """A choice of all found objects, the buttons Good, Bad, Unmark, Use marks, and a summary of the marks.

    Parameters
    ----------
    on_mark : callable
        Called with (image, match, good) for the chosen object: its numbers, and None to remove its mark.
    on_use : callable
        Called when the marks are to be used in the template, or not.
    """

    def __init__(self, on_mark: Callable[[int, int, bool | None], None], on_use: Callable[[], None]):
        self._on_mark = on_mark
        self.objects = ipywidgets.Dropdown(options=[_NONE], description="object")
        self.objects.tooltip = "A found object, the least sure first"
        good = style.tool("Good", lambda: self.mark(True), "This object is right (or click on it in its picture)")
        bad = style.tool("Bad", lambda: self.mark(False), "This object is wrong (or click on it twice)")
        clear = style.tool("Unmark", lambda: self.mark(None), "Take the mark of this object away")
        self._use = style.tool("Use marks", on_use, "Good ones become examples, bad ones background examples")
        self._said = style.html("", "samnb-number")
        super().__init__([self.objects, good, bad, clear, self._use, self._said])
        for name in ("samnb-row", "samnb-marking"):
            self.add_class(name)

    def mark(self, good: bool | None) -> None:
        """Mark the chosen object."""
        if self.objects.value is not None:
            image, number = self.objects.value
            self._on_mark(image, number, good)

    def show_used(self, used: bool) -> None:
        """Whether the marks are in the template."""
        style.set_class(self._use, "samnb-chosen", used)

    @property
    def said(self) -> str:
        """The summary of the marks, as HTML."""
        return str(self._said.value)

    def say(self, text: str, *, stale: bool) -> None:
        """Show the summary of the marks."""
        self._said.value = style.span(text, *(("stale",) if stale else ()))

    def show(self, previews: Sequence[object], marks: Feedback) -> None:
        """List all found objects by name, the least certain first; the chosen one stays chosen."""
        found = [
            (
                match.score,
                f"{p.image.dataset}/{p.image.filename} · {match.category} · {match.score:.2f}{_SIGN[own.get(n)]}",
                (image, n),
            )
            for image, p in enumerate(previews)
            if isinstance(p, Preview)
            for own in (marks.of(p),)
            for n, match in enumerate(p.matches)
        ]
        chosen = self.objects.value
        options: list[Any] = [(text, value) for _, text, value in sorted(found)] or [_NONE]
        if tuple(options) != tuple(self.objects.options):
            self.objects.options = options
            self.objects.value = chosen if chosen in {value for _, value in options} else options[0][1]
