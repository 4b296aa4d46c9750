"""Picture files for an export, upright, so that every reader sees the same pixels as samnb."""

from __future__ import annotations

import hashlib

from ...errors import ImageChanged
from ...images import encode_png, open_picture, read_pixels, suffix_for
from ...images.files import read_file
from ...images.pixel_cache import read_checked
from ...images.reading import orientation_of
from ...records import ImageRecord

# Formats that every reader of training pictures opens, without turning them.
_PLAIN = {".jpg", ".png", ".bmp"}


def upright_copy(image: ImageRecord) -> tuple[str, bytes]:
    """A picture as a file: its suffix, and its bytes.

    The file itself if it is a plain JPEG, PNG or BMP that is upright; else a PNG of its upright pixels, because a
    reader that ignores the EXIF tag would see the masks in other places.

    Raises
    ------
    ImageError
        The file is gone, or no longer holds the pixels it was added with.
    """
    pixels = read_checked(image.path, image.pixel_hash, image.dataset) if image.is_read else read_pixels(image.path)
    if pixels.shape[:2] != image.size_hw:
        raise ImageChanged(image.path, image.dataset)
    content = read_file(image.path)[0]
    if hashlib.sha256(content).hexdigest() == image.content_hash:
        suffix = suffix_for(content)
        if suffix in _PLAIN and _is_plain(content):
            return suffix, content
    return ".png", encode_png(pixels)


def _is_plain(content: bytes) -> bool:
    with open_picture(content) as picture:
        upright = orientation_of(picture) in (0, 1)
        plain = picture.mode in ("L", "RGB") and not picture.has_transparency_data
        return plain and upright and getattr(picture, "n_frames", 1) == 1
