"""`make_engine`: SQLAlchemy's engine of a database, whose connections are set up for several writers.

SQLite waits for others, and its write transactions start with ``BEGIN IMMEDIATE``. A PostgreSQL that is starting is
waited for, and one that is gone is noticed.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError

from ..errors import StoreError
from .database_file import beside
from .database_url import without_secrets

_log = logging.getLogger("samnb.database")

BUSY_TIMEOUT_MS = 10_000
CACHE_KB, LOG_PAGES = 65_536, 16_000
"""The cache size of a SQLite connection in memory, and the pages of 4 KB that its log may have."""

# A server that is gone without a word is noticed within half a minute; the system itself waits for many minutes.
_LIBPQ = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")
_GIVE_UP = {"connect_timeout": 10, "tcp_user_timeout": 30_000, "keepalives_idle": 30, "keepalives_interval": 10}
_STARTING = tuple(
    f"the database system is {state}" for state in ("starting up", "in recovery mode", "not yet accepting connections")
)
STARTING_S = 10.0
"""Seconds to wait for a PostgreSQL that is starting."""

_SOUND_SQLITE = (3, 51, 3)  # the "WAL-reset" fault of 3.7.0 to 3.51.2
_warned: list[str] = []
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _connect_when_started(dialect: Any, _record: Any, arguments: Any, named: Any) -> Any:
    """A new connection to a PostgreSQL; while the server says that it is starting, it is waited for."""
    until = time.monotonic() + STARTING_S
    while True:
        try:
            return dialect.connect(*arguments, **named)
        except dialect.loaded_dbapi.Error as error:
            # By its words: the driver gives no code of a connection that was refused.
            if time.monotonic() >= until or not any(words in str(error) for words in _STARTING):
                raise
        time.sleep(0.25)


def warn_of_old_sqlite(path: Path) -> None:
    """Warn once where another process has the file open too, and this SQLite has a fault that needs two writers."""
    if sqlite3.sqlite_version_info >= _SOUND_SQLITE or _warned:
        return
    ours: Iterator[Any] = (engine.pool for engine in list(_engines) if engine.url.database == str(path))
    if not any(pool.checkedin() + pool.checkedout() for pool in ours) and beside(path, "-shm").exists():
        _warned.append(str(path))
        _log.warning(
            "%s: another process has this catalog open, or was cut off. Annotations are saved all the same, but let "
            "one notebook write at a time: shut the others down (Running Terminals and Kernels). Python's SQLite "
            "here is %s; before %s two that write at the very same instant can, rarely, damage a database. A newer "
            "Python, or PostgreSQL (DATABASE_URL), has not this fault.",
            *(path, sqlite3.sqlite_version, ".".join(map(str, _SOUND_SQLITE))),
        )


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that leaves the file as it is: closing a writable one can change it."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)


def make_engine(url: URL, path: Path | None, *, read_only: bool = False) -> Engine:
    """The engine of a URL, and of its file if it has one. Raises `StoreError` where its driver is not installed."""
    options: dict[str, Any] = {"pool_pre_ping": path is None}
    if url.drivername in _LIBPQ:
        options["connect_args"] = {name: value for name, value in _GIVE_UP.items() if name not in url.query}
    if path is not None and read_only:
        options["creator"] = partial(connect_to_read, path)
    try:
        engine = create_engine(url, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"{without_secrets(url)}: no driver for {url.drivername!r} here ({error}). "
            "For PostgreSQL: `pip install 'samnb[postgresql]'` and a URL that starts with postgresql+psycopg://."
        ) from None
    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_connect", _connect_when_started)
    if path is not None:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    _engines.add(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Python's sqlite3 opens transactions late, and not at all for DDL: SQLAlchemy says BEGIN instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # Hashes are random: a new row touches pages all over the indexes. Many are kept, and moved out of the log together.
    cursor.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes fails at once when another wrote in between,
    # whatever the timeout; asking for the write lock at the start waits instead.
    options = connection.get_execution_options()
    begin = options.get("samnb_begin", "BEGIN")
    if begin != "BEGIN":
        # With a write-ahead log, FULL syncs each commit, and NORMAL only when the log is moved into the database.
        connection.exec_driver_sql(f"PRAGMA synchronous = {options.get('samnb_synchronous', 'FULL')}")
    connection.exec_driver_sql(begin)


def _forget_connections() -> None:
    for engine in list(_engines):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    # A SQLite connection must not be used, nor closed, on the other side of a fork.
    os.register_at_fork(after_in_child=_forget_connections)
