"""`check_pages`: whether the pages of a TIFF file come to an end, before tifffile goes through all of them."""

from __future__ import annotations

import struct

import tifffile

from ...errors import ImageUnreadable
from .description import MOST_PLANES

_MOST_TAGS = 4096  # of a page; tifffile takes more for damage, and stops there


def check_pages(file: tifffile.TiffFile, name: str) -> None:
    """Refuse a file whose pages refer to each other in a circle, or are more than `MOST_PLANES`.

    tifffile follows such a circle four million times: for minutes, and into gigabytes.
    """
    stream, form = file.filehandle, file.tiff
    place = file.pages.first.offset
    seen: set[int] = set()
    while place:
        if place in seen:
            raise ImageUnreadable(name, "a TIFF whose pages refer to each other in a circle")
        if len(seen) == MOST_PLANES:
            raise ImageUnreadable(name, f"a TIFF of more than {MOST_PLANES:,} pages")
        seen.add(place)
        try:
            stream.seek(place)
            (tags,) = struct.unpack(form.tagnoformat, stream.read(form.tagnosize))
            if tags > _MOST_TAGS:
                return
            # The last bytes that there are, as tifffile takes them: of a page that is cut off they are those of a tag.
            rest = stream.read(tags * form.tagsize + form.offsetsize)
            (place,) = struct.unpack(form.offsetformat, rest[-form.offsetsize :])
        except (struct.error, OSError, ValueError):  # tifffile ends there too
            return
