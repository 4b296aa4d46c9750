"""What a cache says of itself: what it holds and did, and what a check of it found; as text and as cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..cards import card, count_text, size_text, text_rows

__all__ = ["CacheReport", "CacheStats", "TierUsage"]


@dataclass(frozen=True)
class TierUsage:
    """One tier: how many entries it holds, their bytes, and how many it may hold; None where that is not known."""

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
    """What a cache holds and what it did.

    `entries` and `bytes` are of the folder (of memory where there is none). `hits`, `misses`, `computed`, `evicted`,
    `quarantined` and `refused` (embeddings that found no room on the disk) count what this object did since it was
    made. `models` says how many entries each model has; where there are thousands it is reckoned from a part of them,
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
        """What the card shows, by name."""
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
        Files in quarantine now. They are yours to look at; a collection deletes them after a month.
    fixed : bool
        Whether it was asked to put right what it found.
    trash : int
        Evicted files that nobody came to delete; deleted when `fixed`.
    miscounted : int
        Bytes by which the usage file was wrong, which a killed process may leave; put right when `fixed`.
    flags : int
        Images whose `embedding_cached` said something else than the store; put right when `fixed`.
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
        """True when nothing is wrong, or nothing any more."""
        return not self.unreadable and (self.fixed or not self._to_fix)

    @property
    def _to_fix(self) -> bool:
        # what another process is writing or evicting just now may show as miscounted or in the trash
        return bool(self.damaged or self.stale_temporary or self.flags)

    @property
    def rows(self) -> dict[str, str]:
        """What the card shows, by name."""
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
