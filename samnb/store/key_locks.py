"""`KeyLocks`: one of the processes that share a folder computes an embedding, and the others wait for it.

A lock belongs to a 256th of all keys. Its holder touches the file every `BEAT_EVERY` seconds. A holder that is stopped
(Ctrl-Z, a paused container, a computer that sleeps) does not, and is passed by: both then compute the same, which costs
time and changes nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from ..file_locks import FileLock, LockState

LOCK_TIMEOUT = 600.0  # seconds to wait for another process that computes; then this one computes too
SAY_AFTER = 5.0  # seconds of waiting until the log says so
STOPPED_AFTER = 10.0  # seconds without a sign of life
BEAT_EVERY = 2.0

_log = logging.getLogger("samnb.cache")


class KeyLocks:
    """The locks of one folder of entries.

    Parameters
    ----------
    folder : Path
        "locks" in the folder of entries; made with the first lock.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._passed: dict[str, int] = {}  # by lock, the last sign of life of a holder that was passed by

    def hold(self, key: str, *, until: ExitStack) -> None:
        """Hold the lock of a key, or pass by a holder that is stopped or takes too long; it is logged.

        Raises
        ------
        OSError
            The lock file cannot be made.
        """
        name = f"{key[:2]}.lock"
        if not os.path.isdir(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock, waiting = FileLock(self.folder / name), _Waiting(self.folder / name, self._passed.get(name))
        if lock.acquire(timeout=LOCK_TIMEOUT, go_on=waiting.go_on):
            self._passed.pop(name, None)
            until.callback(lock.release)
            if lock.state is LockState.MINE:
                _heart.beat_for(lock, until)
            return
        if waiting.beat is not None and waiting.stopped:
            self._passed[name] = waiting.beat
        _log.warning(
            "%s: held by another process %s; computing anyway",
            *(key, "that is stopped" if waiting.stopped else f"for {LOCK_TIMEOUT:g} s"),
        )


class _Waiting:
    """What a waiting process knows of the holder."""

    def __init__(self, path: Path, passed: int | None):
        self.beat, self.stopped = passed, False
        self._path, self._passed = path, passed
        self._began = self._seen = time.monotonic()
        self._said = False

    def go_on(self, found: os.stat_result) -> bool:
        """Whether to wait on; by the changes of the file's time, since clocks of two computers differ."""
        now = time.monotonic()
        if found.st_mtime_ns != self.beat:
            self.beat, self._seen, self._passed = found.st_mtime_ns, now, None
        if _heart.is_ours(self._path):  # another thread of this process, which needs no watching
            self._seen = self._began = now
            return True
        self.stopped = self._passed is not None or now - self._seen > STOPPED_AFTER
        if now - self._began > SAY_AFTER and not self._said:
            self._said = True
            _log.warning("%s: waiting for another process that computes an embedding", self._path)
        return not self.stopped


class _Heart:
    """Touches the locks that this process holds, by one thread that ends when there are none."""

    def __init__(self) -> None:
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self._held: dict[FileLock, None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def beat_for(self, lock: FileLock, until: ExitStack) -> None:
        self._touch(lock)
        with self._lock:
            self._held[lock] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="samnb holds locks", daemon=True)
                self._thread.start()
        until.callback(self._forget, lock)

    def is_ours(self, path: Path) -> bool:
        with self._lock:
            return any(lock.path == path for lock in self._held)

    def _forget(self, lock: FileLock) -> None:
        with self._lock:
            self._held.pop(lock, None)

    def _work(self) -> None:
        while True:
            time.sleep(BEAT_EVERY)
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
                for lock in self._held:
                    self._touch(lock)

    @staticmethod
    def _touch(lock: FileLock) -> None:
        try:
            lock.touch()
        except OSError as error:  # another user's file: waiting processes pass this one by after a while
            _log.debug("%s: no sign of life: %s", lock.path, error)


_heart = _Heart()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_heart.reset_after_fork)
