"""`check_folder`: verifies every file of a folder of entries, and returns a `CacheReport`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..cards import card, size_text, text_rows
from .entry import EntryDamaged, EntryOfNewer
from .entry_files import SUFFIX, is_stale, key_of, read_entry, reserved_by
from .folder import GC_TIMEOUT, EntryFolder
from .usage import SHARDS


@dataclass(frozen=True)
class CacheReport:
    """The result of `EmbeddingCache.check`.

    Parameters
    ----------
    entries : int
        Sound ones, also those that only a newer samnb can read.
    damaged : tuple of (path, reason)
        Entries that will be computed again, and what lies in the place of one; moved to quarantine if `fixed`.
    unreadable : tuple of (path, reason)
        Files that could not be opened, so their state is unknown, and links in the place of folders; never moved.
    stale_temporary : tuple of path
        Left by writers that died more than an hour ago; deleted when `fixed`.
    quarantined : int
        Files in quarantine now, for inspection; a collection deletes them after a month.
    fixed : bool
        Whether the findings were repaired.
    trash : int
        Evicted files that were not deleted yet; deleted if `fixed`.
    miscounted : int
        Bytes by which the usage file was wrong, for example after a killed process; corrected if `fixed`.
    flags : int
        Images whose `embedding_cached` differed from the store; corrected if `fixed`.
    """

    entries: int
    damaged: tuple[tuple[Path, str], ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()
    stale_temporary: tuple[Path, ...] = ()
    quarantined: int = 0
    fixed: bool = False
    trash: int = 0
    miscounted: int = 0
    flags: int = 0

    @property
    def ok(self) -> bool:
        """True if nothing is wrong, or everything was repaired."""
        return not self.unreadable and (self.fixed or not self._to_fix)

    @property
    def _to_fix(self) -> bool:
        # files that another process is writing or evicting may show as miscounted or in the trash
        return bool(self.damaged or self.stale_temporary or self.flags)

    @property
    def rows(self) -> dict[str, str]:
        """The rows of the card, by name."""
        return {
            "sound": f"{self.entries:,}",
            "damaged": f"{len(self.damaged):,}",
            "unreadable": f"{len(self.unreadable):,}",
            "stale temporary files": f"{len(self.stale_temporary):,}",
            "left in the trash": f"{self.trash:,}",
            "miscounted": size_text(self.miscounted),
            "wrong flags": f"{self.flags:,}",
            "in quarantine": f"{self.quarantined:,}",
        }

    @property
    def _title(self) -> str:
        done = " (fixed)" if self.fixed and self._to_fix else ""
        return f"Embeddings: {'all sound' if self.ok else 'needs a look'}{done}"

    def __str__(self) -> str:
        found = [f"  {path}: {reason}" for path, reason in (*self.damaged, *self.unreadable)]
        return "\n".join([self._title, text_rows(self.rows, 23), *found])

    def _repr_html_(self) -> str:
        return card(self._title, self.rows)


def check_folder(disk: EntryFolder, *, fix: bool) -> CacheReport:
    """Read and verify every file; see `EmbeddingCache.check`. Raises `StoreError` for a disk that cannot be listed."""
    with disk.errors_told():
        return _checked(disk, fix=fix)


def _checked(disk: EntryFolder, *, fix: bool) -> CacheReport:
    sound = miscounted = 0
    damaged: list[tuple[Path, str]] = []
    unreadable: list[tuple[Path, str]] = []
    stale: list[Path] = []
    for shard in range(SHARDS):
        for path, reason in disk.in_the_way(shard):
            if path.is_symlink():  # what it leads to is somebody's
                unreadable.append((path, f"{reason}: nothing behind it is used; delete the link"))
                continue
            damaged.append((path, reason))
            if fix:
                disk.clear_the_way(path)
        before, counted, left = disk.usage.of(shard), 0, len(stale)
        for found in disk.files(shard):
            path, key = Path(found.path), key_of(found)
            try:
                if (reserved := reserved_by(found.name)) is not None:
                    counted += reserved
                if is_stale(found):
                    stale.append(path)
                elif path.suffix == SUFFIX:
                    counted += found.stat().st_size if key else 0
                    read_entry(found.path, key)
                    sound += 1
            except FileNotFoundError:
                continue  # published or removed since it was listed
            except EntryOfNewer:
                sound += 1
            except EntryDamaged as error:
                damaged.append((path, str(error)))
                if fix:
                    disk.quarantine(path, error, must=True)
            except OSError as error:
                unreadable.append((path, str(error)))
        miscounted += 0 if before is None else abs(before.bytes - counted)
        if fix:
            disk.delete(stale[left:])
            with disk.lock("gc", timeout=GC_TIMEOUT):
                disk.recount(shard)
    trash = disk.in_trash()
    if fix:
        disk.delete(trash)
    held = disk.in_quarantine()
    return CacheReport(sound, tuple(damaged), tuple(unreadable), tuple(stale), held, fix, len(trash), miscounted)
