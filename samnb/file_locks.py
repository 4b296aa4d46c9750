"""`FileLock`: an exclusive lock on a file, freed by the kernel when its holder ends; on a disk without locks, none.

Nothing is ever written into a lock file, and a link in its place is not followed: the folder may be shared.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
import sys
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

__all__ = ["FileLock", "LockState", "open_own_file", "open_to_read", "try_lock", "unlock"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK, errno.EWOULDBLOCK}
_POLL = 0.01  # seconds between two tries
_log = logging.getLogger("samnb.cache")


class LockState(Enum):
    """The answer to one try: locked; another has it; or the file system has no locks."""

    MINE, HELD, NO_LOCKS = range(3)


def try_lock(file: int, *, wait: bool = False) -> LockState:
    """Lock an open file for this process; with `wait`, when its holder frees it.

    Some network drives have no locks. Two processes may then do the same work, or change the same count; both goes
    unnoticed or is put right later, while a refusal would close the folder to everybody.

    Raises
    ------
    OSError
        Any other failure.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return LockState.NO_LOCKS
        if error.errno in _HELD:
            return LockState.HELD
        raise
    return LockState.MINE


def unlock(file: int) -> None:
    """Unlock an open file. Closing is not enough: a child forked meanwhile has it open too, and would keep the lock."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, 0, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_UN)
    except OSError as error:  # where there are no locks, or the disk fails: the end of the process frees it
        _log.debug("a lock is not freed: %s", error)


def open_own_file(path: str | Path, *, create: bool = True) -> int:
    """A file descriptor to read and write a file of a shared folder; a link in its place is deleted, not followed.

    Raises
    ------
    OSError
        As it comes; `FileNotFoundError` without `create`.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    for _ in range(100):
        try:
            file = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        else:
            found = os.fstat(file)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                return file
            os.close(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            if found.st_nlink == 0:  # deleted since it was opened
                continue
        os.unlink(path)  # the name in this folder; the file outside has another
        flags |= os.O_CREAT
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def open_to_read(path: str | Path) -> int:
    """A file descriptor to read a regular file of a shared folder: nothing in its place makes opening wait.

    Raises
    ------
    OSError
        As it comes; also for a named pipe, a device or a folder.
    """
    flags = os.O_RDONLY
    for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    file = os.open(path, flags)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


class FileLock:
    """An exclusive lock on a file, against all other processes and threads.

    Parameters
    ----------
    path : Path
        The file, made when missing; its folder must exist. It stays after the release.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.lock"
    >>> with FileLock(path) as lock:
    ...     lock.state, FileLock(path).acquire(timeout=0)
    (<LockState.MINE: 0>, False)
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.state = LockState.HELD
        self._file: int | None = None

    def acquire(self, *, timeout: float = math.inf, go_on: Callable[[os.stat_result], bool] | None = None) -> bool:
        """Wait for the lock; False if it was not free in time. True also where the file system has no locks.

        Parameters
        ----------
        timeout : float
            Seconds; 0 tries once.
        go_on : callable, optional
            Called between two tries with the status of the file that another has locked; False ends waiting.

        Raises
        ------
        OSError
            The file cannot be opened or locked.
        """
        until = time.monotonic() + timeout
        while True:
            file = self._open()
            try:
                self.state = try_lock(file)
                found = os.fstat(file)
                if self.state is not LockState.HELD and found.st_nlink:
                    self._file, file = file, -1
                    return True
            finally:
                if file >= 0:
                    os.close(file)
            if self.state is LockState.HELD:  # else deleted by an earlier holder: another may have made it anew
                if time.monotonic() >= until or (go_on is not None and not go_on(found)):
                    return False
                time.sleep(_POLL)

    def release(self) -> None:
        """Free the lock."""
        file, self._file = self._file, None
        if file is not None:
            try:
                unlock(file)
            finally:
                os.close(file)

    def touch(self) -> None:
        """Set the time of the file, as a sign of life for those who wait."""
        if self._file is not None:
            os.utime(self._file if os.utime in os.supports_fd else self.path)

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def _open(self) -> int:
        try:
            return open_own_file(self.path)
        except PermissionError:
            # Another user's file that only they may write: it can be locked all the same.
            return os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
