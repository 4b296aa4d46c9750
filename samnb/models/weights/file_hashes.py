"""SHA-256 of large files, cached: a weight file of 2.5 GB is read once and not at every start.

Hashes are kept in memory and in a small JSON file in the user's cache folder, by device, inode, size and times; a file
with another stamp is hashed again.
"""

from __future__ import annotations

import json
import logging
import os
from hashlib import file_digest
from pathlib import Path
from threading import get_ident
from typing import Any

import platformdirs

from ...json_files import read_json

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int, int]
_hashes: dict[tuple[str, Stamp], str] = {}


def file_stamp(path: Path) -> Stamp:
    """Device, inode, size in bytes, and in ns the times of its content and of any change."""
    stat = path.stat()
    # Models of one family have one size, and a copy may keep the time of its content: never that of its change.
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def file_sha256(path: Path, stamp: Stamp) -> str:
    """Hash `path`, or read the cached hash of the file with this stamp; 64 hex digits."""
    key = (str(path), stamp)
    if key not in _hashes:
        sha256 = _cached(path, stamp)
        if sha256 is None:
            with path.open("rb") as file:
                sha256 = file_digest(file, "sha256").hexdigest()
            _store(path, stamp, sha256)
        _hashes[key] = sha256
    return _hashes[key]


def memo_path() -> Path:
    """The JSON file; it may be deleted at any time."""
    return Path(platformdirs.user_cache_dir("samnb", appauthor=False)) / "weight-hashes.json"


def _entries() -> dict[str, Any]:
    try:
        entries = read_json(memo_path())
    except (OSError, ValueError) as error:
        log.debug("no remembered hashes: %s", error)
        return {}
    return entries if isinstance(entries, dict) else {}


def _cached(path: Path, stamp: Stamp) -> str | None:
    entry = _entries().get(str(path))
    if isinstance(entry, dict) and entry.get("stamp") == list(stamp):
        return str(entry["sha256"]) if "sha256" in entry else None
    return None


def _store(path: Path, stamp: Stamp, sha256: str) -> None:
    entries = {**_entries(), str(path): {"stamp": list(stamp), "sha256": sha256}}
    memo = memo_path()
    temporary = memo.with_suffix(f".{os.getpid()}-{get_ident()}.tmp")
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(entries))
        os.replace(temporary, memo)
    except OSError as error:
        log.debug("the hash of %s is not remembered in %s: %s", path, memo, error)
