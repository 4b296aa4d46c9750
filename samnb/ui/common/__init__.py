"""Shared by several widgets: style, errors, background work, thumbnails, key listener."""
