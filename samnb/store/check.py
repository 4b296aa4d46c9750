"""Looking at a whole folder of entries: is every file sound, how many are there, and of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from .entry import EntryDamaged
from .entry_files import SUFFIX, is_stale, key_of, reserved_by, verify
from .folder import GC_TIMEOUT, EntryFolder
from .stats import CacheReport
from .usage import SLICES, Usage

__all__ = ["check_folder", "count_by", "usage_now"]


def check_folder(disk: EntryFolder, *, fix: bool) -> CacheReport:
    """Read and verify every file; see `EmbeddingCache.check`."""
    sound = miscounted = 0
    damaged: list[tuple[Path, str]] = []
    unreadable: list[tuple[Path, str]] = []
    stale: list[Path] = []
    for slice in range(SLICES):
        before, counted, left = disk.usage.of(slice), 0, len(stale)
        for found in disk.files(slice):
            path, key = Path(found.path), key_of(found)
            try:
                if (reserved := reserved_by(found.name)) is not None:
                    counted += reserved
                if is_stale(found):
                    stale.append(path)
                elif path.suffix == SUFFIX:
                    counted += found.stat().st_size if key else 0
                    verify(found.path, key)
                    sound += 1
            except FileNotFoundError:
                continue  # published or removed since it was listed
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
                disk.recount(slice)
    trash = disk.in_trash()
    if fix:
        disk.delete(trash)
    held = len(disk.quarantined())
    return CacheReport(sound, tuple(damaged), tuple(unreadable), tuple(stale), held, fix, len(trash), miscounted)


def usage_now(disk: EntryFolder, exact_up_to: int) -> Usage:
    """How much a folder holds: listed where it is small, else as noted."""
    noted = disk.usage.total()
    if noted.entries > exact_up_to:
        return noted
    sizes = [entry.size for entry in disk.entries()]
    return Usage(len(sizes), sum(sizes))


def count_by(disk: EntryFolder, name: str, entries: int, exact_up_to: int) -> tuple[Mapping[str, int], bool]:
    """How many entries have each value of a metadatum, the most frequent first; True if reckoned from a part.

    Keys are hashes, so that any slice is a fair sample of the whole.
    """
    counts: Counter[str] = Counter()
    seen = 0
    for slice in range(SLICES):
        for entry in disk.entries_of(slice):
            counts[disk.about(entry.key).get(name, "unknown")] += 1
        seen = counts.total()
        if seen >= exact_up_to:
            break
    sampled = seen < entries
    scale = entries / seen if sampled and seen else 1.0
    return {value: round(count * scale) for value, count in counts.most_common()}, sampled
