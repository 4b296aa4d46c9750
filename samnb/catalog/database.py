"""`Database`: engine, transactions, opening, upgrading and error messages of the catalog's database.

Several threads, notebooks and processes can write: SQLite has a write-ahead log, and transactions are short. Any other
SQLAlchemy URL works if its driver is installed.
"""

from __future__ import annotations

import logging
import sqlite3
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, inspect, select, table, text
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..atomic_files import cannot_write, discard, sync
from ..errors import AnyPath, SamnbError, SessionReadOnly, SessionTooNew, StoreError
from ..file_locks import FileLock
from ..urls import redact
from . import engines
from .backup import back_up
from .database_errors import postgresql_error, sqlite_error
from .database_file import FileInPlace, beside, check_folder, make_file
from .database_url import as_url, file_of, without_secrets
from .engines import connect_to_read, make_engine, warn_of_old_sqlite
from .file_systems import check_local
from .migrations import HEAD, REVISIONS, upgrade
from .migrations.legacy_server import carry_over, is_from_server, set_aside
from .stored_paths import set_folder
from .tables import metadata

_log = logging.getLogger("samnb.database")

UPGRADE_TIMEOUT_S = 120
_WRITE_LOCK = 0x73616D6E  # "samn"; any number, the same in every process
_FROM_SERVER = "server"
_version = table("alembic_version", sql_column("version_num"))


