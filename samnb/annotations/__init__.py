"""Accepted objects: kept, changed, removed and restored."""
