"""Databases of the earlier server, with and without its two later columns: opened, kept, upgraded, filled in."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.catalog.database
import samnb.session
from samnb.catalog import Catalog
from samnb.catalog.migrations import HEAD
from samnb.errors import StoreError
from samnb.images import content_hash, read_picture
from samnb.ingest.unread import Reader, fill_events
from samnb.jobs import JobControl
from samnb.records import UNREAD
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import wait_until

# The server's tables as its documentation gives them: `im['id']` is one of its dataset, so both make the key.
TABLES = """
CREATE TABLE datasets (id VARCHAR(64) PRIMARY KEY, name VARCHAR(255), created_at DATETIME);
CREATE TABLE images (
    id VARCHAR(64) NOT NULL, dataset_id VARCHAR(64) NOT NULL REFERENCES datasets(id),
    filename VARCHAR(255) NOT NULL, path VARCHAR(1024) NOT NULL, width INTEGER, height INTEGER,
    PRIMARY KEY (dataset_id, id)
);
CREATE TABLE templates (id VARCHAR(64) PRIMARY KEY, dataset_id VARCHAR(64), payload TEXT);
CREATE TABLE masks (
    id INTEGER PRIMARY KEY, dataset_id VARCHAR(64), image_id VARCHAR(64),
    FOREIGN KEY (dataset_id, image_id) REFERENCES images (dataset_id, id)
);
"""

# Word for word.
ADDED_COLUMNS = """
-- SQLite migration
ALTER TABLE images ADD COLUMN content_hash VARCHAR(64);
ALTER TABLE images ADD COLUMN embedding_cached INTEGER DEFAULT 0;
CREATE INDEX idx_content_hash ON images(content_hash);
"""


def picture_file(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return path


def servers_database(path: Path, photos: Path, *, with_hashes: bool, hashed: int = 3) -> None:
    """Two datasets: abc123 with a, b, gone; def456 with b again under the same image id as abc123's first."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES + (ADDED_COLUMNS if with_hashes else ""))
        connection.execute("INSERT INTO datasets VALUES ('abc123', 'monday', '2025-01-01 10:00:00')")
        connection.execute("INSERT INTO templates VALUES ('t1', 'abc123', '{}')")
        rows = [
            ("0", "abc123", "a.png"),
            ("1", "abc123", "b.png"),
            ("2", "abc123", "gone.png"),
            ("0", "def456", "b.png"),
        ]
        for number, (image_id, dataset_id, name) in enumerate(rows):
            row: tuple[object, ...] = (image_id, dataset_id, name, str(photos / name), None, None)
            if with_hashes:
                known = (photos / name).exists() and number < hashed
                row += (content_hash(photos / name) if known else None, int(known))
            connection.execute(f"INSERT INTO images VALUES ({', '.join('?' * len(row))})", row)
        connection.execute("INSERT INTO masks VALUES (1, 'abc123', '0')")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a.png", "b.png")):
        picture_file(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


@pytest.fixture(params=[True, False], ids=["with the two columns", "without them"])
def old(request: pytest.FixtureRequest, tmp_path: Path, photos: Path) -> Path:
    path = tmp_path / "session" / "catalog.db"
    path.parent.mkdir()
    servers_database(path, photos, with_hashes=request.param)
    return path


@pytest.fixture
def session(old: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(old.parent) as session:
        yield session


def content_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_its_images_and_datasets_come_over(old: Path, photos: Path) -> None:
    with Catalog(old) as catalog:
        assert {d.name: d.id for d in catalog.datasets()} == {"monday": "abc123", "def456": "def456"}
        images = catalog.images(dataset="monday")
        assert [(i.id, i.filename, i.path, i.position) for i in images] == [
            (str(n), name, str(photos / name), n) for n, name in enumerate(("a.png", "b.png", "gone.png"))
        ]
        [other] = catalog.images(dataset="def456")
        assert (other.path, len(other.id)) == (images[1].path, 32)  # the id "0" was taken
        assert len({i.pixel_hash for i in catalog.images()}) == 4
        assert not any(i.embedding_cached or i.is_read for i in catalog.images())
        assert catalog.duplicates() == []


def test_what_was_known_of_the_content_stays_known(tmp_path: Path, photos: Path) -> None:
    path = tmp_path / "app.db"
    servers_database(path, photos, with_hashes=True, hashed=2)
    with Catalog(path) as catalog:
        found = catalog.find_image_by_hash(content_hash(photos / "b.png"))
        assert found is not None
        assert (found["dataset_id"], found["id"], found["embedding_cached"]) == ("abc123", "1", False)
        assert [bool(i.content_hash) for i in catalog.images(dataset="monday")] == [True, True, False]
        catalog.mark_embedding_cached("abc123", "1", True)
        assert catalog.get_cached_images_count("abc123") == 1


def test_it_is_kept_as_it_was_beside_the_new_one(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = content_of(old)
    with Catalog(old) as catalog:
        assert catalog.backup is not None
        assert catalog.backup.parent == old.parent
        assert content_of(catalog.backup) == before
    assert str(catalog.backup) in caplog.text
    assert "4 images in 2 datasets came over" in caplog.text
    assert "fill_hashes" in caplog.text
    with Catalog(old) as again:
        assert again.backup is None
    assert len(list(old.parent.glob("catalog.before-*.db"))) == 1


def test_its_own_tables_stay_beside(old: Path) -> None:
    Catalog(old).close()
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT payload FROM server_templates").fetchall() == [("{}",)]
        assert connection.execute("SELECT count(*) FROM server_images").fetchall() == [(4,)]
        assert connection.execute("SELECT image_id FROM masks").fetchall() == [("0",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check(masks)").fetchall() == []
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_odd_rows(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    uuid = "0b2f0f3e-9f0c-4c4e-8f5e-3f6f0a1b2c3d"
    with closing(sqlite3.connect(path)) as connection, connection:
        # No table of datasets, numbers for ids, the same file twice, a path that is not there, a hash cut short.
        connection.execute(
            "CREATE TABLE images (id INTEGER, dataset_id TEXT, filename TEXT, path TEXT, content_hash TEXT)"
        )
        connection.executemany(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?)",
            [
                (7, uuid, "a.png", "/x/a.png", "ABC"),
                (8, uuid, "again.png", "/x/a.png", "A" * 64),
                (9, uuid, "b.png", None, "B" * 64),
            ],
        )
    with Catalog(path) as catalog:
        [dataset] = catalog.datasets()
        assert (dataset.id, dataset.name, dataset.images) == (uuid.replace("-", ""), uuid, 2)
        one, two = catalog.images()
        assert (one.id, one.filename, one.content_hash) == ("7", "a.png", "")
        assert (two.path, two.content_hash, two.size_hw) == ("b.png", "b" * 64, (0, 0))


def test_an_upgrade_that_fails_changes_nothing_and_leaves_no_copy(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("power cut")

    before = content_of(old)
    monkeypatch.setattr(samnb.catalog.database, "carry_over", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        Catalog(old)
    assert content_of(old) == before
    assert list(old.parent.glob("*before*")) == []
    monkeypatch.undo()
    with Catalog(old) as catalog:
        assert len(catalog.images()) == 4


def test_no_copy_no_upgrade(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    before = content_of(old)
    monkeypatch.setattr(samnb.catalog.database, "back_up", fail)
    with pytest.raises(StoreError, match="disk is full"):
        Catalog(old)
    assert content_of(old) == before


def test_the_copy_holds_what_is_still_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE images (id, dataset_id, filename, path)")
        connection.execute("INSERT INTO images VALUES (1, 2, 'a.png', '/a.png')")
        connection.commit()
        assert path.with_name("catalog.db-wal").stat().st_size > 0
        with Catalog(path) as catalog:
            assert catalog.backup is not None
            assert any("/a.png" in line for line in content_of(catalog.backup))


OPEN = """
import sys, time
from pathlib import Path
import alembic.command
from samnb.catalog import Catalog

Path(sys.argv[1], sys.argv[2]).touch()
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
with Catalog(Path(sys.argv[1], "catalog.db")) as catalog:
    print(len(catalog.images()), catalog.backup is not None)
"""


def test_two_processes_open_it_at_once_and_one_upgrades(old: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(samnb.__file__).parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, old.parent, name], stdout=subprocess.PIPE, env=environment, text=True
        )
        for name in "ab"
    ]
    wait_until("both have started", lambda: all((old.parent / name).exists() for name in "ab"))
    (old.parent / "go").touch()
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert sorted(said) == ["4 False\n", "4 True\n"]
    assert len(list(old.parent.glob("catalog.before-*.db"))) == 1


# -- filling in what it never knew ------------------------------------------------------------------


def test_hashes_are_filled_in_with_progress(session: Session, photos: Path) -> None:
    assert "4 from the earlier server: session.fill_hashes()" in str(session.status())
    job = session.fill_hashes(show=False)
    last = job.wait(300)
    assert (job.total, last["computed"], last["failed"]) == (4, 3, 1)
    assert sorted((event.status, event.filename) for event in job.events[:-1]) == [
        *(("computed", name) for name in ("a.png", "b.png", "b.png")),
        ("failed", "gone.png"),
    ]
    [failed] = [event for event in job.events if event.status == "failed"]
    assert str(photos / "gone.png") in failed["error"]
    assert last["summary"] == "Hashes of 3 images filled in, 1 failed"
    whole = read_picture(photos / "b.png")
    image = session.image("def456/b.png")
    assert (image.pixel_hash, image.content_hash, image.size_hw) == (whole.pixel_hash, whole.content_hash, (20, 30))
    assert [[i.filename for i in group] for group in session.duplicates().in_several] == [["b.png", "b.png"]]
    assert [i.filename for i in session.catalog.unread_images()] == ["gone.png"]
    assert session.status().unread == 1


def test_filling_again_reads_only_what_is_left(session: Session, photos: Path) -> None:
    session.fill_hashes(show=False).wait(300)
    picture_file(photos / "gone.png", 9)
    last = session.fill_hashes(show=False).wait(300)
    assert (last["total"], last["computed"]) == (1, 1)
    assert session.fill_hashes(show=False).wait(300)["total"] == 0


def test_filling_can_be_stopped(session: Session) -> None:
    control = JobControl()
    control.cancel()
    [last] = fill_events(Reader(session.catalog, lambda _: False), session.catalog.unread_images(), control=control)
    assert (last["computed"], last["cancelled"]) == (0, True)
    assert len(session.catalog.unread_images()) == 4


def test_adding_the_files_again_fills_them_in_too(session: Session, photos: Path) -> None:
    before = session.images("monday")
    report = session.add(photos, dataset="monday")
    assert (len(report.images), report.added, report.changed) == (2, 0, 0)
    assert [i.id for i in report.images] == [i.id for i in before[:2]]
    assert all(i.is_read for i in report.images)


def test_nobody_has_to_fill_them_in(session: Session) -> None:
    assert session.predict("monday/a.png", points=[(3, 3)]).masks.shape[1:] == (20, 30)
    assert session.pixels("def456/b.png").shape == (20, 30, 3)
    last = session.prewarm(show=False).wait(300)
    assert (last["computed"], last["skipped"], last["failed"]) == (1, 2, 1)
    assert session.model.encodes == 2  # type: ignore[attr-defined]
    assert sum(i.embedding_cached for i in session.images()) == 3


def test_a_file_that_changed_since_is_told(tmp_path: Path, photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "app.db"
    servers_database(path, photos, with_hashes=True)
    picture_file(photos / "a.png", 77)
    with Catalog(path) as catalog, caplog.at_level(logging.WARNING, "samnb.ingest.relocate"):
        list(fill_events(Reader(catalog, lambda _: False), catalog.unread_images()))
        assert f"{photos / 'a.png'}: its bytes changed" in caplog.text
        assert catalog.image("a.png").content_hash == content_hash(photos / "a.png")


def test_an_image_removed_meanwhile_is_told(session: Session) -> None:
    records = session.catalog.unread_images()[:1]
    gone = [records[0].__class__(**{**vars(records[0]), "id": "nobody", "pixel_hash": UNREAD + "nobody"})]
    [event, last] = fill_events(Reader(session.catalog, lambda _: False), gone)
    assert (event.status, last["failed"]) == ("failed", 1)
    assert "removed" in event["error"]


@pytest.mark.parametrize("side", ["640px", "640.0", float("inf"), 1e30, -5, b"x"])
def test_a_side_that_is_no_number_is_read_from_the_file_later(tmp_path: Path, side: object) -> None:
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE images (id, dataset_id, filename, path, width, height)")
        connection.execute("INSERT INTO images VALUES ('1', 'd', 'a.png', '/a.png', ?, 480)", (side,))
    with Catalog(path) as catalog:
        [image] = catalog.images()
    assert image.size_hw == (480, 640 if side == "640.0" else 0)


def test_datasets_that_seem_one_stay_two(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE datasets (id, name)")
        connection.execute("CREATE TABLE images (id, dataset_id, filename, path)")
        rows = [(1, "a"), (3, "a (2)"), (2, "a"), ("1", "b")]
        connection.executemany("INSERT INTO datasets VALUES (?, ?)", rows)
        connection.executemany("INSERT INTO images VALUES ('x', ?, 'p.png', '/p.png')", [(id,) for id, _ in rows])
    with Catalog(path) as catalog:
        found = {dataset.name: dataset.images for dataset in catalog.datasets()}
    assert found == {"a": 1, "a (2)": 1, "a (2) (2)": 1, "b": 1}
