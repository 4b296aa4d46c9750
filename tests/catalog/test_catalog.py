"""The catalog: what goes in comes out, whoever writes at the same time, and whatever the file turns out to be."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

import samnb
import samnb.catalog
import samnb.catalog.database
from samnb.catalog import AnnotationRecord, Catalog, ImageRecord, NewAnnotation, NewImage, migrations
from samnb.catalog.tables import metadata
from samnb.errors import ImageError, SamnbError, SessionReadOnly, StoreError, UnknownName
from tests.support.made_up import coin, digest, picture

PACKAGE = Path(samnb.__file__).parent


def run(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(options.pop("package", PACKAGE).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def in_file(path: Path, empty_catalog: Path) -> Iterator[Catalog]:
    """On SQLite alone, at `path`."""
    shutil.copyfile(empty_catalog, path)
    with Catalog(path) as opened:
        yield opened


# -- images -------------------------------------------------------------------------------------------


def test_images_come_out_as_they_went_in(catalog: Catalog) -> None:
    records = catalog.add_images("monday", [picture(n, embedding_cached=n == 1) for n in range(3)])
    assert catalog.images() == records
    assert [r.position for r in records] == [0, 1, 2]
    assert [r.embedding_cached for r in records] == [False, True, False]
    assert {r.dataset for r in records} == {"monday"}
    assert records[2].size_hw == (480, 640)
    for name in NewImage.__dataclass_fields__:
        assert getattr(records[2], name) == getattr(picture(2), name)


def test_the_order_of_adding_is_kept_across_batches_and_calls(catalog: Catalog) -> None:
    numbers = [*range(700, 0, -1), *range(701, 1300)]
    records = catalog.add_images("many", [picture(n) for n in numbers])
    catalog.add_images("many", [picture(5000)])
    assert [r.filename for r in records] == [f"img{n}.jpg" for n in numbers]
    assert [r.position for r in catalog.images()] == list(range(len(numbers) + 1))


def test_the_same_path_again_updates_the_row(catalog: Catalog) -> None:
    first, second = catalog.add_images("monday", [picture(1), picture(2)])
    changed = picture(1, content_hash="c" * 64, pixel_hash="d" * 64, width=10, mtime_ns=7, embedding_cached=True)
    again, third = catalog.add_images("monday", [changed, picture(3)])
    assert (again.id, again.position, third.position) == (first.id, first.position, 2)
    assert (again.content_hash, again.pixel_hash, again.width, again.mtime_ns) == ("c" * 64, "d" * 64, 10, 7)
    assert again.embedding_cached
    assert catalog.images() == [again, second, third]


def test_one_path_twice_in_one_call_is_one_row(catalog: Catalog) -> None:
    records = catalog.add_images("monday", [picture(1), picture(2), picture(1, width=99)])
    assert [r.filename for r in records] == ["img1.jpg", "img2.jpg", "img1.jpg"]
    assert records[0] == records[2]
    assert records[0].width == 99
    assert len(catalog.images()) == 2


def test_the_same_path_in_another_dataset_is_another_image(catalog: Catalog) -> None:
    [monday] = catalog.add_images("monday", [picture(1)])
    [tuesday] = catalog.add_images("tuesday", [picture(1)])
    assert monday.id != tuesday.id
    assert catalog.images(dataset="tuesday") == [tuesday]
    assert catalog.images() == [monday, tuesday]


def test_adding_nothing_makes_the_dataset(catalog: Catalog) -> None:
    assert catalog.add_images("empty", []) == []
    assert catalog.dataset("empty").images == 0


def test_datasets_count_their_images(catalog: Catalog) -> None:
    made = catalog.add_dataset("monday")
    assert catalog.add_dataset("monday") == made
    catalog.add_images("monday", [picture(1), picture(2, embedding_cached=True)])
    catalog.add_dataset("a later one")
    assert [(d.name, d.images, d.cached) for d in catalog.datasets()] == [("monday", 2, 1), ("a later one", 0, 0)]
    assert catalog.dataset("monday").id == made.id


def test_records_are_frozen(catalog: Catalog) -> None:
    [record] = catalog.add_images("monday", [picture(1)])
    [annotation] = catalog.add_annotations([coin(record)])
    for thing, name in ((record, "filename"), (annotation, "category"), (catalog.dataset("monday"), "name")):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, name, "other")


def test_a_record_does_not_follow_the_catalog(catalog: Catalog) -> None:
    [record] = catalog.add_images("monday", [picture(1)])
    catalog.mark_pixels_cached(record.pixel_hash, True)
    assert not record.embedding_cached
    assert catalog.image(record.id).embedding_cached


@pytest.mark.parametrize("name", ["münze 50%.png", 'it\'s "one".png', "a\nb.png", "写真.png", "';--.png", "_%.png"])
def test_names_are_only_names(catalog: Catalog, name: str) -> None:
    [record] = catalog.add_images("q'uote/%", [picture(1, filename=name, path=f"/photos/{name}")])
    assert catalog.image(name) == catalog.image(f"q'uote/%/{name}") == catalog.image(Path(f"/photos/{name}")) == record


def test_a_name_that_is_not_unicode_is_refused_by_name(catalog: Catalog) -> None:
    name = os.fsdecode(b"/photos/m\xfcnze.png")
    with pytest.raises(ImageError, match=r"udcfcnze.*Rename"):
        catalog.add_images("monday", [picture(1, path=name)])
    with pytest.raises(UnknownName):
        catalog.image(name)


@pytest.mark.parametrize("inode", [0, 2**63 - 1, 2**63, 2**64 - 1, 2**127 + 5])
def test_numbers_of_files_on_odd_disks_fit(catalog: Catalog, inode: int) -> None:
    [record] = catalog.add_images("monday", [picture(1, inode=inode)])
    assert record.inode == inode % 2**63


def test_known_pixels_are_those_of_any_dataset(catalog: Catalog) -> None:
    catalog.add_images("monday", [picture(n) for n in range(600)])
    wanted = {digest("pixels", n) for n in range(300, 900)}
    assert catalog.known_pixels(wanted) == {digest("pixels", n) for n in range(300, 600)}


def test_duplicates_are_groups_of_the_same_pixels(catalog: Catalog) -> None:
    same = digest("pixels", 1)
    catalog.add_images("monday", [picture(1), picture(2), picture(3)])
    catalog.add_images("tuesday", [picture(4, pixel_hash=same), picture(5, pixel_hash=digest("pixels", 3))])
    groups = [[f"{r.dataset}/{r.filename}" for r in group] for group in catalog.duplicates()]
    assert groups == [["monday/img1.jpg", "tuesday/img4.jpg"], ["monday/img3.jpg", "tuesday/img5.jpg"]]


# -- one image by whatever names it -------------------------------------------------------------------


def test_every_way_to_name_an_image(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    new = picture(7, path=str(tmp_path / "here" / "img7.jpg"))
    catalog.add_images("monday", [picture(1), new, picture(2)])
    record = catalog.images()[1]
    hashes = [record.content_hash, record.pixel_hash]
    names: list[str | Path] = [record.id, "img7.jpg", "monday/img7.jpg", record.path, Path(record.path)]
    names += [Path("here/img7.jpg"), "here/img7.jpg", *hashes, *(h[:8] for h in hashes), hashes[0].upper()]
    for name in names:
        assert catalog.image(name) == record, name


def test_a_file_name_in_several_datasets_means_the_first(catalog: Catalog) -> None:
    catalog.add_images("monday", [picture(1)])
    [first] = catalog.add_images("b", [picture(2)])
    [second] = catalog.add_images("a", [picture(2)])
    assert catalog.image("img2.jpg") == first
    assert catalog.image("a/img2.jpg") == second


def test_a_short_hash_may_mean_several_images_of_one_content(catalog: Catalog) -> None:
    [first] = catalog.add_images("monday", [picture(1)])
    catalog.add_images("tuesday", [picture(1)])
    assert catalog.image(first.content_hash[:8]) == catalog.image(first.pixel_hash[:12]) == first


def test_a_short_hash_must_be_long_enough_and_mean_one_content(catalog: Catalog) -> None:
    one, two = "abcdef12" + "0" * 56, "abcdef12" + "1" * 56
    catalog.add_images("monday", [picture(1, pixel_hash=one), picture(2, pixel_hash=two)])
    with pytest.raises(UnknownName, match="several begin") as caught:
        catalog.image("abcdef12")
    assert one in str(caught.value)
    assert two in str(caught.value)
    assert catalog.image("abcdef121").pixel_hash == two
    with pytest.raises(UnknownName):
        catalog.image("abcdef1")


def test_unknown_names_suggest_near_ones(catalog: Catalog) -> None:
    catalog.add_images("monday", [picture(n) for n in range(3)])
    with pytest.raises(UnknownName, match=r"Unknown image 'img1.jgp'. Did you mean 'img1.jpg'\?"):
        catalog.image("img1.jgp")
    with pytest.raises(UnknownName, match=r"Unknown dataset 'munday'. Did you mean 'monday'\?"):
        catalog.images(dataset="munday")
    with pytest.raises(UnknownName, match="Known: 'monday'"):
        catalog.dataset("x")
    for nothing in ("", "/", 3, None):
        with pytest.raises(UnknownName):
            catalog.image(nothing)  # type: ignore[arg-type]


def test_an_unknown_name_does_not_load_every_name(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[str] = []

    def get_close_matches(name: str, names: list[str], n: int) -> list[str]:
        known.extend(names)
        return []

    monkeypatch.setattr("samnb.errors.get_close_matches", get_close_matches)
    catalog.add_images("many", [picture(n) for n in range(3000)])
    with pytest.raises(UnknownName):
        catalog.image("img99999.jpg")
    assert 0 < len(known) <= 1000


def test_a_near_name_is_suggested_from_among_many(catalog: Catalog) -> None:
    catalog.add_images("many", [picture(n) for n in range(1500)])
    catalog.add_images("many", [picture(2000, filename="zebra_left.png")])
    with pytest.raises(UnknownName, match=r"Did you mean 'zebra_left.png'"):
        catalog.image("zebra_lft.png")


# -- what is cached: the server version's functions and SQL -------------------------------------------

COUNT_CACHED = """
SELECT COUNT(*) FROM images WHERE embedding_cached = 1;
"""

FIND_DUPLICATES = """
SELECT content_hash, COUNT(*) as cnt 
FROM images 
WHERE content_hash IS NOT NULL
GROUP BY content_hash 
HAVING cnt > 1;
"""

COVERAGE = """
SELECT 
  COUNT(*) as total_images,
  SUM(CASE WHEN embedding_cached = 1 THEN 1 ELSE 0 END) as cached,
  ROUND(100.0 * SUM(CASE WHEN embedding_cached = 1 THEN 1 ELSE 0 END) / COUNT(*), 2) as pct_cached
