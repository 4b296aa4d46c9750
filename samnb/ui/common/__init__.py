"""What several widgets share: style, errors, background work, thumbnails, key listener."""
