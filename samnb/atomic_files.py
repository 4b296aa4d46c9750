"""Atomic file writes: a file is complete or absent, also after a power cut.

A file system may keep the new name of a file and lose its bytes, so the bytes go to the disk before the rename, and the
name after it. Also the error to raise when a file cannot be written.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from .errors import SessionReadOnly, StoreError
from .file_locks import LockState, try_lock, unlock

__all__ = [
    "another_users",
    "cannot_write",
    "discard",
    "file_in_the_way",
    "keep_names",
    "make_folder",
    "publish",
    "remove_stale",
    "staging_path",
    "sync",
    "write_atomic",
    "write_pieces",
    "write_with",
]

_log = logging.getLogger("samnb.upkeep")

_AT_ONCE = 8  # a disk takes many requests at once, and each waits
_NO_SYNC = {errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_STAGING_NAME = re.compile(r"\.samnb-[0-9a-f]{32}\.part")


def write_atomic(path: Path, content: bytes) -> Path:
    """Write under a hidden name and rename, creating the folder if needed; no partial file stays.

    When it returns, the disk has the file. Embeddings have their own writer.

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
    return write_with(path, lambda temporary: temporary.write_bytes(content))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> Path:
    """`write_atomic` of content that comes in pieces, which are never in memory together."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            file.writelines(pieces)

    return write_with(path, write)


def write_with(path: Path, write: Callable[[Path], object]) -> Path:
    """`write_atomic` of what a function writes into the file whose path it gets.

    Examples
    --------
    >>> import tempfile
    >>> write_with(Path(tempfile.mkdtemp()) / "a.txt", lambda file: file.write_text("whole")).read_bytes()
    b'whole'
    """
    make_folder(path.parent)
    with staging_path(path.parent) as temporary:
        write(temporary)
        publish(temporary, path)
    return path


def publish(temporary: Path, path: Path) -> None:
    """Rename a finished file, or a folder of them, to its place; then the disk has it.

    Raises
    ------
    OSError
        As it comes; the place is then as it was before.
    """
    sync(_all_in(temporary))
    os.replace(temporary, path)
    keep_names([path.parent])


def sync(paths: Iterable[Path]) -> None:
    """Have the disk write these files and folders now.

    Raises
    ------
    OSError
        The disk cannot. What has no such command (a folder on Windows, on some network drives, or one that may be
        written and not read) is left out.
    """
    paths = list(paths)
    if len(paths) > 1:
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for _ in pool.map(_sync_one, paths):
                    pass
            return
        except RuntimeError:  # the system gives no more threads, or the interpreter ends
            pass
    for path in paths:
        _sync_one(path)


def keep_names(folders: Iterable[Path]) -> None:
    """Have the disk keep the new names in folders; what is in its place by now is reported as done in any case."""
    try:
        sync(folders)
    except OSError as error:
        _log.warning("a new name may not survive a power cut: %s", error)


def _sync_one(path: Path) -> None:
    is_folder = path.is_dir()
    if os.name == "nt" and is_folder:
        return
    try:
        file = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except PermissionError:
        if not is_folder:
            raise
        return
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(file)


def _all_in(path: Path) -> list[Path]:
    """A file; or the files and folders in a folder, and the folder itself."""
    if not path.is_dir():
        return [path]
    return [Path(folder, name) for folder, _, names in os.walk(path) for name in (*names, ".")]


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it; the disk then has them. Raises `OSError`."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        keep_names([new.parent])


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
        discard(path)
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
                discard(Path(entry.path))
                _unlock(lock)


def _locked(path: Path, *, wait: bool) -> int | None:
    """An open, locked file descriptor, which ends with the process; None if it is in use, or has no lock."""
    if os.name == "nt":  # where a locked file cannot be renamed
        return None
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:  # another user's, or gone
        return None
    try:
        if try_lock(file, wait=wait) is LockState.MINE:
            return file
    except OSError:
        os.close(file)
        return None
    os.close(file)
    return None


def _unlock(lock: int | None) -> None:
    if lock is not None:
        unlock(lock)
        os.close(lock)


def discard(path: Path) -> None:
    """Delete a file or folder that nobody needs. One that a failing disk keeps disturbs nothing, so it is left."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def cannot_write(folder: Path, path: Path, error: OSError) -> StoreError:
    """The error to raise: no permission concerns the folder, a full disk or a file in the way concerns the path."""
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return SessionReadOnly(folder, f"{error.strerror or error}{another_users(path)}")
    if in_the_way := file_in_the_way(path, error):
        return StoreError(
            f"{path}: cannot be written: {in_the_way}. Nothing was changed: choose another folder, or move the file "
            "away."
        )
    do = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "check that disk"
    return StoreError(
        f"{path}: cannot be written ({error.strerror or error}). Nothing of it was kept and what was there "
        f"before is as it was: {do} or choose another folder, then run again."
    )


def file_in_the_way(path: Path, error: OSError) -> str:
    """Part of a message: the file that is where a path needs a folder; "" if the error is another one."""
    if not isinstance(error, FileExistsError | NotADirectoryError):
        return ""
    files = (place for place in (path, *path.parents) if place.exists() and not place.is_dir())
    return next((f"{file} is a file, not a folder" for file in files), "")


def another_users(path: Path) -> str:
    """Part of a message: what of a path that cannot be written is another user's; "" if nothing is."""
    if not hasattr(os, "geteuid"):
        return ""
    try:
        place = next(place for place in (path, *path.parents) if os.path.lexists(place))
        place = place if not os.access(place, os.W_OK) else place.parent
        found = place.stat()
    except (StopIteration, OSError):
        return ""
    if found.st_uid == os.geteuid():
        return ""
    return f", {place} is another user's: to share a folder, both need one group, and umask 002"
