"""A folder of entries: files that appear whole, are verified when read, and are never changed in place.

``folder/ab/cd/<key>.safetensors`` the entries, two levels so that no folder grows too long;
``folder/quarantine/`` what was found damaged; ``folder/locks/`` a lock file for each first two digits.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .entries import EntryDamaged, check_key, unpack
from .errors import StoreError
from .files import cannot_write
from .prompts import Embedding

__all__ = ["LOCK_TIMEOUT", "STALE_AFTER", "CacheReport", "EntryFolder"]

LOCK_TIMEOUT = 600.0  # seconds to wait for another process to compute; then this one computes too
STALE_AFTER = 3600.0  # seconds after which a temporary file belongs to a writer that died

_SUFFIX = ".safetensors"
_TEMPORARY = ".tmp-"
_log = logging.getLogger("samnb.cache")


@dataclass(frozen=True)
class CacheReport:
    """What `EmbeddingCache.check` found.

    Parameters
    ----------
    entries : int
        Sound ones.
    damaged : tuple of (path, reason)
        Entries that will be computed again; moved to quarantine when `fixed`.
    unreadable : tuple of (path, reason)
        Files that could not be opened, so nothing is known of them; never moved.
    stale_temporary : tuple of path
        Left by writers that died more than an hour ago; deleted when `fixed`.
    quarantined : int
        Files in quarantine now. They are yours to look at and delete.
    fixed : bool
        Whether it was asked to put right what it found.
    """

    entries: int
    damaged: tuple[tuple[Path, str], ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()
    stale_temporary: tuple[Path, ...] = ()
    quarantined: int = 0
    fixed: bool = False

    @property
    def ok(self) -> bool:
        """True when nothing is wrong, or nothing any more."""
        return not self.unreadable and (self.fixed or not (self.damaged or self.stale_temporary))

    def _repr_html_(self) -> str:
        verdict = "all sound" if self.ok else "needs a look"
        rows = {
            "sound": self.entries,
            "damaged": len(self.damaged),
            "unreadable": len(self.unreadable),
            "stale temporary files": len(self.stale_temporary),
            "in quarantine": self.quarantined,
        }
        cells = "".join(f"<tr><th>{name}</th><td>{count:,}</td></tr>" for name, count in rows.items())
        done = " (fixed)" if self.fixed and (self.damaged or self.stale_temporary) else ""
        return f"<table><caption>Embeddings: {verdict}{done}</caption>{cells}</table>"


class EntryFolder:
    """The files of one embedding cache; several processes may share the folder.

    Making the object touches no file: the folder is made by the first `write`.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path_of(self, key: str) -> Path:
        """Where the entry lies or would lie."""
        return self.folder / check_key(key)[:2] / key[2:4] / (key + _SUFFIX)

    def __contains__(self, key: str) -> bool:
        path = self.path_of(key)
        try:
            return stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _cannot_read(path, error) from error

    def keys(self) -> Iterator[str]:
        """Every key that has a file, in no order."""
        return (path.stem for path in self._files() if _is_entry(path))

    def sizes(self) -> Iterator[int]:
        """Bytes of every entry, in no order."""
        for path in self._files():
            if _is_entry(path) and (found := _stat(path)):
                yield found.st_size

    def read(self, key: str) -> Embedding | None:
        """The verified embedding, or None where there is no file.

        Raises
        ------
        EntryDamaged
            The file was not what it should be, and has been moved to quarantine.
        StoreError
            The file could not be opened: nothing is known of it, so it stays.
        """
        path = self.path_of(key)
        try:
            return self._verify(path)
        except FileNotFoundError:
            return None
        except EntryDamaged as error:
            self._quarantine(path, error)
            raise
        except OSError as error:
            raise _cannot_read(path, error) from error

    def write(self, key: str, raw: bytes) -> None:
        """Publish one file whole, or leave no trace.

        Raises
        ------
        SessionReadOnly, StoreError
            The folder cannot be written, or the disk is full.
        """
        path = self.path_of(key)
        temporary = path.with_name(f"{_TEMPORARY}{_host()}-{os.getpid()}-{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(temporary, "xb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._cannot_write(path, error) from error

    def remove(self, key: str) -> bool:
        """Delete one file; True if it was there."""
        path = self.path_of(key)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._cannot_write(path, error) from error
        return True

    @contextmanager
    def one_process(self, key: str) -> Iterator[None]:
        """Hold the lock that `key` shares with a 256th of all keys; it is freed when its holder dies."""
        from filelock import FileLock, Timeout  # 60 ms that reading alone need not pay

        path = self.folder / "locks" / f"{check_key(key)[:2]}.lock"
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=LOCK_TIMEOUT)
        except Timeout:
            _log.warning("%s: held by another process for %g s; computing anyway", path, LOCK_TIMEOUT)
        except OSError as error:
            raise self._cannot_write(path, error) from error
        try:
            yield
        finally:
            lock.release()

    def check(self, *, fix: bool = False) -> CacheReport:
        """Read and verify every file; see `EmbeddingCache.check`."""
        sound = 0
        damaged: list[tuple[Path, str]] = []
        unreadable: list[tuple[Path, str]] = []
        stale: list[Path] = []
        for path in self._files():
            try:
                if path.name.startswith(_TEMPORARY):
                    stale += [path] if time.time() - path.stat().st_mtime > STALE_AFTER else []
                elif path.suffix == _SUFFIX:
                    self._verify(path)
                    sound += 1
            except FileNotFoundError:
                continue  # published or removed since it was listed
            except EntryDamaged as error:
                damaged.append((path, str(error)))
                if fix:
                    self._quarantine(path, error, must=True)
            except OSError as error:
                unreadable.append((path, str(error)))
        if fix:
            self._delete(stale)
        held = self._held_in_quarantine()
        return CacheReport(sound, tuple(damaged), tuple(unreadable), tuple(stale), held, fix)

    def _verify(self, path: Path) -> Embedding:
        with open(path, "rb", buffering=0) as file:
            raw, found = file.readall(), os.fstat(file.fileno())
        try:
            if not _is_entry(path):
                raise EntryDamaged("it lies where no key looks for it")
            return unpack(raw, path.stem)
        except EntryDamaged as error:
            error.file_read = _identity(found)
            raise

    def _quarantine(self, path: Path, error: EntryDamaged, *, must: bool = False) -> None:
        aside = self.folder / "quarantine" / f"{path.name}.{uuid.uuid4().hex[:8]}"
        found = _stat(path)
        if found is None or _identity(found) != error.file_read:
            return  # another process has moved it, and perhaps published a sound one since
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, aside)
        except FileNotFoundError:
            return
        except OSError as failure:
            if must:
                raise self._cannot_write(aside, failure) from failure
            _log.warning("%s: damaged (%s); not used, and cannot be moved: %s", path, error, failure.strerror)
        else:
            _log.warning("%s: damaged (%s); moved to %s, it will be computed again", path, error, aside)

    def _delete(self, paths: list[Path]) -> None:
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise self._cannot_write(path, error) from error

    def _held_in_quarantine(self) -> int:
        try:
            return len(os.listdir(self.folder / "quarantine"))
        except FileNotFoundError:
            return 0

    def _files(self) -> Iterator[Path]:
        """Every file two levels down; folders may come and go meanwhile."""
        for first in _folders(self.folder):
            for second in _folders(first):
                yield from (Path(entry.path) for entry in _list(second) if entry.is_file())

    def _cannot_write(self, path: Path, error: OSError) -> StoreError:
        return cannot_write(self.folder, path, error)


def _folders(folder: str | Path) -> list[str]:
    two_digits = (entry for entry in _list(folder) if re.fullmatch("[0-9a-f]{2}", entry.name))
    return [entry.path for entry in two_digits if entry.is_dir()]


def _list(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _cannot_read(folder, error) from error


def _cannot_read(path: str | Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"{path}: cannot be read ({reason}) and was left as it is: check permissions and disk.")


def _is_entry(path: Path) -> bool:
    key = path.stem
    if path.suffix != _SUFFIX or not re.fullmatch("[0-9a-f]{64}", key):
        return False
    return (path.parent.parent.name, path.parent.name) == (key[:2], key[2:4])


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _host() -> str:
    return re.sub("[^A-Za-z0-9.]+", "_", socket.gethostname())[:60]
