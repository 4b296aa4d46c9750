"""The embedding cache of a session: made from options, or the one that was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..cache import EmbeddingCache
from ..errors import UnknownOption

CACHE_OPTIONS = ("dtype", "memory_bytes", "max_entries", "disk_bytes", "min_free_bytes", "ttl", "remote")


def check_cache_options(cache: EmbeddingCache | Mapping[str, Any] | None) -> None:
    """Raise `UnknownOption` for options that `open_cache` does not have."""
    options = {} if cache is None or isinstance(cache, EmbeddingCache) else cache
    if unknown := set(options) - set(CACHE_OPTIONS):
        raise UnknownOption("Session(cache={...})", unknown, CACHE_OPTIONS)


def open_cache(session_folder: Path, cache: EmbeddingCache | Mapping[str, Any] | None) -> EmbeddingCache:
    """A cache in the session's folder with these options, or the one that was given."""
    if isinstance(cache, EmbeddingCache):
        return cache
    return EmbeddingCache(session_folder / "embeddings", **(cache or {}))
