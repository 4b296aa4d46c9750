"""The parts of `samnb.cache.EmbeddingCache`: entries, a folder of them, eviction, memory, remote tiers."""
