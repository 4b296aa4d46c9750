"""Accepted objects: accept, change, remove and restore them."""
