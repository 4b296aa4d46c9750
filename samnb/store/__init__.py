"""What `samnb.cache.EmbeddingCache` is made of: entries, a folder of them, budgets, memory, remote tiers."""