class Database:
    """One opened database: `read()` and `write()` give a connection inside a transaction.

    Parameters
    ----------
    url_or_path : path or SQLAlchemy URL
        A path is a SQLite file, made when missing, with its folder.
    shown : path, optional
        Its name in messages; default the file's folder, or the URL without password and query.

    Raises
    ------
    SessionReadOnly
        The folder or the file cannot be written.
    SessionTooNew
        Written by a newer samnb, and lacks what this one reads; nothing was changed.
    NetworkFolder
        A SQLite file on a network file system.
    StoreError
        Not a database, another program's database, or one that cannot be reached.

    Attributes
    ----------
    backup : Path or None
        The copy of the file from before opening it changed its tables.
    newer : str
        Its schema, where a newer samnb wrote it and it is only read; else "".
    in_session_folder : bool
        Whether it is the file of one session, in its folder; else several may share it.
    """

    backup: Path | None = None
    newer = ""

    def __init__(self, url_or_path: AnyPath | URL, *, shown: AnyPath | None = None):
        url = as_url(url_or_path)
        self._url = str(url_or_path) if isinstance(url_or_path, str) else ""
        self.path = file_of(url)
        self.shown = str(shown or (self.path.parent if self.path else without_secrets(url)))
        if self.path is not None:
            self._journal = "wal" if check_local(self.path) else "delete"
            check_folder(self.path, self.shown)
            warn_of_old_sqlite(self.path)
            make_file(self.path, self.shown)
            url = url.set(database=str(self.path))
        self.engine = make_engine(url, self.path, read_only=self.path is not None and _is_newer(_peek(self.path)))
        self.in_session_folder = self.path is not None and self.path.parent == Path(self.shown)
        if self.path is not None:
            set_folder(self.engine.dialect, self.path.parent)
        self._reader, self._writer = self.engine, self.engine.execution_options(samnb_begin="BEGIN IMMEDIATE")
        self._bulk_writer = self._writer
        if self.path is not None and self._journal == "wal":
            self._bulk_writer = self._writer.execution_options(samnb_synchronous="NORMAL")
        self._is_postgresql = self.engine.dialect.name == "postgresql"
        if self._is_postgresql:
            one_state = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            self._reader = self.engine.execution_options(**one_state)
        self._upserts: dict[tuple[str, ...], str] = {}
        self._finalizer = weakref.finalize(self, self.engine.dispose)
        self._in_place: FileInPlace | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._in_place = FileInPlace(self.path) if self.path is not None else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a transaction that only reads: one state of the database from first to last."""
        with self._translate_errors(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A connection in a transaction that writes: committed at the end, undone if an exception leaves it.

        Parameters
        ----------
        durable : bool
            After the commit, a power cut loses nothing of it. False: until `sync` it may lose the last commits as a
            whole; for what is compared with the store anyway, and for many small commits that are reported together.

        Raises
        ------
        SessionTooNew
            The database is of a newer samnb, and only read.
        """
        self.check_writable()
        if self._in_place is not None:
            self._in_place.check()
        writer = self._writer if durable else self._bulk_writer
        at_commit: list[bool] = []
        with self._translate_errors(at_commit), writer.begin() as connection:
            if self._is_postgresql:
                # One writer at a time, as in SQLite: row locks taken in different orders would deadlock.
                connection.execute(text(f"SET LOCAL lock_timeout = {engines.BUSY_TIMEOUT_MS}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})
            yield connection
            at_commit.append(True)

    def sync(self) -> None:
        """Make all commits durable that were not; see `write`. Raises `StoreError`."""
        if self.path is not None:
            log = beside(self.path, "-wal")
            try:
                sync([log])
            except FileNotFoundError:  # no log is left: closing a database writes and syncs it all
                return
            except OSError as error:
                raise cannot_write(Path(self.shown), log, error) from error

    def check_writable(self) -> None:
        """Raise `SessionTooNew` where the database is only read."""
        if self.newer:
            raise SessionTooNew(self.shown, self.newer, HEAD, reading=True)

    def insert(self, target: Table) -> Any:
        """An INSERT that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
        if self._is_postgresql:
            from sqlalchemy.dialects import postgresql  # here: SQLite's users need not wait for it

            return postgresql.insert(target)
        return sqlite.insert(target)

    def upsert(
        self,
        connection: Connection,
        target: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        key: Sequence[str],
        keep: Collection[str] = (),
    ) -> None:
        """Insert or update many rows with the same columns, plain values and different keys.

        Not through SQLAlchemy, which inspects every value: that takes longer than SQLite's own work.

        Parameters
        ----------
        key : sequence of str
            Columns of the primary key, or of another unique one.
        keep : collection of str
            Columns that keep their values in a row that exists.
        """
        if not rows:
            return
        columns = tuple(rows[0])
        kind = (target.name, *columns)
        if kind not in self._upserts:
            self._upserts[kind] = self._upsert_sql(target, columns, key, keep)
        if "path" in columns and (as_text := target.c.path.type.bind_processor(self.engine.dialect)):
            rows = [{**row, "path": as_text(row["path"])} for row in rows]
        values = list(map(itemgetter(*columns), rows))
        if self._is_postgresql:
            # One statement with a list for each column: a statement for each row takes several times as long.
            connection.exec_driver_sql(self._upserts[kind], tuple(map(list, zip(*values, strict=True))))
        else:
            connection.exec_driver_sql(self._upserts[kind], values)

    def _upsert_sql(self, target: Table, columns: Sequence[str], key: Sequence[str], keep: Collection[str]) -> str:
        dialect = self.engine.dialect
        quoted = dialect.identifier_preparer.quote
        renewed = ", ".join(f"{quoted(n)} = excluded.{quoted(n)}" for n in columns if n not in {*key, *keep})
        types = (target.c[name].type.compile(dialect) for name in columns)
        places = ", ".join(f"%s::{kind}[]" if self._is_postgresql else "?" for kind in types)
        source = f"SELECT * FROM unnest({places})" if self._is_postgresql else f"VALUES ({places})"
        return (
            f"INSERT INTO {quoted(target.name)} ({', '.join(map(quoted, columns))}) {source} "
            f"ON CONFLICT ({', '.join(map(quoted, key))}) DO UPDATE SET {renewed}"
        )

    def analyze_if_grown(self, connection: Connection, before: int, after: int, *targets: Table) -> None:
        """Update PostgreSQL's statistics whenever the number of rows has grown fourfold.

        PostgreSQL itself does so once a minute. Until then it takes a dataset for a few rows, and scans all of them for
        every path.
        """
        if self._is_postgresql and after.bit_length() // 2 > max(before, 64).bit_length() // 2:
            connection.exec_driver_sql(f"ANALYZE {', '.join(target.name for target in targets)}")

    def close(self) -> None:
        """Close every idle connection. Safe to call twice; a later query connects again."""
        self.engine.dispose()

    def _open(self) -> None:
        with self.read() as connection:
            found = self._revision(connection)
            if _is_newer(found):
                self._open_read_only(connection, str(found))
                return
            up_to_date = found == HEAD and self._has_journal(connection)
        if up_to_date:
            return
        if self.path is None:
            self._upgrade()
            return
        try:
            lock = FileLock(f"{self.path}.lock")
            if not lock.acquire(timeout=UPGRADE_TIMEOUT_S):
                raise StoreError(
                    f"{self.path}: another process has been upgrading this catalog for {UPGRADE_TIMEOUT_S} s. "
                    "Wait for it, or end it, and open the session again."
                )
            try:
                self._upgrade()
                self._use_journal()
            finally:
                lock.release()
        except SamnbError:  # some of which are also the OSError below
            raise
        except OSError as error:
            raise SessionReadOnly(self.shown, error.strerror or error) from error

    def _open_read_only(self, connection: Connection, found: str) -> None:
        there = inspect(connection).get_multi_columns()
        columns = {(name, column["name"]) for (_, name), some in there.items() for column in some}
        lacking = [
            f"{name}.{c.name}" for name, t in metadata.tables.items() for c in t.c if (name, c.name) not in columns
        ]
        if lacking:
            raise SessionTooNew(self.shown, found, HEAD, lacking=lacking)
        self.newer = found
        _log.warning("%s", SessionTooNew(self.shown, found, HEAD, reading=True))

    def _upgrade(self) -> None:
        try:
            with self.write() as connection:
                found = self._revision(connection)
                if _is_newer(found):  # another process, with a newer version, did it while this one waited
                    raise SessionTooNew(self.shown, str(found), HEAD)
                if found == HEAD:  # another process did it while this one waited
                    return
                if found is not None and self.path is not None:
                    self.backup = back_up(self.path, HEAD)
                self._migrate(connection, found)
        except BaseException:
            # Nothing was changed, so the copy is useless, and each new try would leave another.
            if self.backup is not None:
                discard(self.backup)
                self.backup = None
            raise
        if found is not None:
            kept = f"as it was: {self.backup}" if self.backup else "the server has no copy of it as it was"
            _log.warning("%s: the catalog was upgraded to schema %s (%s)", self.shown, HEAD, kept)

    def _migrate(self, connection: Connection, found: str | None) -> None:
        if found != _FROM_SERVER:
            upgrade(connection)
            return
        renamed = set_aside(connection)
        upgrade(connection)
        came = carry_over(connection, renamed)
        _log.warning(
            "%s: %d images in %d datasets came over from the earlier server (%d rows for a file twice left out). "
            "Session.fill_hashes() reads their files; its own tables stay beside as %s",
            *(self.shown, came.images, came.datasets, came.left_out, ", ".join(sorted(renamed.values()))),
        )

    def _revision(self, connection: Connection) -> str | None:
        tables = set(inspect(connection).get_table_names())
        if "alembic_version" in tables:
            return connection.scalar(select(_version.c.version_num))
        if is_from_server(connection):
            return _FROM_SERVER
        strangers = sorted(tables & set(metadata.tables))
        if strangers:
            raise StoreError(
                f"{self.path or self.shown}: a database of another program: it has tables "
                f"{', '.join(strangers)} and no samnb schema. Nothing was changed; choose another one."
            )
        return None

    def _has_journal(self, connection: Connection) -> bool:
        if self.path is None:
            return True
        # Only the write-ahead log is kept in the file; without it, every connection begins with "delete".
        return (connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal") == (self._journal == "wal")

    def _use_journal(self) -> None:
        # Stored in the file, so set once, and outside a transaction, where SQLite would ignore it.
        with self._translate_errors():
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute(f"PRAGMA journal_mode = {self._journal}")
            finally:
                connection.close()

    @contextmanager
    def _translate_errors(self, at_commit: Sequence[bool] = ()) -> Iterator[None]:
        try:
            yield
        except UnicodeEncodeError as error:
            name = ascii(str(error.object)[:40])
            raise StoreError(
                f"{self.path or self.shown}: a name has characters that no database keeps ({name}): "
                "halves of a character, as a file name in another encoding gives. Nothing of this call was saved; "
                "give another name."
            ) from error
        except OverflowError as error:  # of an id, for example, that is a number of any size
            raise StoreError(
                f"{self.path or self.shown}: {error}. Nothing of this call was saved; expected numbers of 64 bits."
            ) from error
        except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
            message = str(error)
            # A driver may quote the address it was given; then its own message must not be shown behind ours.
            raise self._as_store_error(error, bool(at_commit)) from (
                error if redact(message, self._url) == message else None
            )

    def _as_store_error(self, error: Exception, at_commit: bool) -> SamnbError:
        reason = " ".join(redact(getattr(error, "orig", None) or error, self._url).split())
        about = (reason, str(self.path or self.shown), self.shown, engines.BUSY_TIMEOUT_MS / 1000)
        return postgresql_error(error, *about, at_commit=at_commit) if self._is_postgresql else sqlite_error(*about)


def _is_newer(revision: str | None) -> bool:
    return revision is not None and revision != _FROM_SERVER and revision not in REVISIONS


def _peek(path: Path) -> str | None:
    """The schema's revision."""
    try:
        with closing(connect_to_read(path)) as connection:
            [revision] = connection.execute("SELECT version_num FROM alembic_version").fetchone() or [None]
            return revision
    except sqlite3.Error:  # no such file or table, or not a database: opening it says which
        return None