FROM images;
"""


def test_the_monitoring_sql_runs_word_for_word(catalog: Catalog) -> None:
    catalog.add_images("monday", [picture(n, embedding_cached=n < 1) for n in range(2)])
    catalog.add_images("tuesday", [picture(n, embedding_cached=n < 1) for n in range(1, 5)])
    # The earlier server's database was SQLite; of what it quotes, a HAVING that names a column is SQLite's alone.
    is_sqlite = catalog._database.path is not None
    duplicates = FIND_DUPLICATES if is_sqlite else FIND_DUPLICATES.replace("HAVING cnt", "HAVING COUNT(*)")
    with catalog._database.read() as connection:
        answers = [
            [tuple(row) for row in connection.exec_driver_sql(sql)] for sql in (COUNT_CACHED, duplicates, COVERAGE)
        ]
    [(total, cached, percent)] = answers.pop()
    assert answers == [[(1,)], [(digest("content", 1), 2)]]
    assert (total, cached, float(percent)) == (6, 1, 16.67)


def test_the_images_table_has_the_columns_and_index_of_the_server_version(in_file: Catalog, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        columns = {row[1]: row[2:5] for row in connection.execute("PRAGMA table_info(images)")}
        indexed = connection.execute("PRAGMA index_info(idx_content_hash)").fetchall()
    connection.close()
    assert columns["content_hash"] == ("VARCHAR(64)", 0, None)
    assert columns["embedding_cached"] == ("INTEGER", 0, "0")
    assert [row[2] for row in indexed] == ["content_hash"]


def test_find_image_by_hash_prefers_one_that_is_cached(catalog: Catalog) -> None:
    [monday] = catalog.add_images("monday", [picture(1)])
    [tuesday] = catalog.add_images("tuesday", [picture(1)])
    assert catalog.find_image_by_hash("0" * 64) is None
    found = catalog.find_image_by_hash(monday.content_hash)
    assert found is not None
    assert (found["id"], found["embedding_cached"]) == (monday.id, False)
    catalog.mark_embedding_cached(tuesday.dataset_id, tuesday.id, True)
    assert catalog.find_image_by_hash(monday.content_hash) == {
        "id": tuesday.id,
        "dataset_id": tuesday.dataset_id,
        "filename": "img1.jpg",
        "path": "/photos/img1.jpg",
        "width": 640,
        "height": 480,
        "content_hash": monday.content_hash,
        "embedding_cached": True,
    }


def test_marking_one_image_leaves_the_others(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    catalog.mark_embedding_cached(one.dataset_id, one.id, True)
    assert catalog.get_cached_images_count(one.dataset_id) == 1
    assert [r.embedding_cached for r in catalog.images()] == [True, False]
    catalog.mark_embedding_cached(one.dataset_id, one.id, False)
    assert catalog.get_cached_images_count(one.dataset_id) == 0
    assert catalog.get_cached_images_count("no such dataset") == 0
    with pytest.raises(UnknownName):
        catalog.mark_embedding_cached("another dataset", two.id, True)
    assert not catalog.image(two.id).embedding_cached


def test_marking_pixels_marks_every_image_that_has_them(catalog: Catalog) -> None:
    [one] = catalog.add_images("monday", [picture(1)])
    catalog.add_images("tuesday", [picture(2, pixel_hash=one.pixel_hash), picture(3)])
    assert catalog.mark_pixels_cached(one.pixel_hash, True) == 2
    assert [r.embedding_cached for r in catalog.images()] == [True, True, False]
    assert catalog.mark_pixels_cached(one.pixel_hash, False) == 2
    assert catalog.mark_pixels_cached("0" * 64, True) == 0
    assert not any(r.embedding_cached for r in catalog.images())


def test_refresh_makes_every_row_true(catalog: Catalog) -> None:
    catalog.add_images("many", [picture(n, embedding_cached=n % 2 == 0) for n in range(1200)])
    held = {digest("pixels", n) for n in range(0, 1200, 3)}
    assert catalog.refresh_cached(lambda image: image.pixel_hash in held) == 400
    assert all(r.embedding_cached == (r.pixel_hash in held) for r in catalog.images())
    assert catalog.refresh_cached(lambda image: False) == 0


def test_refresh_asks_again_before_it_writes(catalog: Catalog) -> None:
    """What is stored between looking and writing must not be written down as missing."""
    catalog.add_images("monday", [picture(1, embedding_cached=True), picture(2)])
    answers = {"img1.jpg": iter([False, True]), "img2.jpg": iter([False])}
    assert catalog.refresh_cached(lambda image: next(answers[image.filename])) == 1
    assert [r.embedding_cached for r in catalog.images()] == [True, False]


def test_refresh_that_fails_changes_nothing(catalog: Catalog) -> None:
    catalog.add_images("monday", [picture(n, embedding_cached=True) for n in range(600)])
    asked = []

    def has(image: ImageRecord) -> bool:
        asked.append(image)
        if len(asked) > 1150:
            raise RuntimeError("the disk is gone")
        return False

    with pytest.raises(RuntimeError, match="disk is gone"):
        catalog.refresh_cached(has)
    assert all(r.embedding_cached for r in catalog.images())


# -- annotations --------------------------------------------------------------------------------------


def test_annotations_come_out_as_they_went_in(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    [kept] = catalog.add_annotations([coin(image)])
    assert isinstance(kept, AnnotationRecord)
    assert catalog.annotations() == [kept]
    assert (kept.image, kept.dataset, kept.image_id) == ("img1.jpg", "monday", image.id)
    for name in NewAnnotation.__dataclass_fields__:
        assert getattr(kept, name) == getattr(coin(image), name), name
    assert kept.created_at.endswith("+00:00")


def test_values_of_numpy_are_kept_as_plain_ones(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    rle = {"size": np.array([4, 3]), "counts": [np.int64(5), np.int64(7)]}
    new = coin(image, rle=rle, bbox=tuple(np.arange(4)), area=np.int64(7), score=np.float32(0.5))
    [kept] = catalog.add_annotations([new])
    assert (kept.rle, kept.bbox, kept.area, kept.score) == ({"size": [4, 3], "counts": [5, 7]}, (0, 1, 2, 3), 7, 0.5)
    assert {type(v) for v in kept.bbox} == {int}


def test_annotations_are_ordered_and_narrowed(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    [three] = catalog.add_images("tuesday", [picture(3)])
    new = [coin(three), coin(one, category="rim"), coin(two), coin(one, source="import")]
    kept = catalog.add_annotations(new)
    assert [a.id for a in kept] == sorted(a.id for a in kept)
    assert [a.image_id for a in kept] == [a.image_id for a in new]
    assert catalog.annotations() == kept
    assert catalog.annotations(category="coin") == [kept[0], kept[2], kept[3]]
    assert catalog.annotations(image_id=one.id) == [kept[1], kept[3]]
    assert catalog.annotations(dataset="monday", source="hand") == [kept[1], kept[2]]
    assert catalog.annotations(category="nothing") == []
    assert catalog.categories() == ["coin", "rim"]
    with pytest.raises(UnknownName, match="dataset"):
        catalog.annotations(dataset="munday")


def test_many_annotations_keep_their_order(catalog: Catalog) -> None:
    images = catalog.add_images("monday", [picture(n) for n in range(7)])
    new = [coin(images[n % 7], area=n) for n in range(1100)]
    assert [a.area for a in catalog.add_annotations(new)] == list(range(1100))
    assert catalog.add_annotations([]) == []


def test_one_unknown_image_and_nothing_is_saved(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    with pytest.raises(UnknownName, match="Unknown image 'nobody'"):
        catalog.add_annotations([coin(image), coin(image, image_id="nobody")])
    assert catalog.annotations() == []


def test_removed_ids_are_not_given_again(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    one, two = catalog.add_annotations([coin(image), coin(image)])
    assert catalog.remove_annotations([two.id, two.id, 999]) == 1
    assert catalog.remove_annotations([]) == 0
    [three] = catalog.add_annotations([coin(image)])
    assert three.id > two.id
    assert catalog.annotations() == [one, three]


# -- templates and what was applied -------------------------------------------------------------------


def test_templates_are_kept_by_version(catalog: Catalog) -> None:
    assert catalog.save_template("coins", {"score": 0.5, "categories": ["coin"]}) == 1
    assert catalog.save_template("coins", {"score": 0.5, "categories": ["coin"]}) == 1
    assert catalog.save_template("coins", {"score": 0.7}) == 2
    assert catalog.save_template("coins", {"score": 0.5, "categories": ["coin"]}) == 3
    assert catalog.save_template("aliens", {}, version=10) == 10
    assert catalog.save_template("coins", {"score": 0.9}, version=2) == 2
    assert catalog.templates() == [("aliens", 10), ("coins", 1), ("coins", 2), ("coins", 3)]
    assert catalog.template("coins")["categories"] == ["coin"]
    assert catalog.template("coins", 2) == {"score": 0.9}
    with pytest.raises(UnknownName, match="Did you mean 'coins'"):
        catalog.template("coin")
    with pytest.raises(UnknownName, match="version of template 'coins'"):
        catalog.template("coins", 4)


def test_finishing_twice_doubles_nothing(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    for _ in range(2):
        kept = catalog.finish_applied("coins", 1, "tiny-abc", image.id, [coin(image), coin(image, area=7)])
        assert catalog.annotations() == kept
        assert [(a.source, a.area) for a in kept] == [("template:coins@1", 20), ("template:coins@1", 7)]
    assert catalog.applied("coins", 1, "tiny-abc") == {image.id}


def test_finishing_touches_only_its_own(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    own = ["template:co_ns", "template:co_ns@1", "template:co_ns@draft"]
    others = ["hand", "template:coins", "template:co_ns2", "template:CO_NS@1", "template:coins@1", "template:co_n", ""]
    catalog.add_annotations([coin(one, source=source) for source in (*own, *others)])
    elsewhere = catalog.add_annotations([coin(two, source="template:co_ns")])
    [new] = catalog.finish_applied("co_ns", 2, "m", one.id, [coin(one)])
    assert [a.source for a in catalog.annotations(image_id=one.id)] == [*others, new.source]
    assert catalog.annotations(image_id=two.id) == elsewhere


def test_applied_is_what_is_there_now(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    catalog.finish_applied("coins", 1, "m", one.id, [coin(one)])
    catalog.finish_applied("coins", 1, "m", two.id, [])
    assert catalog.applied("coins", 1, "m") == {one.id, two.id}
    assert catalog.applied("coins", 2, "m") == catalog.applied("coins", 1, "n") == catalog.applied("rims", 1, "m")
    # Version 2 took the place of version 1 on one image: version 1 is no longer applied there.
    catalog.finish_applied("coins", 2, "m", one.id, [])
    assert catalog.applied("coins", 1, "m") == {two.id}
    assert catalog.applied("coins", 2, "m") == {one.id}
    # Another picture under the same path has not been looked at yet.
    catalog.add_images("monday", [picture(2, pixel_hash="e" * 64)])
    assert catalog.applied("coins", 1, "m") == set()


def test_finishing_is_all_or_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    before = catalog.finish_applied("coins", 1, "m", image.id, [coin(image)])
    with pytest.raises(TypeError, match="expected numbers"):
        catalog.finish_applied("coins", 2, "m", image.id, [coin(image), coin(image, prompt={"points": object()})])
    assert catalog.annotations() == before
    assert (catalog.applied("coins", 1, "m"), catalog.applied("coins", 2, "m")) == ({image.id}, set())
    with pytest.raises(UnknownName):
        catalog.finish_applied("coins", 2, "m", "nobody", [])
    with pytest.raises(UnknownName, match="in what was applied"):
        catalog.finish_applied("coins", 2, "m", image.id, [coin(image, image_id="nobody")])


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


def test_connections_wait_write_ahead_and_check_references(in_file: Catalog) -> None:
    with in_file._database.read() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        }
    assert values == {"journal_mode": "wal", "busy_timeout": 10_000, "synchronous": 1, "foreign_keys": 1}


def test_a_copy_without_the_log_gets_it_back(in_file: Catalog, path: Path, tmp_path: Path) -> None:
    in_file.add_dataset("monday")
    copy = tmp_path / "copy.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"VACUUM INTO '{copy}'")
    connection.close()
    with Catalog(copy) as opened:
        assert [d.name for d in opened.datasets()] == ["monday"]
        test_connections_wait_write_ahead_and_check_references(opened)


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
    while sum((folder / name).exists() for name in "abc") < 3:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
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
    monkeypatch.setattr(samnb.catalog.database, "BUSY_TIMEOUT_MS", 50)
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
    # An address with a password that opens without a server.
    monkeypatch.setattr(
        samnb.catalog.database, "create_engine", lambda url, **options: real(f"sqlite:///{path}", **options)
    )
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


# -- many at once -------------------------------------------------------------------------------------


def in_threads(work: Any, count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def assert_no_doubles(catalog: Catalog) -> None:
    for dataset in catalog.datasets():
        images = catalog.images(dataset=dataset.name)
        assert len({image.path for image in images}) == len(images) == dataset.images
        assert [image.position for image in images] == list(range(len(images)))


def test_threads_add_at_once(catalog: Catalog) -> None:
    errors: list[SamnbError] = []

    def work(number: int) -> None:
        try:
            for start in range(0, 40, 5):
                images = catalog.add_images("shared", [picture(n) for n in range(start, start + 10)])
                catalog.finish_applied(f"template {number}", 1, "m", images[0].id, [coin(images[0])])
                catalog.mark_pixels_cached(images[0].pixel_hash, True)
                assert len(catalog.images()) >= 10
        except SamnbError as error:
            errors.append(error)

    in_threads(work, 6)
    assert errors == []
    assert_no_doubles(catalog)
    assert catalog.dataset("shared").images == 45
    assert len(catalog.annotations()) == 6 * 8
    assert catalog.dataset("shared").cached == 8


WRITER = "\n".join(
    [
        "from __future__ import annotations",
        "import sys",
        "from dataclasses import replace",
        "from hashlib import sha256",
        "from typing import Any",
        "from samnb.catalog import Catalog, ImageRecord, NewAnnotation, NewImage",
        *(getsource(function) for function in (digest, picture, coin)),
        """
