"""`read_smaller`: a picture file at a limited size, for models that would make it small anyway.

A JPEG is decoded at 1/2, 1/4 or 1/8 of its sides, which skips most of the work: the smallest of these that leaves three
quarters of the limit. What is still above the limit then, and pictures of other formats, are scaled.
"""

from __future__ import annotations

import hashlib

from PIL import Image

from ..errors import AnyPath
from .files import read_file
from .opening import open_picture
from .reading import known_picture, upright_picture

_VERSION = 1
_JPEG = ("JPEG", "MPO")
_ENOUGH = 0.75  # of the limit: a picture of 4000 pixels is better read at 1/4, 1000, than at 1/2, for a limit of 1024


def smaller_spec(longest: int) -> str:
    """What the embedding of a smaller picture depends on besides its pixels, for its embedding spec.

    >>> smaller_spec(1024)
    'longest=1024/1'
    """
    return f"longest={longest}/{_VERSION}"


def read_smaller(
    path: AnyPath, expected_hash: str, dataset: str, longest: int, *, content_hash: str = ""
) -> Image.Image:
    """The RGB, upright PIL image of a file, its longer side at most `longest` pixels.

    A file whose bytes changed is decoded whole first, to see whether its pixels did.

    Parameters
    ----------
    path, expected_hash, dataset, content_hash
        As for `samnb.images.read_known`.
    longest : int
        In pixels.

    Raises
    ------
    ImageError
        The file cannot be read, or holds other pixels than when it was added (`ImageChanged`).
    """
    content = read_file(path)[0]
    whole: Image.Image | None = None
    if not content_hash or hashlib.sha256(content).hexdigest() != content_hash:
        whole = known_picture(content, path, expected_hash, dataset)
    with open_picture(content, path) as image:
        is_jpeg = image.format in _JPEG
        if is_jpeg:
            share = _jpeg_share(max(image.size), longest)
            image.draft(image.mode, (image.width // share, image.height // share))
            picture = upright_picture(image, path)
    if not is_jpeg:
        # Of other formats than JPEG, equal bytes may still have been read otherwise by an earlier version.
        picture = whole or known_picture(content, path, expected_hash, dataset, content_hash=content_hash)
    return _limited(picture, longest)


def _jpeg_share(side: int, longest: int) -> int:
    """1, 2, 4 or 8: the part of a side at which a JPEG is decoded.

    >>> [_jpeg_share(side, 1024) for side in (1000, 2000, 4000, 5000, 9000)]
    [1, 2, 4, 4, 8]
    """
    return next((share for share in (8, 4, 2) if side / share >= _ENOUGH * longest), 1)


def _limited(picture: Image.Image, longest: int) -> Image.Image:
    if max(picture.size) <= longest:
        return picture
    scale = longest / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
