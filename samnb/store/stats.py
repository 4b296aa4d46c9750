"""`CacheStats`: the contents of a cache in all its tiers, and counters; `read_stats` collects them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..cards import card, count_text, size_text, text_rows
from .eviction import Evictor
from .folder import EntryFolder
from .memory import MemoryTier
from .remote import TierStats
from .usage import SHARDS, Usage


@dataclass(frozen=True)
class TierUsage:
    """One tier: number of entries, their bytes, and its limits; None if not known."""

    name: str
    entries: int | None
    bytes: int | None
    budget: int | None
    note: str = ""

    def __str__(self) -> str:
        entries = "" if self.entries is None else count_text(self.entries, "embedding")
        size = "" if self.bytes is None else size_text(self.bytes)
        budget = "" if self.budget is None else f"of {size_text(self.budget)}"
        return " · ".join(filter(None, [entries, f"{size} {budget}".strip(), self.note]))


@dataclass(frozen=True)
class CacheStats:
    """The contents of a cache, and counters of its work.

    `entries` and `bytes` are of the folder (of memory if there is none). `hits`, `misses`, `computed`, `evicted`,
    `quarantined` and `refused` (embeddings without room on the disk) count since this object was
    made. `models` has the number of entries of each model; if there are thousands it is estimated from a part of them,
    and then `models_sampled` is True.
    """

    entries: int
    bytes: int
    memory_entries: int
    memory_bytes: int
    hits: int
    misses: int
    computed: int
    quarantined: int
    evicted: int = 0
    refused: int = 0
    tiers: tuple[TierUsage, ...] = ()
    models: Mapping[str, int] = field(default_factory=dict)
    models_sampled: bool = False
    where: str = "in memory"

    @property
    def rows(self) -> dict[str, str]:
        """The rows of the card, by name."""
        about = "about " if self.models_sampled else ""
        models = ", ".join(f"{name} {about}{count:,}" for name, count in self.models.items())
        return {
            **{tier.name: str(tier) for tier in self.tiers},
            "hits · misses": f"{self.hits:,} · {self.misses:,}",
            "computed": f"{self.computed:,}",
            "evicted": f"{self.evicted:,}" + (f" · {self.refused:,} found no room" if self.refused else ""),
            "quarantined": f"{self.quarantined:,}",
            **({"by model": models} if models else {}),
            "where": self.where,
        }

    def __str__(self) -> str:
        return f"embedding cache\n{text_rows(self.rows, 15)}"

    def _repr_html_(self) -> str:
        return card("Embedding cache", self.rows)


def read_stats(
    disk: EntryFolder | None,
    evictor: Evictor | None,
    memory: MemoryTier,
    remote: Sequence[TierStats],
    counts: Mapping[str, int],
    *,
    exact_up_to: int,
    models: bool,
) -> CacheStats:
    """The stats of a cache with these tiers; a folder of more entries than `exact_up_to` is not listed for it."""
    stats = CacheStats(
        entries=len(memory),
        bytes=memory.bytes,
        memory_entries=len(memory),
        memory_bytes=memory.bytes,
        hits=counts["hits"],
        misses=counts["misses"],
        computed=counts["computed"],
        quarantined=counts["quarantined"] + sum(tier.damaged for tier in remote),
        refused=counts["refused"],
    )
    tiers = [TierUsage("memory", len(memory), memory.bytes, memory.limit)]
    if disk is not None and evictor is not None:
        held = _usage_now(disk, exact_up_to)
        tiers.append(TierUsage("disk", held.entries, held.bytes, evictor.budget))
        stats = replace(stats, **held._asdict(), evicted=evictor.evicted, where=str(disk.folder))
        if models:
            by_model, sampled = _count_by(disk, "model", held.entries, exact_up_to)
            stats = replace(stats, models=by_model, models_sampled=sampled)
    shared = (TierUsage(tier.name, None, None, None, _done_by(tier)) for tier in remote)
    return replace(stats, tiers=(*tiers, *shared))


def _done_by(tier: TierStats) -> str:
    parts = [tier.state, f"{tier.hits:,} hits", f"{tier.misses:,} misses", f"{tier.published:,} written"]
    also = {"waiting": tier.waiting, "dropped": tier.dropped, "damaged": tier.damaged}
    return " · ".join([*parts, *(f"{count:,} {name}" for name, count in also.items() if count)])


def _usage_now(disk: EntryFolder, exact_up_to: int) -> Usage:
    """The totals of a folder: from a listing if it is small, else from its usage file."""
    noted = disk.usage.total()
    if noted.entries > exact_up_to:
        return noted
    sizes = [entry.size for entry in disk.entries()]
    return Usage(len(sizes), sum(sizes))


def _count_by(disk: EntryFolder, name: str, entries: int, exact_up_to: int) -> tuple[Mapping[str, int], bool]:
    """The number of entries with each value of a metadata field, the most frequent first; True if estimated.

    Keys are hashes, so that any shard is a fair sample of the whole.
    """
    counts: Counter[str] = Counter()
    seen = 0
    for shard in range(SHARDS):
        for entry in disk.entries_of(shard):
            counts[disk.metadata_of(entry.key).get(name, "unknown")] += 1
        seen = counts.total()
        if seen >= exact_up_to:
            break
    sampled = seen < entries
    scale = entries / seen if sampled and seen else 1.0
    return {value: round(count * scale) for value, count in counts.most_common()}, sampled
