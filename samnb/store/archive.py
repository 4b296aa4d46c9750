"""Export and import of a cache as one uncompressed tar file.

Entries of an archive are verified, and stored by their key: a name in an archive is never used as a path.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from ..atomic_files import cannot_write, make_folder, publish, remove_stale, staging_path
from ..cards import more_text
from ..errors import NoRoom, StoreError
from .entry import LARGEST, EntryDamaged, verify
from .stats import CacheStats

_NAME = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})\.safetensors")
_FIRST = 20


class EntryStore(Protocol):
    """The protocol of a cache for an archive; `samnb.EmbeddingCache` implements it."""

    folder: Path | None

    def keys(self) -> Iterator[str]:
        """Every key."""
        ...

    def raw(self, key: str) -> bytes | None:
        """The bytes of an entry, not verified."""
        ...

    def add_raw(self, key: str, raw: bytes) -> bool:
        """Verify and keep the bytes of an entry; False if it is here already."""
        ...

    def sync(self) -> None:
        """Have the disk keep what was added."""
        ...

    def stats(self) -> CacheStats:
        """Counts; an import reads ``evicted``."""
        ...


@dataclass(frozen=True)
class ArchiveReport:
    """The result of an export into an archive, or of an import from one.

    Parameters
    ----------
    path : Path
    entries : int
        Sound ones, in the archive.
    added : int
        Entries that were not here before; of an export, all.
    rejected : tuple of (name, reason)
        Damaged entries, and files that are not embeddings.
    stopped : str
        Why not all of the archive was read; empty if it was.
    evicted : int
        Embeddings that an import evicted to make room, possibly some of its own.
    """

    path: Path
    entries: int
    added: int
    rejected: tuple[tuple[str, str], ...] = ()
    stopped: str = ""
    evicted: int = 0

    @property
    def ok(self) -> bool:
        """True if the whole archive was read and all entries were sound."""
        return not self.rejected and not self.stopped

    def __str__(self) -> str:
        there = f", {self.entries - self.added:,} were there already" if self.added < self.entries else ""
        lines = [f"{self.path}: {self.entries:,} embeddings, {self.added:,} added{there}"]
        if self.evicted:
            lines.append(
                f"  {self.evicted:,} evicted to make room, those used longest ago: raise the budget to keep all"
            )
        lines += [f"  not taken: {name}: {reason}" for name, reason in self.rejected[:_FIRST]]
        lines += [f"  {more}"] if (more := more_text(len(self.rejected), _FIRST)) else []
        lines += [f"  stopped before its end: {self.stopped}"] if self.stopped else []
        return "\n".join(lines)


def export_entries(cache: EntryStore, path: Path | str, *, keys: Iterable[str] | None = None) -> ArchiveReport:
    """Write embeddings into one file, which is complete or absent.

    Parameters
    ----------
    keys : iterable of str, optional
        Only these; None: all. A damaged entry is left out and reported.

    Raises
    ------
    StoreError
        The file cannot be written, or the cache has no folder.
    """
    if cache.folder is None:
        raise StoreError("This cache is in memory only and has no files to export; make it with a folder.")
    path = Path(path).expanduser().absolute()
    rejected: list[tuple[str, str]] = []
    written = 0
    try:
        make_folder(path.parent)
        remove_stale(path.parent)
        with staging_path(path.parent) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
            for key in sorted(cache.keys() if keys is None else keys):
                try:
                    if (raw := cache.raw(key)) is None:
                        continue  # evicted since it was listed
                    verify(raw, key)
                except StoreError as error:  # damaged, or on a bad sector
                    rejected.append((key, str(error)))
                else:
                    _append(archive, key, raw)
                    written += 1
            archive.close()  # before it is renamed
            publish(temporary, path)
    except StoreError:  # which is an OSError too
        raise
    except OSError as error:
        raise cannot_write(path.parent, path, error) from error
    return ArchiveReport(path, written, written, tuple(rejected))


def import_entries(cache: EntryStore, path: Path | str) -> ArchiveReport:
    """Import the sound entries of an archive; existing ones are not written again. May be repeated.

    If the budget is full, the entries used longest ago are evicted, as by any other write; the report has the number.

    Raises
    ------
    StoreError
        There is no such archive, or the cache cannot be written.
    """
    path = Path(path).expanduser().absolute()
    found = added = 0
    rejected: list[tuple[str, str]] = []
    stopped = ""
    evicted = cache.stats().evicted
    with _opened(path) as archive:
        try:
            for member in archive:
                if member.size < 0:  # which would lead back to what was read already, for ever
                    raise tarfile.ReadError(f"{member.name!r} claims {member.size} bytes")
                name = _NAME.fullmatch(member.name)
                if not name or not member.isreg() or member.issparse() or member.size > LARGEST:
                    rejected.append((repr(member.name), "not an embedding of this store"))
                    continue
                try:
                    added += cache.add_raw(name[3], _bytes_of(archive, member))
                except EntryDamaged as error:
                    rejected.append((member.name, str(error)))
                else:
                    found += 1
        except NoRoom as error:
            stopped = str(error)
        except StoreError:  # which is an OSError too
            raise
        except OSError as error:
            stopped = f"cannot be read ({error.strerror or error})"
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            stopped = f"truncated or damaged ({error})"
    cache.sync()
    evicted = cache.stats().evicted - evicted
    return ArchiveReport(path, found, added, tuple(rejected), stopped or _cut_off(path), evicted)


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        make = "Make one with: samnb cache export"
        raise StoreError(f"{path}: not an archive of embeddings ({error}). {make}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _append(archive: tarfile.TarFile, key: str, raw: bytes) -> None:
    member = tarfile.TarInfo(f"{key[:2]}/{key[2:4]}/{key}.safetensors")
    member.size, member.mode = len(raw), 0o644
    archive.addfile(member, BytesIO(raw))


def _bytes_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    raw = b"" if file is None else file.read()
    if len(raw) != member.size:
        raise tarfile.ReadError(f"{member.name} has {len(raw):,} of {member.size:,} bytes")
    return raw


def _cut_off(path: Path) -> str:
    """Whether the tar ends with two blocks of zeros; without them it was cut between two members."""
    with suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 1024))
        return "" if not any(file.read()) else "the archive has no end: it was cut off"
    return ""
