"""Keys that a living process does not want evicted, told to all processes that share a folder.

Each holder has one file in ``folder/pins/`` and keeps a kernel lock on it. A file whose lock is free was left by a
process that died, and means nothing any more.
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
from typing import Any

from .entry import check_key

__all__ = ["Pins"]

_log = logging.getLogger("samnb.cache")


class Pins:
    """The pins of one cache object, and the sight of everybody's.

    Parameters
    ----------
    folder : Path
        The folder of entries; ``pins/`` in it is made with the first pin.
    """

    def __init__(self, folder: Path):
        self._folder = folder / "pins"
        self._mine: set[str] = set()
        self._file: Path | None = None
        self._at_end: Callable[[], object] | None = None
        self._changing = threading.RLock()

    def add(self, keys: Iterable[str]) -> None:
        """Keep these too. Raises `OSError` where that cannot be told to others."""
        new = {check_key(key) for key in keys}
        with self._changing:
            self._set(self._mine | new)

    def discard(self, keys: Iterable[str]) -> None:
        """Let go of these; where that cannot be told to others, they are told with the next change."""
        with self._changing:
            kept = self._mine - set(keys)
            try:
                self._set(kept)
            except OSError as error:  # a full disk must not fail whoever only wants another image
                _log.debug("%s: pins not noted: %s", self._file, error)
                self._mine = kept

    def clear(self) -> None:
        """Let go of all."""
        with self._changing:
            self._mine = set()
            if self._at_end is not None:
                self._at_end()
            self._file = self._at_end = None

    def forget(self) -> None:
        """After a fork: the file and its lock are the parent's."""
        self._mine, self._file, self._at_end = set(), None, None
        self._changing = threading.RLock()

    def everyones(self) -> set[str]:
        """All keys that somebody alive wants kept; files of the dead are deleted."""
        from filelock import FileLock, Timeout

        kept = set(self._mine)
        try:
            files = [path for path in self._folder.iterdir() if path.suffix == ".pins" and path != self._file]
        except FileNotFoundError:
            return kept
        for path in files:
            lock = FileLock(path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except (Timeout, PermissionError):  # another user's, of whom nothing can be told: it may be alive
                kept |= _keys_in(path)
            else:
                with suppress(PermissionError):  # another user's, in a folder where only that user deletes
                    self._release(lock, path)
        return kept

    def _set(self, keys: set[str]) -> None:
        if keys == self._mine:
            return
        if not keys:
            self.clear()
            return
        if self._file is None or not self._folder.is_dir():  # somebody deleted it all
            self.clear()
            self._start()
        assert self._file is not None
        temporary = self._file.with_suffix(".new")
        temporary.write_text("\n".join(sorted(keys)))
        os.replace(temporary, self._file)
        self._mine = keys

    def _start(self) -> None:
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:12]}.pins"
        lock = FileLock(file.with_suffix(".lock"), thread_local=False)
        lock.acquire()
        self._file, self._at_end = file, weakref.finalize(self, Pins._release_in, os.getpid(), lock, file)

    @staticmethod
    def _release_in(pid: int, lock: Any, file: Path) -> None:
        if pid == os.getpid():  # a forked child ends without taking its parent's pins away
            Pins._release(lock, file)

    @staticmethod
    def _release(lock: Any, file: Path | None) -> None:
        if file is not None:
            for path in (file, file.with_suffix(".new")):
                path.unlink(missing_ok=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _keys_in(path: Path) -> set[str]:
    try:
        return set(path.read_text().split())
    except (FileNotFoundError, PermissionError):
        return set()
