"""The packaged pictures as files, and the whole job in a terminal, twice."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from samnb.demo import COIN_CROPS, COIN_POINTS, demo_pictures, run
from samnb.images import find_images, read_picture


def test_pictures_hold_two_exact_copies_and_a_lossless_one(demo_folder: Path) -> None:
    same = defaultdict(list)
    for path in find_images(demo_folder):
        picture = read_picture(path)
        same[picture.pixel_hash].append((path.name, picture.content_hash))
    groups = [group for group in same.values() if len(group) > 1]

    names = {tuple(sorted(name for name, _ in group)) for group in groups}
    assert names == {
        ("IMG_0412.png", "coffee.png"),
        ("IMG_0413.jpg", "rocket.jpg"),
        ("flower.jpg", "flower_resaved.png"),
    }
    assert sorted(len({content for _, content in group}) for group in groups) == [1, 1, 2]


def test_coin_pictures_are_not_square_and_differ_in_size(demo_folder: Path) -> None:
    sizes = [Image.open(demo_folder / "monday" / name).size for name in COIN_CROPS]
    assert len(set(sizes)) >= 4
    assert all(width != height for width, height in sizes)


def test_every_click_is_brighter_than_the_cloth(demo_folder: Path) -> None:
    with Image.open(demo_folder / "monday" / "coins_1.png") as picture:
        for x, y in COIN_POINTS:
            around = picture.crop((x - 10, y - 10, x + 10, y + 10)).resize((1, 1))
            assert around.getpixel((0, 0)) > 110


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    first = demo_pictures(tmp_path)
    mine = first / "monday" / "coins_1.png"
    mine.write_bytes(b"mine")
    assert demo_pictures(tmp_path) == first
    assert mine.read_bytes() == b"mine"
    assert not [path for path in first.rglob(".*") if path.is_file()]


def test_a_missing_package_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match=r'pip install "samnb\[demo\]"'):
        demo_pictures(tmp_path)
    assert run(tmp_path) == 1
    assert "scikit-image" in capsys.readouterr().err


@pytest.mark.slow
def test_the_second_run_computes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "out") == 0
    first = capsys.readouterr().out
    assert run(tmp_path / "out") == 0
    second = capsys.readouterr().out

    assert "duplicates found 3" in first
    assert "Run it again: computed 0" in first
    assert "computed 0, skipped 16" in second
    assert "skipped 6 (done before)" in second
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 400
    coco = json.loads((tmp_path / "out" / "coins.json").read_text())
    assert len(coco["annotations"]) >= len(COIN_POINTS)
    assert [line for line in first.splitlines() if "masks written" in line] == [
        line for line in second.splitlines() if "masks written" in line
    ]
