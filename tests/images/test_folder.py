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


def test_no_folder_and_no_picture_are_errors(tmp_path):
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(ImageNotFound):
            PictureFolder(place)
