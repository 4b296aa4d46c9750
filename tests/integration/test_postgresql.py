"""The catalog on a PostgreSQL: opened, upgraded, shared; and its password never told."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

import samnb.catalog.database
import samnb.catalog.engines
from samnb.catalog import Catalog, migrations
from samnb.catalog.tables import metadata
from samnb.errors import SessionReadOnly, StoreError, UnknownName
from samnb.session import Session
from tests.support.made_up import picture
from tests.support.postgres_server import PASSWORD, PostgresServer


def told(error: BaseException) -> str:
    """All that a traceback of it would show."""
    return "".join(traceback.format_exception(error))


# -- opening ------------------------------------------------------------------------------------------


def test_the_scripts_make_the_tables_the_queries_use(postgres_server: PostgresServer) -> None:
    engine = create_engine(postgres_server.catalog())
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_every_revision_can_be_undone_and_done_again(postgres_server: PostgresServer) -> None:
    url = postgres_server.catalog()
    with Catalog(url) as catalog:
        [image] = catalog.add_images("monday", [picture(1)])
    engine = create_engine(url)
    settings = migrations.config()
    for revision in ("0003", "0001"):
        with engine.begin() as connection:
            settings.attributes["connection"] = connection
            command.downgrade(settings, revision)
    with Catalog(url) as catalog:
        assert catalog.images() == [image]
        assert catalog.backup is None
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


OPEN = """
import logging, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
import samnb.catalog.database
from samnb.catalog import Catalog

upgrade = samnb.catalog.database.upgrade
def told(connection):
    print("upgraded")
    upgrade(connection)
samnb.catalog.database.upgrade = told
Catalog(sys.argv[1]).add_dataset(sys.argv[2])
"""


def test_processes_opening_at_once_upgrade_once(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.database())
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, url, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in "abc"
    ]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert "".join(out for out, _ in results) == "upgraded\n"
    with Catalog(url) as catalog:
        assert {dataset.name for dataset in catalog.datasets()} == set("abc")


def test_a_database_of_another_program(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.database())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE annotations (id TEXT)")
    with pytest.raises(StoreError, match="another program: it has tables annotations") as caught:
        Catalog(url)
    assert PASSWORD not in told(caught.value)
    assert inspect(engine).get_table_names() == ["annotations"]
    engine.dispose()


# -- a session ----------------------------------------------------------------------------------------


def test_a_session_from_first_to_last(postgres_server: PostgresServer, tmp_path: Path, demo_folder: Path) -> None:
    url = postgres_server.catalog()
    photos = sorted((demo_folder / "monday").glob("*"))[:2]
    with Session(tmp_path / "coins", database_url=url) as session:
        report = session.add(photos, dataset="monday", show=False)
        assert report.added == 2
        first, second = session.images()
        session.prewarm(show=False).wait()
        prediction = session.predict(first, points=[(first.width / 2, first.height / 2)])
        assert prediction.cache_hit
        session.accept(prediction, category="coin")
        template = session.template("coins")
        job = session.apply(template, images=[second], show=False).wait()
        assert job.details["failed"] == 0
        assert session.catalog.applied("coins", template.version, session.model.fingerprint) == {second.id}
        assert session.export("coco", tmp_path / "all.json").images == 2
        assert session.status().as_dict()["cached"] == 2
    with Session(tmp_path / "coins", database_url=url) as again:
        assert [image.embedding_cached for image in again.images()] == [True, True]
        assert again.categories() == ["coin"]
        assert again.add(photos, dataset="monday", show=False).added == 0
    assert not (tmp_path / "coins" / "catalog.db").exists()


# -- passwords ----------------------------------------------------------------------------------------


def test_the_password_is_in_nothing_a_session_shows(
    postgres_server: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Session(tmp_path, database_url=postgres_server.catalog()) as session:
        session.add(np.zeros((20, 30, 3), np.uint8), show=False)
        status = session.status()
        shown = [repr(session), session._repr_html_(), repr(status), str(status), str(status.as_dict())]
        shown += [repr(session.catalog), repr(session.catalog._database), repr(session.catalog._database.engine)]
        with pytest.raises(UnknownName) as caught:
            session.image("nobody.png")
    assert PASSWORD not in "".join([*shown, told(caught.value), *caplog.messages])


@pytest.mark.parametrize("part", ["password", "database", "port", "host", "user", "query"])
def test_the_password_is_in_no_error_of_opening(postgres_server: PostgresServer, part: str) -> None:
    url = postgres_server.catalog()
    port, secret = str(postgres_server.port), PASSWORD
    wrong = {
        "password": url.replace(PASSWORD, "wr0ng-s3cret"),
        "database": f"{url}-is-not-there",
        "port": url.replace(port, "1"),
        "host": url.replace("127.0.0.1", "256.256.256.256"),
        "user": url.replace("//ann:", "//nobody:"),
        "query": f"{url}?sslpassword=0ther-s3cret&sslmode=nonsense",
    }[part]
    with pytest.raises(StoreError, match=r"postgresql\+psycopg://\w+:\*\*\*@") as caught:
        Catalog(wrong)
    for hidden in (secret, "wr0ng-s3cret", "0ther-s3cret"):
        assert hidden not in told(caught.value)


def test_the_password_is_in_no_error_of_a_query(postgres_server: PostgresServer) -> None:
    with Catalog(postgres_server.catalog()) as catalog:
        with pytest.raises(StoreError, match="no_such_table") as caught, catalog._database.read() as connection:
            connection.exec_driver_sql("SELECT * FROM no_such_table")
        assert PASSWORD not in told(caught.value)
        # A server that quotes what it was sent.
        with pytest.raises(StoreError, match=r"\*\*\*") as caught, catalog._database.read() as connection:
            connection.exec_driver_sql(f"SELECT {PASSWORD!r}::integer")
        assert PASSWORD not in told(caught.value)
        # The server goes away under us, and is there again for the next call.
        pid = catalog._database.engine.connect().exec_driver_sql("SELECT pg_backend_pid()").scalar()
        postgres_server.execute(f"SELECT pg_terminate_backend({pid})")
        assert catalog.images() == []


# -- in each other's way ------------------------------------------------------------------------------


def test_a_writer_that_never_ends_is_told_of_and_not_waited_for(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samnb.catalog.engines, "BUSY_TIMEOUT_MS", 300)
    url = postgres_server.catalog()
    with Catalog(url) as one, Catalog(url) as other:
        with one._database.write(), pytest.raises(StoreError, match=r"still locked by another process after 0\.3 s"):
            other.add_dataset("monday")
        other.add_dataset("monday")
        assert [dataset.name for dataset in one.datasets()] == ["monday"]


def test_a_database_that_may_only_be_read(postgres_server: PostgresServer) -> None:
    with Catalog(postgres_server.catalog()) as catalog:
        with pytest.raises(SessionReadOnly), catalog._database.write() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY; DELETE FROM images")
        # Words of SQLite's in what a user wrote mean nothing here.
        with pytest.raises(StoreError, match="the database answers") as caught, catalog._database.read() as connection:
            connection.exec_driver_sql("SELECT 'locked malformed readonly'::integer")
        assert not isinstance(caught.value, SessionReadOnly)