path, first, turns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Catalog(path) as catalog:
    for turn in range(turns):
        for start in range(first, first + 200, 20):
            images = catalog.add_images("shared", [picture(n) for n in range(start, start + 40)])
            for image in images[:3]:
                catalog.finish_applied("coins", 1, "m", image.id, [coin(image)] * 3)
                print("wrote", flush=True)
""",
    ]
)


def test_processes_write_overlapping_sets_while_one_reads(catalog: Catalog, catalog_url: str) -> None:
    writers = [run(WRITER, catalog_url, first, 2) for first in (0, 100, 150)]
    counts = []
    while any(process.poll() is None for process in writers):
        images = catalog.images()
        assert [image.position for image in images] == list(range(len(images)))
        counts.append(len(images))
        time.sleep(0.01)
    for process in writers:
        output_of(process)
    assert counts == sorted(counts)
    assert_no_doubles(catalog)
    assert catalog.dataset("shared").images == 370
    assert_applied_whole(catalog)


def assert_applied_whole(catalog: Catalog) -> None:
    """Every applied row came with its three annotations, and no annotation without one."""
    applied = catalog.applied("coins", 1, "m")
    images = [annotation.image_id for annotation in catalog.annotations(source="template:coins@1")]
    assert applied
    assert sorted(images) == sorted([*applied] * 3)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_in_the_middle(path: Path) -> None:
    Catalog(path).close()
    for wait in (0.05, 0.11, 0.17):
        process = run(WRITER, path, 0, 1000)
        assert process.stdout is not None
        assert process.stdout.readline() == "wrote\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Catalog(path) as catalog, sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert_no_doubles(catalog)
            assert_applied_whole(catalog)
            catalog.add_dataset("still writable")
        connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_gets_connections_of_its_own(catalog: Catalog) -> None:
    catalog.add_dataset("parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            catalog.add_dataset("child")
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [d.name for d in catalog.datasets()] == ["parent", "child"]
    assert catalog.add_dataset("parent again").images == 0
