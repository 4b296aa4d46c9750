"""Files that are there whole or not at all, and what to say when they cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from uuid import uuid4

from .errors import SessionReadOnly, StoreError

__all__ = ["cannot_write", "write_whole"]


def write_whole(path: Path, content: bytes) -> Path:
    """Write under a hidden name and rename, making the folder if need be; nothing half written stays.

    Not flushed to the disk: for what can be made again. Embeddings have a writer of their own.

    Raises
    ------
    OSError
        As it comes; see `cannot_write`.

    Examples
    --------
    >>> import tempfile
    >>> write_whole(Path(tempfile.mkdtemp()) / "new" / "a.txt", b"whole").read_bytes()
    b'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def cannot_write(folder: Path, path: Path, error: OSError) -> StoreError:
    """The error to raise: no permission is a matter of the folder, a full disk or a file in the way of the path."""
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return SessionReadOnly(folder, error.strerror or error)
    return StoreError(
        f"{path}: cannot be written ({error.strerror or error}). Nothing of it was kept and what was there "
        "before is as it was: free some space or choose another folder, then run again."
    )
