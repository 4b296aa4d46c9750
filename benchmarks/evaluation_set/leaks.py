"""Is a picture one of the evaluation set? ``python -m benchmarks.evaluation_set.leaks FOLDER...`` names those that are.

For whoever gathers pictures to train on: resized, recompressed and grey copies are found, crops are not.
"""

from __future__ import annotations

import sys
from functools import lru_cache

from benchmarks.evaluation_set.pictures import PICTURES, Pixels, read_picture
from samnb.errors import SamnbError
from samnb.images import perceptual_hash, read_pixels
from samnb.images.discovery import find_images

# Of 256: copies differ in about 20 bits or fewer, unrelated pictures in about 128.
NEAR = 40


@lru_cache
def _hashes() -> dict[str, int]:
    return {name: int(perceptual_hash(read_picture(name)), 16) for name in PICTURES}


def known_as(pixels: Pixels) -> str | None:
    """Return the name in `PICTURES` of which `pixels`, (H, W, 3) uint8 RGB, is a near duplicate, or None.

    Examples
    --------
    >>> known_as(read_picture("coffee")[::2, ::2])
    'coffee'
    """
    own = int(perceptual_hash(pixels), 16)
    differ, name = min(((own ^ other).bit_count(), name) for name, other in _hashes().items())
    return name if differ <= NEAR else None


def main(folders: list[str]) -> int:
    """Print every picture that is known, and what could not be read; return their number, at most 1."""
    found = 0
    for folder in folders:
        for path in find_images(folder):
            try:
                name = known_as(read_pixels(path))
            except SamnbError as error:
                print(f"{path}: not read ({error})")
                continue
            if name:
                found += 1
                print(f"{path}: {name} of the evaluation set")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
