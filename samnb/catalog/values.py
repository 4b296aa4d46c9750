"""Values as database columns hold them: times, paths, file numbers, JSON; and batches of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from ..errors import AnyPath, ImageError

BATCH = 500
"""Number of rows in one statement or transaction."""

T = TypeVar("T")


def now() -> str:
    """UTC, ISO 8601, always with microseconds so that it sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """`items` in pieces of at most `BATCH`."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def folded(inode: int) -> int:
    """An inode number as a signed database integer: some file systems use all 64 bits, Windows 128."""
    return inode % 2**63


def path_text(path: AnyPath) -> str:
    """A path as the catalog keeps it. Raises `ImageError` for a name that is not Unicode."""
    name = os.fspath(path)
    if is_text(name):
        return name
    raise ImageError(f"{name!r}: its name is not valid Unicode, which the catalog needs. Rename the file.")


def is_text(name: str) -> bool:
    """False for a file name that is not Unicode."""
    # Python stands lone surrogates for the bytes of a file name that are not UTF-8.
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_json(value: Any) -> str:
    """Compact JSON; numpy's numbers and arrays become plain ones."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"expected numbers, text, lists and dicts; got {type(value).__name__}")
