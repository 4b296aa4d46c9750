"""A copy of a SQLite file beside it, before anything changes its tables."""

from __future__ import annotations

import filecmp
import glob
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from ..atomic_files import discard, publish


def back_up(path: Path, before: str) -> Path:
    """Copy a SQLite file in its present state, including its log; others may read and write meanwhile.

    Parameters
    ----------
    path : Path
    before : str
        The coming change, as part of the file name.

    Returns
    -------
    Path
        Beside the file: ``catalog.before-0002-20261122-221931.db``. Whole, or not there. An earlier one, if it is the
        same.

    Raises
    ------
    sqlite3.Error, OSError
        It cannot be read, or the copy cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "catalog.db")
    >>> with closing(sqlite3.connect(path)) as connection:
    ...     _ = connection.execute("CREATE TABLE images (id TEXT)")
    >>> back_up(path, "0002").name.startswith("catalog.before-0002-")
    True
    """
    stem = f"{path.stem}.before-{before}-{datetime.now():%Y%m%d-%H%M%S}"
    stems = (stem, *(f"{stem}-{number}" for number in range(2, 100)))
    copy = next(copy for copy in (path.with_name(stem + path.suffix) for stem in stems) if not copy.exists())
    _delete_leftovers(path)
    partial = copy.with_name(f".{copy.name}.{os.getpid()}.tmp")
    try:
        # Not VACUUM INTO: that refuses to run beside a transaction, and this runs inside the one that upgrades.
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(partial)) as target,
        ):
            source.backup(target)
            # The copy of a file with a log would create a log of its own even when it is only read.
            target.execute("PRAGMA journal_mode = DELETE")
        for earlier in path.parent.glob(f"{glob.escape(path.stem)}.before-{before}-*{path.suffix}"):
            if filecmp.cmp(earlier, partial, shallow=False):  # of an upgrade that was killed, or undone by hand
                return earlier
        publish(partial, copy)
    finally:
        for left in (partial, Path(f"{partial}-journal")):  # SQLite's own, where the disk was full
            discard(left)
    return copy


def _delete_leftovers(path: Path) -> None:
    """Delete what killed upgrades left; the caller has the lock of the upgrade, so no other one is running."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.before-*.tmp*"):
        discard(left)
