"""`read_json`: JSON files that come from anywhere, within bounds of size and depth."""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import Any

MAX_BYTES = 2**30
"""Larger files are refused: the values of a file take several times its bytes in memory."""

_PIECE = 2**16  # larger ones are taken whole for small files, too, and what is given back leaves gaps in memory


class TooLarge(ValueError):
    """A file of more bytes than the limit."""


def read_json(path: Path, *, limit: int | None = None) -> Any:
    """The value in a JSON file of UTF-8, with or without a mark before it, or of UTF-16 with one.

    Parameters
    ----------
    path : Path
    limit : int, optional
        The most bytes to read; default: `MAX_BYTES`.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no JSON, nested too deeply, or too large; the message is a reason without the path.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.json")
    >>> _ = file.write_bytes(b'\\xef\\xbb\\xbf{"a": 1}')
    >>> read_json(file)
    {'a': 1}
    """
    return parse_json(read_bounded(path, limit=limit))


def read_bounded(path: Path, *, limit: int | None = None) -> bytes:
    """The bytes of a file that comes from anywhere. Raises `OSError`, and `TooLarge` for more than the limit."""
    limit = MAX_BYTES if limit is None else limit
    content = bytearray()
    # Without waiting for the other end of a named pipe, which may never come.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        if os.name != "nt":
            os.set_blocking(file.fileno(), True)
        # Not by the size in the file system: a pipe or a device has none.
        while len(content) <= limit and (more := file.read(_PIECE)):
            content += more
    if len(content) > limit:
        raise TooLarge(f"it has more than the limit of {limit:,} bytes")
    return bytes(content)


def encoding_of(beginning: bytes) -> str:
    """The encoding of a text file by its first two bytes: UTF-16, as some shells and spreadsheets save it, or UTF-8.

    >>> encoding_of("\ufeffa".encode("utf-16-le")), encoding_of(b"ab")
    ('utf-16', 'utf-8-sig')
    """
    return "utf-16" if beginning[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text; raises `ValueError` for anything else, and for one that is nested too deeply."""
    try:
        # Some editors put a mark before UTF-8.
        text = content.decode(encoding_of(content)) if isinstance(content, bytes) else content.removeprefix("\ufeff")
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
