"""Picture files for an export, upright, so that every reader sees the same pixels as samnb."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image

from ...errors import ImageChanged
from ...images import encode_png, pixel_hash, read_pixels, suffix_for
from ...records import ImageRecord

# Formats that every reader of training pictures opens, without turning them.
_PLAIN = {".jpg", ".png", ".bmp"}
_ORIENTATION_TAG = 0x0112


def upright_copy(image: ImageRecord) -> tuple[str, bytes]:
    """A picture as a file: its suffix, and its bytes.

    The file itself if it is a plain JPEG, PNG or BMP that is upright; else a PNG of its upright pixels, because a
    reader that ignores the EXIF tag would see the masks in other places.

    Raises
    ------
    ImageError
        The file is gone, or no longer holds the pixels it was added with.
    """
    pixels = read_pixels(image.path)
    if pixels.shape[:2] != image.size_hw or (image.is_read and pixel_hash(pixels) != image.pixel_hash):
        raise ImageChanged(image.path, image.dataset)
    content = Path(image.path).read_bytes()
    if hashlib.sha256(content).hexdigest() == image.content_hash:
        suffix = suffix_for(content)
        if suffix in _PLAIN and _is_plain(content):
            return suffix, content
    return ".png", encode_png(pixels)


def _is_plain(content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as picture:
        frames = getattr(picture, "n_frames", 1)
        turned = picture.getexif().get(_ORIENTATION_TAG, 1)
        return picture.mode in ("L", "RGB") and frames == 1 and turned in (0, 1) and not picture.has_transparency_data
