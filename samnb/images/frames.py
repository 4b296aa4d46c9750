"""`count_frames`: how many pages or frames a picture file has, of which samnb takes the first."""

from __future__ import annotations

import struct

from PIL import Image

MOST_FRAMES = 1000
"""No more are counted: a small file can say it has any number."""


def count_frames(content: bytes, image: Image.Image) -> int:
    """Pages or frames, counted to `MOST_FRAMES`; a second picture in a JPEG is a preview of the first, and not counted.

    TIFF and GIF are counted by their blocks: Pillow would read every page, and leave the first.

    Examples
    --------
    >>> import io
    >>> file, picture = io.BytesIO(), Image.new("L", (4, 4))
    >>> picture.save(file, "TIFF", save_all=True, append_images=[picture])
    >>> count_frames(file.getvalue(), Image.open(file))
    2
    """
    try:
        if image.format == "TIFF":
            return _tiff_pages(content)
        if image.format == "GIF":
            return _gif_frames(content)
        if image.format in ("WEBP", "PNG", "AVIF"):
            return max(1, min(MOST_FRAMES, int(getattr(image, "n_frames", 1))))
    except (IndexError, struct.error):  # cut off after the first one
        return 1
    return 1


def _tiff_pages(content: bytes) -> int:
    order = "<" if content.startswith(b"II") else ">"
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    count_kind, offset_kind, size = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}H", f"{order}L", 12)
    (place,) = struct.unpack_from(offset_kind, content, 8 if big else 4)
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MOST_FRAMES:
        seen.add(place)
        (entries,) = struct.unpack_from(count_kind, content, place)
        (place,) = struct.unpack_from(offset_kind, content, place + struct.calcsize(count_kind) + entries * size)
    return max(1, len(seen))


def _gif_frames(content: bytes) -> int:
    place = 13 + _table(content[10])
    frames = 0
    while frames < MOST_FRAMES and place < len(content):
        kind = content[place]
        if kind == 0x2C:
            frames += 1
            place += 11 + _table(content[place + 9])
        elif kind == 0x21:
            place += 2
        else:  # the end, or nothing that belongs there
            break
        while content[place]:
            place += 1 + content[place]
        place += 1
    return max(1, frames)


def _table(flags: int) -> int:
    """Bytes of a colour table, by the flags before it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
