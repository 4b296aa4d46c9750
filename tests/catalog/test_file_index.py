"""Files that were read before are not read again: under another name, in another dataset, after a delete."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.catalog.file_index
import samnb.ingest.reading
from samnb.catalog import Catalog
from samnb.catalog.file_index import FileIndex, FileStat
from samnb.images import read_picture
from samnb.ingest.reading import new_image
from samnb.ingest.report import AddReport
from tests.support.adding import add_pictures

WHOLE_SECOND = 1_700_000_000_000_000_000
BETWEEN = WHOLE_SECOND + 123_456_789


def picture_file(path: Path, seed: int, mtime_ns: int = BETWEEN) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []

    def told(path: Path) -> object:
        names.append(Path(path).name)
        return read_picture(path)

    monkeypatch.setattr(samnb.ingest.reading, "read_picture", told)
    return names


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(3):
        picture_file(tmp_path / "photos" / f"{seed}.png", seed)
    return tmp_path / "photos"


def add(catalog: Catalog, source: Path, dataset: str = "monday", *, cached: bool = False) -> AddReport:
    return add_pictures(catalog, source, source, dataset=dataset, is_cached=lambda _: cached)


def test_an_unchanged_file_is_read_once(catalog: Catalog, photos: Path, read: list[str]) -> None:
    first = add(catalog, photos)
    assert sorted(read) == ["0.png", "1.png", "2.png"]
    again = add(catalog, photos)
    assert again.images == first.images
    assert (again.added, again.duplicates, again.changed) == (0, 0, 0)
    elsewhere = add(catalog, photos, "tuesday")
    assert (elsewhere.added, elsewhere.duplicates) == (3, 3)
    catalog.delete_dataset("monday")
    back = add(catalog, photos)
    assert [i.pixel_hash for i in back.images] == [i.pixel_hash for i in first.images]
    photos.rename(photos.with_name("renamed"))
    moved = add(catalog, photos.with_name("renamed"), "moved")
    assert [Path(i.path).parent.name for i in moved.images] == ["renamed"] * 3
    assert len(read) == 3
    whole = read_picture(photos.with_name("renamed") / "1.png")
    kept = moved.images[1]
    for name in (
        "content_hash",
        "pixel_hash",
        "perceptual_hash",
        "perceptual_detail",
        "size_hw",
        "size_bytes",
        "inode",
    ):
        assert getattr(kept, name) == getattr(whole, name), name


def test_nothing_is_written_for_what_is_unchanged(
    catalog: Catalog, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(catalog, photos)
    monkeypatch.setattr(Catalog, "add_images", None)
    assert len(add(catalog, photos).images) == 3
    monkeypatch.undo()
    told = add(catalog, photos, cached=True)
    assert (told.duplicates_found, [i.embedding_cached for i in told.images]) == (3, [True] * 3)
    assert [i.embedding_cached for i in catalog.images()] == [True] * 3


@pytest.mark.parametrize("change", ["content", "time", "replaced"])
def test_a_changed_file_is_read_again(catalog: Catalog, photos: Path, read: list[str], change: str) -> None:
    add(catalog, photos)
    read.clear()
    if change == "content":
        picture_file(photos / "1.png", 77, BETWEEN + 1)
    elif change == "time":
        os.utime(photos / "1.png", ns=(BETWEEN + 1, BETWEEN + 1))
    else:
        picture_file(photos / "new.png", 77).replace(photos / "1.png")
    report = add(catalog, photos)
    assert read == ["1.png"]
    assert report.changed == (change != "time")
    assert report.images[1].pixel_hash == read_picture(photos / "1.png").pixel_hash
    assert add(catalog, photos).changed == 0
    assert read == ["1.png"]


def test_a_coarse_time_counts_only_under_the_same_path(catalog: Catalog, tmp_path: Path, read: list[str]) -> None:
    file = picture_file(tmp_path / "card" / "a.png", 1, WHOLE_SECOND)
    add(catalog, file)
    add(catalog, file, "tuesday")
    assert read == ["a.png"]
    add(catalog, file.rename(file.with_name("b.png")))
    assert read == ["a.png", "b.png"]


def test_another_computer_has_its_own_numbers(catalog: Catalog, photos: Path) -> None:
    stamp = FileStat.of(photos / "0.png")
    here, there = FileIndex(catalog._database), FileIndex(catalog._database, host="another computer")
    here.remember({stamp: new_image(photos / "0.png")})
    assert set(here.known([stamp])) == {stamp.path}
    assert there.known([stamp]) == {}


def test_hashes_of_an_older_version_do_not_count(
    catalog: Catalog, photos: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(catalog, photos)
    monkeypatch.setattr(samnb.catalog.file_index, "_VERSIONS", "px2/9")
    add(catalog, photos, "tuesday")
    assert len(read) == 6


def test_a_file_that_changes_while_it_is_read_is_not_remembered(catalog: Catalog, photos: Path) -> None:
    stamp = FileStat.of(photos / "0.png")
    picture_file(photos / "0.png", 5, time.time_ns())
    catalog.files.remember({stamp: new_image(photos / "0.png")})
    assert catalog.files.known([stamp, FileStat.of(photos / "0.png")]) == {}


def test_two_names_of_one_file(catalog: Catalog, photos: Path, read: list[str]) -> None:
    os.link(photos / "0.png", photos / "link.png")
    report = add(catalog, photos)
    assert (report.added, report.duplicates) == (4, 1)
    add(catalog, photos, "tuesday")
    assert len(read) == 4


def test_many_files_at_once(catalog: Catalog, photos: Path) -> None:
    one = new_image(photos / "0.png")
    stamps = [FileStat(f"/{n}.png", n % 2, 2**62 + n, 5, BETWEEN) for n in range(1200)]
    read = {
        s: type(one)(**{**vars(one), "path": s.path, "inode": s.inode, "size_bytes": 5, "mtime_ns": BETWEEN})
        for s in stamps
    }
    catalog.files.remember(read)
    catalog.files.remember(read)
    assert set(catalog.files.known(stamps)) == {stamp.path for stamp in stamps}


@pytest.mark.skipif(os.name != "posix", reason="needs the time of change")
@pytest.mark.parametrize("mtime_ns", [WHOLE_SECOND, BETWEEN])
def test_a_file_changed_in_place_with_its_time_put_back_is_read_again(
    catalog: Catalog, tmp_path: Path, read: list[str], mtime_ns: int
) -> None:
    path = tmp_path / "a.bmp"
    pictures = [np.full((20, 30, 3), grey, np.uint8) for grey in (10, 200)]
    Image.fromarray(pictures[0]).save(path)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    add(catalog, path)
    time.sleep(0.02)  # a file system counts time in steps
    other = tmp_path / "b.bmp"
    Image.fromarray(pictures[1]).save(other)
    with path.open("r+b") as file:
        file.write(other.read_bytes())
    os.utime(path, ns=(mtime_ns, mtime_ns))
    report = add(catalog, path)
    assert report.changed == 1
    assert report.images[0].pixel_hash == read_picture(other).pixel_hash
    assert add(catalog, path, "tuesday").images[0].pixel_hash == read_picture(other).pixel_hash
    read.clear()
    assert add(catalog, path).changed == 0
    assert read == []
