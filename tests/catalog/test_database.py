"""Opening and upgrading a catalog, whatever its file turns out to be."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect

import samnb
import samnb.catalog
import samnb.catalog.database
import samnb.catalog.engines
from samnb.catalog import Catalog, migrations
from samnb.catalog.backup import back_up
from samnb.catalog.tables import metadata
from samnb.errors import SessionReadOnly, StoreError, UnknownName
from tests.support.concurrency import PACKAGE, in_threads, output_of, run
from tests.support.made_up import coin, picture
from tests.support.waiting import wait_until

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")

# -- opening and upgrading ----------------------------------------------------------------------------


def test_everything_is_there_after_opening_again(path: Path) -> None:
    with Catalog(path) as catalog:
        [image] = catalog.add_images("monday", [picture(1)])
        kept = catalog.finish_applied("coins", 1, "m", image.id, [coin(image)])
    with Catalog(str(path)) as again:
        assert (again.images(), again.annotations()) == ([image], kept)
    with Catalog(f"sqlite:///{path}") as by_url:
        assert by_url.images() == [image]


def test_the_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a 50% folder" / "with # and ?" / "catalog.db"
    with Catalog(path) as catalog:
        assert catalog.datasets() == []
        assert str(path) in repr(catalog)
    assert path.is_file()


def test_a_relative_url_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Catalog("sqlite:///data/app.db") as catalog:
        monkeypatch.chdir("/")
        catalog.add_dataset("monday")
    assert (tmp_path / "data" / "app.db").is_file()


def test_an_empty_file_is_an_empty_catalog(path: Path) -> None:
    path.touch()
    with Catalog(path) as catalog:
        assert catalog.images() == []


def pragmas(connection: Connection, *names: str) -> dict[str, object]:
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}


def assert_as_opened(catalog: Catalog) -> None:
    with catalog._database.read() as connection:
        values = pragmas(connection, "journal_mode", "busy_timeout", "foreign_keys")
    assert values == {"journal_mode": "wal", "busy_timeout": samnb.catalog.engines.BUSY_TIMEOUT_MS, "foreign_keys": 1}


def test_connections_wait_write_ahead_and_check_references(in_file: Catalog) -> None:
    assert_as_opened(in_file)


def test_what_a_person_saves_is_on_the_disk_at_once(in_file: Catalog) -> None:
    for durable, synchronous in ((True, 2), (False, 1), (True, 2)):
        with in_file._database.write(durable=durable) as connection:
            assert pragmas(connection, "synchronous") == {"synchronous": synchronous}


def test_many_small_commits_are_made_durable_together(
    in_file: Catalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(samnb.catalog.database, "sync", synced.extend)
    in_file.mark_pixels_cached("a" * 64, True)
    in_file.sync()
    assert synced == [Path(f"{path}-wal")]


def test_a_copy_without_the_log_gets_it_back(in_file: Catalog, path: Path, tmp_path: Path) -> None:
    in_file.add_dataset("monday")
    copy = tmp_path / "copy.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"VACUUM INTO '{copy}'")
    connection.close()
    with Catalog(copy) as opened:
        assert [d.name for d in opened.datasets()] == ["monday"]
        assert_as_opened(opened)


def test_the_named_revisions_are_the_scripts() -> None:
    scripts = ScriptDirectory.from_config(migrations.config())
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(migrations.REVISIONS)
    assert scripts.get_heads() == [migrations.HEAD]


def test_the_scripts_make_the_tables_the_queries_use(in_file: Catalog, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_every_revision_can_be_undone(path: Path) -> None:
    Catalog(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings = migrations.config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    with Catalog(path) as catalog:
        assert catalog.images() == []


def test_any_upgrade_keeps_a_copy(path: Path) -> None:
    with Catalog(path) as catalog:
        assert catalog.backup is None
        [image] = catalog.add_images("monday", [picture(1, perceptual_version=1, perceptual_detail=4.5)])
        kept = catalog.add_annotations([coin(image)])
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings = migrations.config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0001")
    engine.dispose()
    with Catalog(path) as catalog:
        assert catalog.annotations() == kept
        assert catalog.images() == [replace(image, perceptual_version=0, perceptual_detail=0.0)]
        assert catalog.unread_images() == []
        assert catalog.unread_images(perceptual_version=1) == catalog.images()
        assert catalog.backup is not None
        copy = catalog.backup
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert connection.execute("SELECT count(*) FROM annotations").fetchall() == [(1,)]
    connection.close()
    assert [file.name for file in path.parent.glob("*before*")] == [copy.name]


def test_killed_upgrades_leave_one_copy_and_nothing_else(path: Path) -> None:
    with Catalog(path) as catalog:
        catalog.add_images("monday", [picture(1)])
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings = migrations.config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0001")
    engine.dispose()
    killed = back_up(path, migrations.HEAD)  # and then the process that made it was killed
    path.with_name(f".catalog.before-{migrations.HEAD}-20260101-000000.db.4711.tmp").write_bytes(b"half a copy")
    path.with_name(f".catalog.before-{migrations.HEAD}-20260101-000000.db.4711.tmp-journal").touch()
    with Catalog(path) as catalog:
        assert catalog.backup == killed
        assert len(catalog.images()) == 1
    left = {file.name for file in path.parent.iterdir()}
    assert left <= {path.name, f"{path.name}.lock", killed.name}


@posix_only
def test_a_copy_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Catalog(path).close()

    def full(partial: Path, copy: Path) -> None:
        Path(f"{partial}-journal").touch()  # as SQLite leaves it when the disk is full
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("samnb.catalog.backup.publish", full)
    with pytest.raises(OSError, match="No space left"):
        back_up(path, "0002")
    assert not [file.name for file in path.parent.iterdir() if "before" in file.name]


def test_two_users_of_one_group_share_a_catalog(path: Path) -> None:
    before = os.umask(0o002)
    try:
        with Catalog(path) as catalog:
            catalog.add_dataset("monday")
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o664}
    assert path.name in modes


def test_an_upgrade_that_fails_leaves_an_empty_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade_and_fail(connection: Any) -> None:
        migrations.upgrade(connection)
        raise RuntimeError("power cut")

    monkeypatch.setattr(samnb.catalog.database, "upgrade", upgrade_and_fail)
    with pytest.raises(RuntimeError, match="power cut"):
        Catalog(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    monkeypatch.undo()
    Catalog(path).close()


def test_upgrading_leaves_logging_alone(path: Path) -> None:
    mine, root = logging.getLogger("somebody.else"), logging.getLogger()
    alembics = logging.getLogger("alembic")

    def settings() -> tuple[object, ...]:
        return root.level, [*root.handlers], mine.disabled, mine.level, alembics.level, [*alembics.handlers]

    before = settings()
    Catalog(path).close()
    assert settings() == before


def test_opening_what_is_up_to_date_needs_no_alembic(path: Path) -> None:
    Catalog(path).close()
    code = """
