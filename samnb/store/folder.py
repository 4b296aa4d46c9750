"""A folder of entries: files are complete when they appear, verified when read, and never changed in place.

``folder/ab/cd/<key>.safetensors``: the entries, on two levels so that no folder grows too long; the time of change of
a file is its last use. ``folder/quarantine/``: damaged files. ``folder/trash/``: evicted files before their
deletion. ``folder/locks/``: a lock file for each first two digits. ``folder/usage``: the totals.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from ..atomic_files import cannot_write, discard, keep_names
from ..errors import StoreError
from ..file_locks import FileLock
from ..prompts import Embedding
from .entry import EntryDamaged, check_key
from .entry_files import (
    SUFFIX,
    FoundEntry,
    cannot_read,
    identity,
    is_damaged,
    is_stale,
    key_in,
    key_of,
    list_folder,
    read_bounded,
    read_entry,
    reserved_by,
    shard_of,
    stat_of,
    temporary_beside,
)
from .header import read_header
from .key_locks import KeyLocks
from .usage import SHARDS, Usage, UsageFile

GC_TIMEOUT = 60.0  # seconds to wait for another process that evicts or counts
KEEP_DAMAGED = 64  # damaged files kept for inspection; older ones are deleted
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SECOND = re.compile("[0-9a-f]{2}")
_log = logging.getLogger("samnb.cache")


class EntryFolder:
    """The files of one embedding cache; several processes may share the folder.

    Making the object touches no file: the folder is made by the first `write`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._root = str(folder)
        self.usage = UsageFile(folder / "usage", self._count)
        self._key_locks = KeyLocks(folder / "locks")
        self._unsynced: set[Path] = set()  # folders with new names
        self._failing: dict[str, int] = {}  # by path, how often it could not be looked at

    def path_of(self, key: str) -> Path:
        """The path of the entry, whether it exists or not."""
        return Path(self._path(check_key(key)))

    def stat(self, key: str) -> os.stat_result | None:
        """Size and last use of an entry, or None if there is no file, or none that can be looked at."""
        path = self._path(key)
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._note_failing(path, error)
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def __contains__(self, key: str) -> bool:
        return self.stat(check_key(key)) is not None

    def entries(self) -> Iterator[FoundEntry]:
        """Every entry, unsorted; lists all folders."""
        for shard in range(SHARDS):
            yield from self.entries_of(shard)

    def entries_of(self, shard: int) -> Iterator[FoundEntry]:
        """Every entry whose key begins with these two digits."""
        return iter(self._survey(shard)[0])

    def read(self, key: str) -> Embedding | None:
        """The verified embedding, or None if there is no file, or none that can be opened.

        A bad sector, or a colleague's file that nobody else may read, is a miss, logged once. A file that the disk
        fails to read again is moved to quarantine.

        Raises
        ------
        EntryDamaged
            The file was damaged, and has been moved to quarantine.
        """
        path = self._path(key)
        try:
            return read_entry(path, key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except EntryDamaged as error:
            self.quarantine(Path(path), error)
            raise
        except OSError as error:
            self._note_failing(path, error)
            return None

    def is_blocked(self, key: str) -> bool:
        """Whether the place of this entry holds what could not be looked at, or what is no file."""
        path = self._path(key)
        return path in self._failing or (os.path.lexists(path) and not os.path.isfile(path))

    def read_raw(self, key: str) -> bytes | None:
        """The bytes of the file, not verified; None if there is none."""
        try:
            return read_bounded(self.path_of(key))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.path_of(key), error) from error

    def metadata_of(self, key: str) -> dict[str, str]:
        """The header of an entry, not verified; empty if it cannot be read."""
        return read_header(self._path(key))

    def touch(self, key: str) -> None:
        """Record a use of an entry; ignored without write access."""
        try:
            os.utime(self._path(key), follow_symlinks=os.utime not in os.supports_follow_symlinks)
        except OSError as error:
            _log.debug("%s: its use is not noted: %s", key, error)

    def write(self, key: str, raw: bytes, *, reserve: Callable[[Callable[[], None]], None]) -> None:
        """Publish one file whole, or leave no trace.

        Parameters
        ----------
        reserve : callable
            Records the entry in `usage`, or raises. Called before anything is written, with a function that creates
            an empty temporary file whose name contains the final size.

        Raises
        ------
        SessionReadOnly, StoreError
            The folder cannot be written, or the disk is full.
        """
        path = self.path_of(key)
        temporary = temporary_beside(path, len(raw))
        try:
            if not os.path.isdir(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._check_inside(path)
            try:
                reserve(lambda: open(temporary, "xb").close())
                with open(temporary, "r+b") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                replaced = stat_of(path)
                os.replace(temporary, path)
                self._unsynced.add(path.parent)
            except BaseException:
                discard(temporary)
                raise
        except StoreError:  # which is an OSError too
            raise
        except OSError as error:
            raise self.cannot_write(path, error) from error
        if replaced is not None:
            self.usage.change(shard_of(key), -1, -replaced.st_size)

    def sync(self) -> None:
        """Have the disk keep the names of the entries written since the last call: a power cut loses none of them.

        Not with each entry: it would take as long as writing it, and a lost one is only encoded again.
        """
        named: set[Path] = set()
        with suppress(KeyError):  # taken one by one, since other threads add to them
            while True:
                named.add(self._unsynced.pop())
        if named:
            keep_names({self.folder, *(place.parent for place in named), *named})

    @contextmanager
    def errors_told(self) -> Iterator[None]:
        """What a failing disk answers to any question, as a `StoreError`."""
        try:
            yield
        except StoreError:  # which is an OSError too
            raise
        except OSError as error:
            raise self.cannot_write(Path(error.filename or self.folder), error) from error

    def remove(self, key: str) -> bool:
        """Delete one file; True if it was there."""
        path = self.path_of(key)
        found = stat_of(path)
        try:
            self._check_inside(path)
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self.cannot_write(path, error) from error
        self.usage.change(shard_of(key), -1, -(found.st_size if found else 0))
        return True

    def trash(self, entry: FoundEntry) -> Path | None:
        """Evict an entry, unless it was used since it was listed; the file is deleted later."""
        path, aside = self.path_of(entry.key), self.folder / "trash" / f"{entry.key}.{uuid.uuid4().hex[:8]}"
        found = stat_of(path)
        if found is None or found.st_mtime_ns != entry.used_ns:
            return None
        try:
            try:
                self._move_aside(path, aside)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                aside = path.with_name(aside.name)  # no room even for the folder "trash"
                self._move_aside(path, aside)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            if os.name != "nt":  # where an open file cannot be moved
                raise self.cannot_write(path, error) from error
            return None
        except OSError as error:
            raise self.cannot_write(path, error) from error
        self.usage.change(shard_of(entry.key), -1, -found.st_size)
        return aside

    def in_trash(self) -> list[Path]:
        """Files waiting for deletion: normally none, unless a process died while it evicted."""
        return self._inside("trash")

    def delete(self, paths: Iterable[Path]) -> None:
        """Delete files of the trash, or temporary ones; missing ones are ignored."""
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise self.cannot_write(path, error) from error

    def quarantined(self) -> list[Path]:
        """The damaged files."""
        return self._inside("quarantine")

    def in_quarantine(self) -> int:
        """How many damaged files there are, with what lay in the way of entries, which is never deleted."""
        return len(self._listed(str(self.folder / "quarantine")))

    def in_the_way(self, shard: int) -> Iterator[tuple[Path, str]]:
        """What lies in the place of an entry, or of a folder of entries, and is none; and what it is."""
        first = Path(self._root, f"{shard:02x}")
        seconds = [Path(entry.path) for entry in self._listed(str(first)) if _SECOND.fullmatch(entry.name)]
        for folder in (first, *seconds):
            kind = _kind_of(folder)
            if kind not in ("", "a folder"):
                yield folder, f"{kind}, where a folder of embeddings is expected"
            elif folder is not first:
                for entry in self._listed(str(folder)):
                    if key_of(entry) and (kind := _kind_of(Path(entry.path))) not in ("", "a file", "a link"):
                        yield Path(entry.path), f"{kind}, where the file of an embedding is expected"

    def clear_the_way(self, path: Path) -> None:
        """Move what `in_the_way` found to quarantine, where it stays. Raises `StoreError`."""
        aside = self.folder / "quarantine" / f"{path.name}.{uuid.uuid4().hex[:8]}"
        try:
            self._move_aside(path, aside)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.cannot_write(aside, error) from error
        _log.warning("%s: in the way of embeddings; moved to %s", path, aside)

    def lock_key(self, key: str, *, until: ExitStack) -> StoreError | None:
        """Hold the lock that `key` shares with a 256th of all keys; the kernel frees it when its holder ends.

        Returns the error if the folder takes no lock: a remote tier may have the entry.
        """
        try:
            self._key_locks.hold(check_key(key), until=until)
        except OSError as error:
            return self.cannot_write(self._key_locks.folder / f"{key[:2]}.lock", error)
        return None

    @contextmanager
    def lock(self, name: str, *, timeout: float) -> Iterator[bool]:
        """Hold ``locks/<name>.lock`` against all other processes and threads; False if it was not free in time.

        On a disk that has no room even for the lock's file, there is no lock: what makes room must not need some.

        Raises
        ------
        SessionReadOnly, StoreError
            The folder cannot be written.
        """
        lock = FileLock(self.folder / "locks" / f"{name}.lock")
        try:
            lock.path.parent.mkdir(parents=True, exist_ok=True)
            held = lock.acquire(timeout=timeout)
        except OSError as error:
            if error.errno not in _FULL:
                raise self.cannot_write(lock.path, error) from error
            held = True
        try:
            yield held
        finally:
            lock.release()

    def recount(self, shard: int) -> tuple[list[FoundEntry], list[Path]]:
        """List a shard and correct its counts: its entries, and temporary files of writers that died."""
        before = self.usage.of(shard)
        entries, announced, stale = self._survey(shard)
        try:
            self.usage.correct(shard, _total(entries, announced), before)
        except FileNotFoundError:
            pass  # nothing was ever counted here
        except OSError as error:
            raise self.cannot_write(self.folder / "usage", error) from error
        return entries, stale

    def _path(self, key: str) -> str:
        # os.path.join would take a tenth of the time of a prewarm whose images are all cached.
        return f"{self._root}{os.sep}{key[:2]}{os.sep}{key[2:4]}{os.sep}{key}{SUFFIX}"

    def _count(self, shard: int) -> Usage:
        entries, announced, _ = self._survey(shard)
        return _total(entries, announced)

    def _survey(self, shard: int) -> tuple[list[FoundEntry], list[int], list[Path]]:
        """The entries of a shard, the sizes of those being written, and the leftovers of writers that died."""
        entries: list[FoundEntry] = []
        announced: list[int] = []
        stale: list[Path] = []
        for found in self.files(shard):
            try:
                if (entry := _entry_at(found)) is not None:
                    entries.append(entry)
                elif is_stale(found):
                    stale.append(Path(found.path))
            except OSError as error:
                self._note_failing(found.path, error)
            if (size := reserved_by(found.name)) is not None:
                announced.append(size)
        return entries, announced, stale

    def quarantine(self, path: Path, error: EntryDamaged, *, must: bool = False) -> None:
        """Quarantine a damaged file, unless a sound one has replaced it; `must`: raise if it cannot be moved."""
        aside = self.folder / "quarantine" / f"{path.name}.{uuid.uuid4().hex[:8]}"
        found = stat_of(path)
        if found is None or identity(found) != error.file_read or not is_damaged(path):
            return  # another process has moved it, and perhaps published a sound one since
        try:
            self._move_aside(path, aside)
        except FileNotFoundError:
            return
        except OSError as failure:
            if must:
                raise self.cannot_write(aside, failure) from failure
            _log.warning("%s: damaged (%s); not used, and cannot be moved: %s", path, error, failure.strerror)
            return
        if key_in(str(path)):
            self.usage.change(shard_of(path.stem), -1, -found.st_size)
        _log.warning("%s: damaged (%s); moved to %s, it will be computed again", path, error, aside)
        self._keep_few_damaged()

    def set_aside(self, key: str, reason: str) -> bool:
        """Move a file to quarantine that is sound and not what it should be; False if there is none, or it stays."""
        path = self.path_of(key)
        aside = self.folder / "quarantine" / f"{path.name}.{uuid.uuid4().hex[:8]}"
        try:
            size = path.stat().st_size
            self._move_aside(path, aside)
        except OSError as error:
            _log.warning("%s: %s; not used, and cannot be moved: %s", path, reason, error.strerror or error)
            return False
        self.usage.change(shard_of(key), -1, -size)
        _log.warning("%s: %s; moved to %s, it will be computed again", path, reason, aside)
        self._keep_few_damaged()
        return True

    def _keep_few_damaged(self) -> None:
        """Limit the quarantine: on a failing disk it would grow without end, since no budget counts it."""
        try:
            found = [(stat.st_mtime_ns, path) for path in self.quarantined() if (stat := stat_of(path)) is not None]
            self.delete(path for _, path in sorted(found)[:-KEEP_DAMAGED])
        except StoreError as error:
            _log.debug("%s", error)

    def files(self, shard: int) -> Iterator[os.DirEntry[str]]:
        """Every file two levels down; folders may come and go meanwhile.

        Links are left out: what they lead to is not of this folder. So are folders that cannot be listed.
        """
        first = f"{self._root}/{shard:02x}"
        for second in self._listed(first):
            if _SECOND.fullmatch(second.name) and second.is_dir(follow_symlinks=False):
                yield from (entry for entry in self._listed(second.path) if entry.is_file(follow_symlinks=False))

    def _listed(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            return [] if os.path.islink(folder) else list_folder(folder)
        except StoreError as error:
            self._note_failing(folder, error.__cause__ if isinstance(error.__cause__, OSError) else error)
            return []

    def _inside(self, name: str) -> list[Path]:
        """The files of one of its own folders, which may all be deleted."""
        return [Path(entry.path) for entry in self._listed(str(self.folder / name)) if not entry.is_dir()]

    def _check_inside(self, path: Path) -> None:
        """Refuse to change a file behind a link: users who may write here could have it deleted anywhere."""
        for folder in takewhile(lambda folder: folder != self.folder, path.parents):
            if os.path.islink(folder):
                raise StoreError(
                    f"{folder}: a link, where a folder of embeddings is expected. Nothing behind it is changed: delete "
                    "the link, and the embeddings are computed again."
                )

    def _move_aside(self, path: Path, aside: Path) -> None:
        """Move a file to the trash or to quarantine."""
        self._check_inside(path)
        aside.parent.mkdir(parents=True, exist_ok=True)
        self._check_inside(aside)
        os.replace(path, aside)

    def _note_failing(self, path: str, error: OSError) -> None:
        """Log once that a file or folder cannot be looked at; move a file aside that the disk fails to read again."""
        times = self._failing[path] = self._failing.get(path, 0) + 1
        if times == 1:
            reason = error.strerror or error
            _log.warning("%s: cannot be read (%s), and is not used: check permissions and disk.", path, reason)
        elif error.errno in (errno.EIO, errno.ELOOP) and key_in(path):
            aside = self.folder / "quarantine" / f"{os.path.basename(path)}.{uuid.uuid4().hex[:8]}"
            try:
                self._move_aside(Path(path), aside)
            except OSError as failure:
                _log.debug("%s: cannot be moved aside: %s", path, failure)
            else:
                del self._failing[path]
                _log.warning("%s: cannot be read (%s); moved to %s", path, error.strerror, aside)

    def cannot_write(self, path: Path, error: OSError) -> StoreError:
        """The error to raise if a file here cannot be written."""
        return cannot_write(self.folder, path, error)


def _entry_at(found: os.DirEntry[str]) -> FoundEntry | None:
    if not (key := key_of(found)):
        return None
    try:
        has = found.stat()
    except FileNotFoundError:
        return None  # removed since it was listed
    return FoundEntry(has.st_mtime_ns, has.st_size, key)


def _kind_of(path: Path) -> str:
    """What is there, without following links; empty for nothing."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # a folder or disk that answers nothing is noted where it is listed
        return ""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "neither file nor folder")


def _total(entries: list[FoundEntry], announced: list[int]) -> Usage:
    return Usage(len(entries) + len(announced), sum(entry.size for entry in entries) + sum(announced))
