"""How many of the pictures that are added show the pixels of an earlier one."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from ..catalog import Catalog, ImageRecord, NewImage
from ..remote_files import is_address

_ASKED = 500
"""Of at most so many added duplicates it is asked whether the earlier image's file is gone."""

_log = logging.getLogger("samnb.intake")


def log_duplicates(new_rows: Sequence[NewImage], catalog: Catalog) -> int:
    """The number of these whose pixels are in the catalog, or earlier among these; each is logged."""
    seen = catalog.known_pixels({new.pixel_hash for new in new_rows}) if new_rows else set()
    count = 0
    for new in new_rows:
        if new.pixel_hash in seen:
            count += 1
            _log.info(
                "[DEDUP] Found duplicate image: %s (hash: %s..., cached: %s)",
                *(new.filename, new.content_hash[:8], new.embedding_cached),
            )
        seen.add(new.pixel_hash)
    return count


def count_duplicates(added: Sequence[ImageRecord], catalog: Catalog) -> int:
    """The number of these with the pixels of an earlier image; of several that are all new, one is the first."""
    ids = {image.id for image in added}
    groups: dict[str, list[str]] = {}
    for image in catalog.images_with_pixels({image.pixel_hash for image in added}):
        groups.setdefault(image.pixel_hash, []).append(image.id)
    return sum(sum(one in ids for one in group) - all(one in ids for one in group) for group in groups.values())


def moved_text(added: Sequence[ImageRecord], catalog: Catalog) -> str:
    """What to do where these are files of the session that were moved, and are added a second time; "" for none."""
    ids, asked = {image.id for image in added}, added[:_ASKED]
    gone = [
        image
        for image in catalog.images_with_pixels({image.pixel_hash for image in asked})
        if image.id not in ids and not is_address(image.path) and not os.path.exists(image.path)
    ]
    if not gone:
        return ""
    those = "the file of 1 image" if len(gone) == 1 else f"the files of {len(gone):,} images"
    folder = os.path.dirname(asked[0].path)
    be = "is" if len(gone) == 1 else "are"
    return (
        f"{those} with the same pixels {be} gone: session.relocate({folder!r}) gives them these, with their annotations"
    )
