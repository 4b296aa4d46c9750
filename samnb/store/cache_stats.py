"""Gathering what a cache holds in all its tiers, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .check import count_by, usage_now
from .eviction import Budget
from .folder import EntryFolder
from .memory import MemoryTier
from .remote import TierStats
from .stats import CacheStats, TierUsage

__all__ = ["read_stats"]


def read_stats(
    disk: EntryFolder | None,
    budget: Budget | None,
    memory: MemoryTier,
    remote: Sequence[TierStats],
    counts: Mapping[str, int],
    *,
    exact_up_to: int,
    models: bool,
) -> CacheStats:
    """The stats of a cache with these tiers; a folder of more entries than `exact_up_to` is not listed for it."""
    told = CacheStats(
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
    if disk is not None and budget is not None:
        held = usage_now(disk, exact_up_to)
        tiers.append(TierUsage("disk", held.entries, held.bytes, budget.size))
        told = replace(told, **held._asdict(), evicted=budget.evicted, where=str(disk.folder))
        if models:
            by_model, sampled = count_by(disk, "model", held.entries, exact_up_to)
            told = replace(told, models=by_model, models_sampled=sampled)
    shared = (TierUsage(tier.name, None, None, None, _done_by(tier)) for tier in remote)
    return replace(told, tiers=(*tiers, *shared))


def _done_by(tier: TierStats) -> str:
    parts = [tier.state, f"{tier.hits:,} hits", f"{tier.misses:,} misses", f"{tier.published:,} written"]
    also = {"waiting": tier.waiting, "dropped": tier.dropped, "damaged": tier.damaged}
    return " · ".join([*parts, *(f"{count:,} {name}" for name, count in also.items() if count)])
