from __future__ import annotations

from pathlib import Path

import pytest

from samnb.errors import ImageNotFound
from samnb.images.discovery import find_images


@pytest.fixture
def album(tmp_path) -> Path:
    names = "img10.png img2.PNG img1.jpg notes.txt .hidden.png sub/b.webp sub/deep/a.tif .cache/x.png data.dat"
    for name in names.split():
        file = tmp_path / "album" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "album"


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_is_searched_in_natural_order(album):
    everything = ["img1.jpg", "img2.PNG", "img10.png", "sub/b.webp", "sub/deep/a.tif"]
    assert names(find_images(album), album) == everything
    assert find_images(str(album)) == find_images(album)
    assert names(find_images(album / ".cache"), album) == [".cache/x.png"]


def test_globs(album):
    assert names(find_images(f"{album}/img*"), album) == ["img1.jpg", "img2.PNG", "img10.png"]
    assert names(find_images(f"{album}/**/*.[tw]*"), album) == ["sub/b.webp", "sub/deep/a.tif"]
    assert names(find_images(f"{album}/*.dat"), album) == ["data.dat"]
    assert names(find_images(f"{album}/su?"), album) == ["sub/b.webp", "sub/deep/a.tif"]
    assert names(find_images(f"{album}/**"), album) == names(find_images(album), album)


def test_a_name_with_brackets_is_a_name_before_it_is_a_glob(album):
    (album / "img[1].png").write_bytes(b"x")
    assert names(find_images(album / "img[1].png"), album) == ["img[1].png"]


def test_a_file_named_explicitly_is_always_returned(album):
    assert names(find_images(album / "notes.txt"), album) == ["notes.txt"]
    assert names(find_images([album / ".hidden.png"]), album) == [".hidden.png"]


def test_a_list_keeps_its_order_and_each_file_once(album):
    found = find_images([album / "img2.PNG", album, album / "sub" / ".." / "img1.jpg"])
    assert names(found, album) == ["img2.PNG", "img1.jpg", "img10.png", "sub/b.webp", "sub/deep/a.tif"]
    assert find_images(path for path in [album / "img2.PNG"]) == [album / "img2.PNG"]


def test_a_missing_one_of_several_is_left_to_the_reader(album):
    assert find_images([album / "img2.PNG", album / "gone.png"])[1] == album / "gone.png"


def test_nothing_found(album, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "readme.md").touch()
    for source in (tmp_path / "gone", tmp_path / "bare", f"{album}/*.gif", [], [tmp_path / "gone.png"], "a\0b"):
        with pytest.raises(ImageNotFound):
            find_images(source)


def test_linked_folders_are_followed_once(album):
    (album / "sub" / "back").symlink_to(album, target_is_directory=True)
    (album / "gone.png").symlink_to(album / "nowhere.png")
    assert names(find_images(album), album) == ["img1.jpg", "img2.PNG", "img10.png", "sub/b.webp", "sub/deep/a.tif"]


def test_home_folder(album, monkeypatch):
    monkeypatch.setenv("HOME", str(album.parent))
    assert names(find_images("~/album/img1.jpg"), album) == ["img1.jpg"]
