"""Names and reading of the files in a folder of entries."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreError
from ..prompts import Embedding
from .entry import LARGEST, EntryDamaged, EntryOfNewer, deserialize
from .header import header_of

STALE_AFTER = 3600.0  # seconds after which a temporary file belongs to a writer that died
SUFFIX = ".safetensors"
TEMPORARY = ".tmp-"

_RESERVED = re.compile(r"\.tmp-(\d+)-")
_ENTRY = re.compile(r"([0-9a-f]{64})\.safetensors")


class FoundEntry(NamedTuple):
    """One entry as a listing found it; sorts by last use."""

    used_ns: int
    size: int
    key: str


def keys_in(names: Iterable[str]) -> Iterator[str]:
    """The keys of the entries among these file names.

    >>> list(keys_in(["ab" * 32 + ".safetensors", "usage", ".tmp-1-x"])) == ["ab" * 32]
    True
    """
    return (match[1] for match in map(_ENTRY.fullmatch, names) if match)


def shard_of(key: str) -> int:
    """The shard of a key, 0 to 255."""
    return int(key[:2], 16)


def read_entry(path: str, key: str | None) -> Embedding:
    """Read one file and return the embedding of `key`; None: any key. Raises `EntryDamaged`, `OSError`."""
    file = _open_to_read(path)
    try:
        found = os.fstat(file)
        raw = _read_all(file, found.st_size) if found.st_size <= LARGEST else b""
    finally:
        os.close(file)
    try:
        if key is None:
            raise EntryDamaged("it lies where no key looks for it")
        if found.st_size > LARGEST:
            raise EntryDamaged(f"{found.st_size:,} bytes, more than any embedding has")
        return deserialize(raw, key)
    except EntryDamaged as error:
        error.file_read, error.metadata = identity(found), header_of(raw)
        raise


def read_bounded(path: str | Path) -> bytes:
    """The bytes of one file, not verified. Raises `OSError`, also for more bytes than any entry has."""
    file = _open_to_read(path)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise OSError(errno.EFBIG, "not the file of an embedding", str(path))
        return _read_all(file, found.st_size)
    finally:
        os.close(file)


def _open_to_read(path: str | Path) -> int:
    # Not waiting: a named pipe in its place may have no other end.
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))


def _read_all(file: int, size: int) -> bytes:
    raw = os.read(file, size + 1)
    while len(raw) <= size and (more := os.read(file, size + 1 - len(raw))):
        raw += more  # a system may give less than it was asked for, and does beyond 2 GiB
    return raw


def is_damaged(path: Path) -> bool:
    """Whether there is a readable file that is not the entry it should be."""
    try:
        read_entry(str(path), key_in(str(path)))
    except EntryOfNewer:
        return False
    except EntryDamaged:
        return True
    except OSError:
        return False
    return False


def list_folder(folder: str | Path) -> list[os.DirEntry[str]]:
    """The contents of a folder; empty if there is none. Raises `StoreError`."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise cannot_read(folder, error) from error


def cannot_read(path: str | Path, error: OSError) -> StoreError:
    """The error to raise: a file that cannot be opened is not known to be damaged."""
    reason = error.strerror or error
    return StoreError(f"{path}: cannot be read ({reason}) and was left as it is: check permissions and disk.")


def key_of(found: os.DirEntry[str]) -> str | None:
    """The key of an entry; None for any other file."""
    return key_in(found.path) if _ENTRY.fullmatch(found.name) else None


def key_in(path: str) -> str | None:
    """The key of a file that has the path of its key."""
    key = os.path.basename(path).removesuffix(SUFFIX)
    home = os.path.join(key[:2], key[2:4], key + SUFFIX)
    return key if _ENTRY.fullmatch(key + SUFFIX) and path.endswith(os.sep + home) else None


def is_stale(found: os.DirEntry[str]) -> bool:
    """Whether this is a temporary file of a writer that died."""
    try:
        return found.name.startswith(TEMPORARY) and time.time() - found.stat().st_mtime > STALE_AFTER
    except FileNotFoundError:
        return False


def stat_of(path: Path) -> os.stat_result | None:
    """None if there is no file."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def identity(found: os.stat_result) -> tuple[int, int]:
    """Values that distinguish a file from another one with the same path."""
    # not the time of change, which records the last use
    return found.st_ino, found.st_size


def temporary_beside(path: Path, size: int) -> Path:
    """A unique name in the same folder, and so on the same disk; it contains the size the file will have."""
    return path.with_name(f"{TEMPORARY}{size}-{_host()}-{os.getpid()}-{uuid.uuid4().hex}")


def reserved_by(name: str) -> int | None:
    """The final size of a temporary file, so that counting a folder includes files that are being written."""
    found = _RESERVED.match(name)
    return int(found[1]) if found else None


def _host() -> str:
    return re.sub("[^A-Za-z0-9.]+", "_", socket.gethostname())[:60]
