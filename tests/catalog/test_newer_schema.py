"""A catalog that a newer samnb wrote: it is read, and nothing in it changes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from samnb.catalog import Catalog, migrations
from samnb.errors import SessionTooNew
from samnb.session import Session
from tests.support.made_up import coin, digest, picture

MADE_BY_A_NEWER_ONE = (
    "ALTER TABLE images ADD COLUMN depth INTEGER",
    "CREATE TABLE planes (name TEXT PRIMARY KEY)",
    "UPDATE alembic_version SET version_num = '9999'",
)


def alter(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def content_of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    from samnb.catalog.tables import metadata

    engine = create_engine(url)
    with engine.connect() as connection:
        tables = [*metadata.tables, "alembic_version"]
        rows = {name: connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall() for name in tables}
    engine.dispose()
    return {name: sorted(map(tuple, some), key=repr) for name, some in rows.items()}


def test_what_is_there_is_read(catalog_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with Catalog(catalog_url) as catalog:
        images = catalog.add_images("monday", [picture(1), picture(2, embedding_cached=True)])
        kept = catalog.add_annotations([coin(images[0])])
        catalog.save_category("coin")
        catalog.save_template("coins", {"score": 0.5})
        assert not catalog.read_only
    alter(catalog_url, *MADE_BY_A_NEWER_ONE)
    before = content_of(catalog_url)
    with caplog.at_level(logging.WARNING), Catalog(catalog_url, folder_for_messages="my coins") as catalog:
        assert catalog.read_only
        assert (catalog.images(), catalog.annotations()) == (images, kept)
        assert catalog.image("img2.jpg") == images[1]
        assert catalog.categories() == ["coin"]
        assert (catalog.templates(), catalog.verdicts(), catalog.duplicates()) == ([("coins", 1)], [], [])
        assert catalog.refresh_cached(lambda image: True) == 1
        assert catalog.mark_pixels_cached(images[0].pixel_hash, True) == catalog.mark_held({digest(1)}) == 0
    assert content_of(catalog_url) == before
    [warning] = caplog.messages
    assert warning.startswith(f"my coins: its catalog has schema 9999, this samnb knows up to {migrations.HEAD}")
    assert "reading only: to change it, upgrade with `pip install -U samnb`" in warning


WRITES: dict[str, Callable[[Catalog], object]] = {
    "add_dataset": lambda c: c.add_dataset("monday"),
    "rename_dataset": lambda c: c.rename_dataset("monday", "x"),
    "delete_dataset": lambda c: c.delete_dataset("monday"),
    "remove_image": lambda c: c.remove_image(c.images()[0].id),
    "add_images": lambda c: c.add_images("monday", [picture(3)]),
    "renew_images": lambda c: c.renew_images({c.images()[0].id: picture(3)}),
    "mark_embedding_cached": lambda c: c.mark_embedding_cached("x", "y", True),
    "add_annotations": lambda c: c.add_annotations([coin(c.images()[0])]),
    "remove_annotations": lambda c: c.remove_annotations([1]),
    "update_annotation": lambda c: c.update_annotation(1, layer=1),
    "restore_annotations": lambda c: c.restore_annotations([]),
    "save_category": lambda c: c.save_category("coin"),
    "save_image_state": lambda c: c.save_image_state(c.images()[0].id, "done"),
    "note_opened": lambda c: c.note_opened(c.images()[0].id),
    "save_attribute": lambda c: c.save_attribute("occluded", "flag"),
    "remove_attribute": lambda c: c.remove_attribute("occluded"),
    "merge_category": lambda c: c.merge_category("coin", "x"),
    "rename_category": lambda c: c.rename_category("coin", "x"),
    "remove_category": lambda c: c.remove_category("coin"),
    "save_template": lambda c: c.save_template("coins", {}),
    "finish_applied": lambda c: c.finish_applied("coins", 1, "m", c.images()[0].id, []),
    "save_verdict": lambda c: c.save_verdict("a", "b", same=True, distance=1),
    "forget_verdict": lambda c: c.forget_verdict("a", "b"),
    "files.remember": lambda c: c.files.remember({_stamp(): picture(1)}),
}


def _stamp() -> Any:
    from samnb.catalog.file_index import FileStat

    new = picture(1)
    return FileStat(new.path, 1, new.inode, new.size_bytes, new.mtime_ns)


def test_every_change_says_what_to_do(catalog_url: str) -> None:
    with Catalog(catalog_url) as catalog:
        catalog.add_images("monday", [picture(1)])
    alter(catalog_url, *MADE_BY_A_NEWER_ONE)
    before = content_of(catalog_url)
    with Catalog(catalog_url) as catalog:
        for write in WRITES.values():
            with pytest.raises(SessionTooNew, match="to change it, upgrade with `pip install -U samnb`"):
                write(catalog)
        # Also what goes past `write` is refused, by the database.
        with pytest.raises(Exception, match="read"), catalog._database.read() as connection:
            connection.exec_driver_sql("DELETE FROM images")
    assert content_of(catalog_url) == before


def test_what_lacks_a_column_is_not_opened(catalog_url: str) -> None:
    Catalog(catalog_url).close()
    alter(catalog_url, *MADE_BY_A_NEWER_ONE, "ALTER TABLE images DROP COLUMN perceptual_detail", "DROP TABLE applied")
    with pytest.raises(SessionTooNew, match=r"schema 9999, and has no images.perceptual_detail, .*applied\."):
        Catalog(catalog_url)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("cut_off", [False, True])
def test_not_a_byte_of_the_file_changes(tmp_path: Path, cut_off: bool) -> None:
    path = tmp_path / "catalog.db"
    Catalog(path).close()
    ending = f"os.kill(os.getpid(), {int(signal.SIGKILL)})" if cut_off else "connection.close()"
    program = f"""
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in {MADE_BY_A_NEWER_ONE}:
    connection.execute(statement)
{ending}
"""
    subprocess.run([sys.executable, "-c", program, str(path)], check=not cut_off)

    def files() -> dict[str, str]:
        # Not the -shm, which is no more than what open connections have in common; an empty log is no log.
        found = (file for file in tmp_path.iterdir() if not file.name.endswith("-shm") and file.stat().st_size)
        return {file.name: sha256(file.read_bytes()).hexdigest() for file in found}

    before = files()
    assert (f"{path.name}-wal" in before) == cut_off
    with Catalog(path) as catalog:
        assert catalog.read_only
        assert catalog.images() == []
        with pytest.raises(SessionTooNew):
            catalog.add_dataset("monday")
    assert files() == before


def test_a_session_reads_predicts_and_exports(both_databases: None, catalog_url: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    with Session(tmp_path / "coins") as session:
        session.add(pixels, dataset="monday", show=False)
        first = session.predict(session.images()[0], points=[(40, 30)])
        session.accept(first, category="coin")
    alter(catalog_url, *MADE_BY_A_NEWER_ONE)
    before = content_of(catalog_url)
    with Session(tmp_path / "coins") as session:
        assert session.catalog.read_only
        again = session.predict(session.images()[0], points=[(40, 30)])
        assert again.cache_hit
        np.testing.assert_array_equal(again.masks, first.masks)
        assert session.is_cached(session.images()[0])
        assert session.status().as_dict()["images"] == 1
        assert "coins" in session._repr_html_()
        assert session.export("coco", tmp_path / "all.json").annotations == 1
        assert session.prewarm(show=False).wait().details["skipped"] == 1
        for change in (
            lambda: session.accept(again, category="coin"),
            lambda: session.add(pixels[:50], dataset="monday", show=False),
            lambda: session.delete_dataset("monday", discard_annotations=True),
            lambda: session.template("coins"),
        ):
            with pytest.raises(SessionTooNew, match="reading only"):
                change()
    assert content_of(catalog_url) == before
