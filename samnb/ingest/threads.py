"""`threads`: how many pictures are read at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..remote_files import is_address

REMOTE_READERS = 16


def threads(paths: Iterable[str] = ()) -> int:
    """The number of threads that read pictures: decoding and hashing release the GIL; more only wait for the disk.

    Of objects at addresses many are read at the same time: most of it is waiting for the store.
    """
    return REMOTE_READERS if any(map(is_address, paths)) else min(4, os.cpu_count() or 1)
