"""`printable`: text for a terminal, whatever is in the names of files and categories."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Control characters, of which some move the cursor, colour or hide what follows; others that change the direction of
# text or begin a line; and halves of characters, which no terminal accepts.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNFIT_IN_LINES = re.compile(_UNFIT.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def printable(text: str, *, lines: bool = False) -> str:
    """The text with escapes for what a terminal would act on instead of showing it.

    Parameters
    ----------
    text : str
    lines : bool
        Line ends and tabs stay: for a report or message, not for a name.

    Examples
    --------
    >>> print(printable("\\x1b[31mred\\nline.png"))
    \\x1b[31mred\\nline.png
    >>> printable("münze 3 €.png")
    'münze 3 €.png'
    """
    unfit = _UNFIT_IN_LINES if lines else _UNFIT
    return text if text.isprintable() else unfit.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
