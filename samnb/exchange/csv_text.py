"""CSV that a spreadsheet shows and does not run: text that begins like a formula gets an apostrophe in front."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice

_ROWS = 1000
_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")  # the wide ones are typed, and read, in East Asia


def quoted(value: object) -> object:
    """Text with an apostrophe in front if a spreadsheet would run it; other values as they are.

    >>> quoted("=1+2"), quoted("coin"), quoted(-3)
    ("'=1+2", 'coin', -3)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unquoted(text: str) -> str:
    """The text before `quoted`.

    >>> unquoted("'=1+2"), unquoted("'coin'")
    ('=1+2', "'coin'")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as CSV in UTF-8; names that are not UTF-8 keep their bytes."""
    return b"".join(csv_pieces(rows))


def csv_pieces(rows: Iterable[Iterable[object]]) -> Iterator[bytes]:
    """The same in pieces of some rows each."""
    rest = iter(rows)
    while some := list(islice(rest, _ROWS)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows([quoted(value) for value in row] for row in some)
        yield text.getvalue().encode(errors="surrogateescape")