import sys
from samnb.catalog import Catalog
Catalog(sys.argv[1]).images()
print("alembic" in sys.modules, "filelock" in sys.modules)
"""
    assert output_of(run(code, path)) == "False False\n"


def test_processes_opening_at_once_upgrade_once(path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
import alembic.command
import samnb.catalog.database
from samnb.catalog import Catalog

upgrade = samnb.catalog.database.upgrade
def told(connection):
    print("upgraded")
    time.sleep(0.3)
    upgrade(connection)
samnb.catalog.database.upgrade = told

Path(sys.argv[1], sys.argv[2]).touch()
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
Catalog(Path(sys.argv[1], "catalog.db")).add_dataset(sys.argv[2])
"""
    folder = path.parent
    processes = [run(code, folder, name) for name in "abc"]
    wait_until("all three have started", lambda: all((folder / name).exists() for name in "abc"))
    (folder / "go").touch()
    assert "".join(map(output_of, processes)) == "upgraded\n"
    with Catalog(path) as catalog:
        assert {d.name for d in catalog.datasets()} == {"a", "b", "c"}


def test_threads_opening_new_catalogs_at_once(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            with Catalog(tmp_path / f"{number % 3}.db") as catalog:
                catalog.add_dataset(f"thread {number}")
        except Exception as error:
            errors.append(error)

    in_threads(work, 6)
    assert errors == []
    for number in range(3):
        with Catalog(tmp_path / f"{number}.db") as catalog:
            assert len(catalog.datasets()) == 2


def test_the_package_works_from_another_place(tmp_path: Path) -> None:
    copy = tmp_path / "site 100%" / "samnb"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "*.pth"))
    code = """
import sys, samnb
from samnb.catalog import Catalog
print(Catalog(sys.argv[1]).add_dataset("monday").name, samnb.__file__)
"""
    out = output_of(run(code, tmp_path / "catalog.db", package=copy, cwd=tmp_path))
    assert out == f"monday {copy / '__init__.py'}\n"


# -- files that are not a catalog, or cannot be written -----------------------------------------------


def test_a_file_that_is_not_a_database(path: Path) -> None:
    path.write_bytes(b"These are my holiday notes. " * 100)
    with pytest.raises(StoreError, match=r"catalog.db: file is not a database.*move that file away"):
        Catalog(path)
    assert path.read_bytes() == b"These are my holiday notes. " * 100


def test_a_database_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE images (id TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program: it has tables images and no samnb schema"):
        Catalog(path)
    assert path.read_bytes() == before


def test_a_damaged_database(path: Path) -> None:
    with Catalog(path) as catalog:
        catalog.add_images("many", [picture(n) for n in range(500)])
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xab" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="backup"):
        Catalog(path).images()


def test_a_folder_in_the_place_of_the_file(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="a folder, where the catalog's file should be"):
        Catalog(path)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "coins").touch()
    with pytest.raises(SessionReadOnly, match="coins: cannot write here"):
        Catalog(tmp_path / "coins" / "catalog.db")


