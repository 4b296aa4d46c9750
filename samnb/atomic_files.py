"""Atomic file writes: a file is complete or absent. Also the error to raise when a file cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from .errors import SessionReadOnly, StoreError

__all__ = ["cannot_write", "remove_stale", "staging_path", "write_atomic"]

_STAGING_NAME = re.compile(r"\.samnb-[0-9a-f]{32}\.part")


def write_atomic(path: Path, content: bytes) -> Path:
    """Write under a hidden name and rename, creating the folder if needed; no partial file stays.

    The file is not flushed to the disk, so use this for data that can be made again. Embeddings have their own writer.

    Raises
    ------
    OSError
        As it comes; see `cannot_write`.

    Examples
    --------
    >>> import tempfile
    >>> write_atomic(Path(tempfile.mkdtemp()) / "new" / "a.txt", b"whole").read_bytes()
    b'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging_path(path.parent) as temporary:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    return path


@contextlib.contextmanager
def staging_path(near: Path, *, folder: bool = False) -> Iterator[Path]:
    """A new hidden file, or folder, to write into and rename; what is not renamed is deleted at the end of the block.

    It is locked meanwhile. A leftover of a killed process is not locked, and `remove_stale` deletes it.

    Raises
    ------
    OSError
        As it comes.
    """
    while True:
        path = near / f".samnb-{uuid4().hex}.part"
        path.mkdir(parents=True) if folder else path.touch(exist_ok=False)
        lock = _locked(path, wait=True)
        if path.exists():
            break
        _unlock(lock)  # deleted as a leftover before it was locked
    try:
        yield path
    finally:
        _delete(path)
        _unlock(lock)


def remove_stale(folder: Path) -> None:
    """Delete the leftovers of killed processes in a folder.

    A leftover has a name such as `staging_path` gives and is not locked. Where there are no locks (Windows, some
    network drives) nothing is deleted: the process that writes it may be alive.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with staging_path(folder) as alive:
    ...     remove_stale(folder)
    ...     alive.exists()
    True
    """
    try:
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if _STAGING_NAME.fullmatch(entry.name) and not entry.is_symlink()]
    except OSError:  # the folder is missing or cannot be listed: then it holds no leftovers that matter
        return
    for entry in left:
        if entry.is_dir() or entry.is_file():
            lock = _locked(Path(entry.path), wait=False)
            if lock is not None:
                _delete(Path(entry.path))
                _unlock(lock)


def _locked(path: Path, *, wait: bool) -> int | None:
    """An open, locked file descriptor, which ends with the process; None if locking is not possible."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:  # another user's, or gone
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, or a drive without locks
        os.close(file)
        return None
    return file


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # it is hidden and disturbs nothing
            path.unlink(missing_ok=True)


def cannot_write(folder: Path, path: Path, error: OSError) -> StoreError:
    """The error to raise: no permission concerns the folder, a full disk or a file in the way concerns the path."""
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return SessionReadOnly(folder, error.strerror or error)
    return StoreError(
        f"{path}: cannot be written ({error.strerror or error}). Nothing of it was kept and what was there "
        "before is as it was: free some space or choose another folder, then run again."
    )
