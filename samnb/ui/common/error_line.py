"""`ErrorLine`: a dismissible red line; `show_errors`: puts the errors of handlers into it.

ipywidgets does not show what a callback raises: without this a click that fails looks like a click that was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any, ParamSpec, Protocol

import ipywidgets

from ...errors import SamnbError
from . import style

_log = logging.getLogger("samnb.widgets")

P = ParamSpec("P")


class ErrorLine(ipywidgets.Box):
    """Hidden until an error occurs."""

    def __init__(self) -> None:
        self.text = ""
        self._line = style.html()
        dismiss = style.button("✕", "samnb-plain", tooltip="Dismiss")
        dismiss.on_click(lambda _: self.dismiss())
        super().__init__([self._line, dismiss])
        self.add_class("samnb-error-line")
        self.dismiss()

    def show(self, what: str, error: BaseException) -> None:
        """Show what failed, and the error's message; an error that is not ours also gets its class."""
        message = str(error) if isinstance(error, SamnbError) else f"{type(error).__name__}: {error}"
        self.say(f"{what}: {message}")

    def say(self, text: str) -> None:
        """Show a line of text."""
        self.text = text
        self._line.value = escape(text)
        self.layout.display = None

    def dismiss(self) -> None:
        """Hide the line."""
        self.text = ""
        self.layout.display = "none"


class _HasErrorLine(Protocol):
    def show_error(self, what: str, error: Exception) -> None: ...


def show_errors(what: str) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Decorate a handler: its errors are shown in its widget and logged, and the next click works.

    Parameters
    ----------
    what : str
        The failed action, as text; "{self.noun}" is replaced by an attribute.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., None]:
        @wraps(method)
        def handler(self: _HasErrorLine, *args: Any, **kwargs: Any) -> None:
            try:
                method(self, *args, **kwargs)
            except Exception as error:
                text = what.format(self=self)
                _log.warning("%s: %s: %s", text, type(error).__name__, error, exc_info=error)
                self.show_error(text, error)

        return handler

    return decorate