WRITE_AS_SOMEBODY_ELSE = """
import os, sys
from samnb.catalog import Catalog
from samnb.errors import SessionReadOnly

Catalog(sys.argv[1]).close()  # import all there is, as somebody else may not read the modules
if os.geteuid() == 0:  # root may write anywhere
    os.setuid(65534)
for told in (True, False):  # the system tells beforehand, as it should, or not, as some network folders
    for path in sys.argv[2:]:
        try:
            Catalog(path).add_dataset("monday")
        except SessionReadOnly as error:
            print(error)
    os.access = lambda *arguments: True
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach, which pytest's are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for inner in folder.iterdir():
        inner.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name == "nt", reason="needs the permissions of a POSIX system")
def test_what_cannot_be_written_is_said_of_the_folder(folder: Path, empty_catalog: Path, tmp_path: Path) -> None:
    made = empty_catalog.read_bytes()
    cases = ((None, 0o555, 0), (made, 0o555, 0o666), (b"", 0o555, 0o666), (made, 0o777, 0o444), (b"", 0o777, 0o444))
    paths = [folder / str(number) / "catalog.db" for number in range(len(cases))]
    for path, (content, folder_mode, file_mode) in zip(paths, cases, strict=True):
        path.parent.mkdir()
        if content is not None:
            path.write_bytes(content)
            path.chmod(file_mode)
        path.parent.chmod(folder_mode)
    messages = output_of(run(WRITE_AS_SOMEBODY_ELSE, tmp_path / "catalog.db", *paths)).splitlines()
    assert [message.split(": cannot write here (")[0].split(": cannot write here.")[0] for message in messages] == [
        str(path.parent) for path in [*paths, *paths]
    ]
    assert all(message.count("cannot write here") == 1 for message in messages)


def test_a_file_that_becomes_read_only_while_open(in_file: Catalog, path: Path) -> None:
    connection = in_file._database.engine.raw_connection()
    connection.cursor().execute("PRAGMA query_only = ON")
    connection.close()
    with pytest.raises(SessionReadOnly, match=f"{path.parent}: cannot write here"):
        in_file.add_dataset("monday")


def test_a_lock_that_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.catalog.engines, "BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(path, isolation_level=None)
    with Catalog(path) as catalog:
        other.execute("BEGIN IMMEDIATE")
        assert catalog.images() == []
        with pytest.raises(StoreError, match=r"still locked by another process after 0.05 s"):
            catalog.add_dataset("monday")
        other.execute("ROLLBACK")
        catalog.add_dataset("monday")
    other.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@localhost:1/samnb",
        "postgresql://ann:s3:cret@localhost:nonsense/samnb?password=s3cret",
        "postgresql+nosuchdriver://ann:s3cret@localhost/samnb?password=s3cret",
        "postgres://ann:s3cret@localhost/samnb",
        "://ann:s3cret@localhost",
        "nosuch://ann:s3cret@localhost/samnb",
    ],
)
def test_a_password_is_in_no_message(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Catalog(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3c" not in str(error)
        assert "s3:" not in str(error)
        error = error.__cause__ if error.__suppress_context__ else error.__context__


def test_a_password_is_in_nothing_that_is_shown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = create_engine

    def without_a_server(url: object, *, connect_args: object, **options: Any) -> Engine:
        return real(f"sqlite:///{path}", **options)

    monkeypatch.setattr(samnb.catalog.engines, "create_engine", without_a_server)
    catalog = Catalog("postgresql+psycopg://ann:s3cret@db.example/samnb?sslpassword=s3cret2")
    try:
        for shown in (repr(catalog), str(catalog), repr(catalog._database), repr(catalog._database.engine)):
            assert "s3cret" not in shown
        assert "ann:***@db.example/samnb" in repr(catalog)
        with pytest.raises(UnknownName) as caught:
            catalog.image("nobody.png")
        assert "s3cret" not in str(caught.value)
        # libpq, for one, repeats a part of an address that it cannot read.
        with pytest.raises(StoreError, match=r"in \*\*\*") as refused, catalog._database.read():
            raise sqlite3.OperationalError("invalid connection option in s3cret")
        assert "s3cret" not in "".join(traceback.format_exception(refused.value))
    finally:
        catalog.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_catalog_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="needs a SQLite file that stays"):
        Catalog(url)


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", ".lock"])
def test_a_folder_in_place_of_a_file_beside_the_catalog_is_named(tmp_path: Path, end: str) -> None:
    beside = tmp_path / f"catalog.db{end}"
    beside.mkdir()
    with pytest.raises(StoreError, match=f"{re.escape(str(beside))}: a folder, where a file of the catalog"):
        Catalog(tmp_path / "catalog.db")


def test_the_log_of_a_catalog_behind_a_link_is_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "disk" / "real.db"
    Catalog(real).close()
    (tmp_path / "s").mkdir()
    os.symlink(real, tmp_path / "s" / "catalog.db")
    synced: list[Path] = []
    sync = samnb.catalog.database.sync
    monkeypatch.setattr(samnb.catalog.database, "sync", lambda paths: (synced.extend(paths), sync(paths)))
    with Catalog(tmp_path / "s" / "catalog.db") as catalog:
        catalog.add_images("monday", [picture(1)], durable=False)
        catalog.sync()
    assert synced == [tmp_path / "disk" / "real.db-wal"]
