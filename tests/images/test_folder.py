from pathlib import Path

import pytest

from samnb.errors import ImageNotFound
from samnb.images.folder import PictureFolder


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_pictures_are_found_by_their_stem_in_all_folders(tmp_path):
    a, b, mask = tmp_path / "a.png", tmp_path / "below" / "a.jpg", tmp_path / "masks" / "a.png"
    touch(a, b, mask, tmp_path / "a.txt")
    folder = PictureFolder(tmp_path, without=tmp_path / "masks")
    assert (folder.root, set(folder.paths)) == (tmp_path, {a, b})
    assert set(folder.of_stem("a")) == {a, b}
    assert folder.of_stem("b") == []


def test_pictures_of_several_folders_are_found_by_other_names():
    folder = PictureFolder.of({Path("/data/1/x.png"): "coin.png", Path("/data/2/y.png"): "coin.jpg"})
    assert folder.root == Path("/data")
    assert folder.of_stem("coin") == folder.paths == [Path("/data/1/x.png"), Path("/data/2/y.png")]
    assert PictureFolder.of({}).paths == []


def test_pictures_on_two_drives_have_the_root_in_common(monkeypatch):
    def of_windows(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", of_windows)
    folder = PictureFolder.of({Path("/c/1/x.png"): "coin.png", Path("/d/2/y.png"): "disc.png"})
    assert folder.of_stem("disc") == [Path("/d/2/y.png")]


def test_folders_below_the_chosen_one_must_agree(tmp_path):
    first, second, flat = tmp_path / "s1" / "images" / "a.png", tmp_path / "s2" / "a.png", tmp_path / "b.png"
    touch(first, second, flat)
    folder = PictureFolder(tmp_path)
    assert folder.agreeing("a", ("masks", "s1")) == [first]
    assert folder.agreeing("a", ("elsewhere", "s2")) == [second]
    assert folder.agreeing("a", ("s3",)) == []
    assert set(folder.agreeing("a", ("masks",))) == {first, second}
    assert folder.agreeing("b", ("any", "where")) == [flat]
    assert folder.of_stem_in(tmp_path / "s2", "A") == [second]


def test_no_folder_and_no_picture_are_errors(tmp_path):
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(ImageNotFound):
            PictureFolder(place)
