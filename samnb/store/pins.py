"""`Pins`: keys that a running process keeps from eviction, known to all processes that share a folder.

Each holder has one file in ``folder/pins/`` and keeps a kernel lock on it. A file whose lock is free was left by a
process that ended, and has no effect.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ..atomic_files import discard
from ..file_locks import FileLock, LockState, open_to_read
from .entry import check_key

_LARGEST = 1 << 26  # bytes of a file of pins: a million keys
_log = logging.getLogger("samnb.cache")


class Pins:
    """The pins of one cache object; reads those of all others.

    Parameters
    ----------
    folder : Path
        The folder of entries; ``pins/`` in it is made with the first pin.
    """

    def __init__(self, folder: Path):
        self._folder = folder / "pins"
        self._own: set[str] = set()
        self._file: Path | None = None
        self._finalizer: Callable[[], object] | None = None
        self._lock = threading.RLock()

    def add(self, keys: Iterable[str]) -> None:
        """Keep these too. Raises `OSError` where the file cannot be written."""
        new = {check_key(key) for key in keys}
        with self._lock:
            self._set(self._own | new)

    def discard(self, keys: Iterable[str]) -> None:
        """Unpin these; where the file cannot be written, the next change writes it."""
        with self._lock:
            kept = self._own - set(keys)
            try:
                self._set(kept)
            except OSError as error:  # a full disk must not fail a read
                _log.debug("%s: pins not noted: %s", self._file, error)
                self._own = kept

    def clear(self) -> None:
        """Unpin all."""
        with self._lock:
            self._own = set()
            if self._finalizer is not None:
                self._finalizer()
            self._file = self._finalizer = None

    def reset_after_fork(self) -> None:
        """Hold no pins in a forked child: the file and its lock are the parent's."""
        self._own, self._file, self._finalizer = set(), None, None
        self._lock = threading.RLock()

    def of_all_processes(self) -> set[str]:
        """Keys that any running process has pinned; files of ended processes are deleted."""
        kept = set(self._own)
        try:
            if self._folder.is_symlink():  # what it leads to is not of this folder
                return kept
            files = [path for path in self._folder.iterdir() if path.suffix == ".pins" and path != self._file]
        except FileNotFoundError:
            return kept
        for path in files:
            lock = FileLock(path.with_suffix(".lock"))
            try:
                free = lock.acquire(timeout=0) and lock.state is LockState.MINE
            except OSError:  # another user's process, which may be running; or what is no file
                free = False
            if free:
                with suppress(OSError):  # another user's, in a folder where only its owner may delete; or a folder
                    self._release(lock, path)
            else:  # also where there are no locks
                lock.release()
                kept |= _keys_in(path)
        return kept

    def _set(self, keys: set[str]) -> None:
        if keys == self._own:
            return
        if not keys:
            self.clear()
            return
        if self._file is None or not self._folder.is_dir():  # the folder was deleted
            self.clear()
            self._start()
        assert self._file is not None
        temporary = self._file.with_suffix(".new")
        temporary.write_text("\n".join(sorted(keys)))
        os.replace(temporary, self._file)
        self._own = keys

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:12]}.pins"
        lock = FileLock(file.with_suffix(".lock"))
        lock.acquire()
        self._file, self._finalizer = file, weakref.finalize(self, Pins._release_in, os.getpid(), lock, file)

    @staticmethod
    def _release_in(pid: int, lock: FileLock, file: Path) -> None:
        if pid == os.getpid():  # a forked child ends without taking its parent's pins away
            Pins._release(lock, file)

    @staticmethod
    def _release(lock: FileLock, file: Path | None) -> None:
        try:
            for path in () if file is None else (file, file.with_suffix(".new")):
                discard(path)
        finally:
            lock.release()
        discard(lock.path)


def _keys_in(path: Path) -> set[str]:
    try:
        with open(open_to_read(path), "rb", buffering=0) as file:
            text = file.read(_LARGEST + 1).decode("ascii")
    except (OSError, ValueError) as error:  # gone, another user's, or none that a cache object wrote
        if not isinstance(error, FileNotFoundError):
            _log.debug("%s: not read: %s", path, error)
        return set()
    return set(text.split()) if len(text) <= _LARGEST else set()
