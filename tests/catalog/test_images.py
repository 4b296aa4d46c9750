"""Images and datasets in the catalog: what goes in comes out, by whatever name it is asked for, and what is cached."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from samnb.catalog import Catalog, ImageRecord, NewImage
from samnb.errors import ImageError, PromptError, StoreError, UnknownName
from tests.support.made_up import coin, digest, picture

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
    with pytest.raises(UnknownName, match="Several hashes begin with") as caught:
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
    with pytest.raises(UnknownName, match="A dataset is named so: dataset='monday' asks for its images"):
        catalog.image("monday")
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


def test_a_name_that_two_pictures_have_is_asked_about(catalog: Catalog) -> None:
    one, other = replace(picture(1), filename="a.png"), replace(picture(2), filename="a.png")
    [first] = catalog.add_images("monday", [one])
    [second] = catalog.add_images("tuesday", [one])
    assert (first.path, catalog.image("a.png")) == (second.path, first)  # one file in two datasets
    catalog.add_images("wednesday", [other])
    with pytest.raises(UnknownName, match=r"^Several pictures are called 'a.png'.*'monday/a.png', 'tuesday/a.png', 'w"):
        catalog.image("a.png")
    assert catalog.image("a.png", dataset="wednesday").pixel_hash == other.pixel_hash
    assert catalog.image("a.png", dataset="monday") == first
    assert catalog.image("tuesday/a.png") == second
    catalog.add_images("wednesday", [replace(picture(3), filename="a.png")])
    with pytest.raises(UnknownName, match=r"^Several pictures are called 'wednesday/a.png'"):
        catalog.image("wednesday/a.png")
    assert catalog.image(other.path).pixel_hash == other.pixel_hash


def test_a_dataset_of_another_kind_than_text_is_refused(catalog: Catalog) -> None:
    for name in (b"x", 5):
        with pytest.raises(PromptError, match="dataset: expected a name, a text"):
            catalog.add_images(name, [picture(1)])  # type: ignore[arg-type]
    assert catalog.datasets() == []


def test_a_number_that_no_database_keeps_is_told(catalog: Catalog) -> None:
    with pytest.raises(StoreError, match=r"too large|out of range"):
        catalog.annotation(10**30)
