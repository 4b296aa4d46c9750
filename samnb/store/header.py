"""The header of an entry's file, read without its tensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..file_locks import open_to_read

_FIRST_READ = 4096
_LARGEST = 1 << 20


def read_header(path: Path | str) -> dict[str, str]:
    """The metadata of a file; empty if it is gone, cannot be read or is not an entry."""
    try:
        with open(open_to_read(path), "rb", buffering=0) as file:
            start = file.read(_FIRST_READ)
            length = _length(start)
            if 8 + length > len(start):
                start += file.read(8 + length - len(start))
    except OSError:
        return {}
    return header_of(start)


def header_of(raw: bytes) -> dict[str, str]:
    """The metadata in the first bytes of an entry; empty for other bytes. Nothing is verified."""
    try:
        metadata = json.loads(raw[8 : 8 + _length(raw)])["__metadata__"]
        return {str(name): str(value) for name, value in metadata.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def created_at(header: Mapping[str, str]) -> float | None:
    """When an embedding was computed, in seconds since 1970; None if its header does not contain it.

    Examples
    --------
    >>> created_at({"created": "1970-01-01T00:01:00+00:00"}), created_at({})
    (60.0, None)
    """
    try:
        created = datetime.fromisoformat(header["created"])
    except (KeyError, ValueError):
        return None
    return (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


def _length(raw: bytes) -> int:
    """The length of the header, from the first 8 bytes; 0 if invalid."""
    length = struct.unpack_from("<Q", raw)[0] if len(raw) >= 8 else 0
    return length if length <= _LARGEST else 0
