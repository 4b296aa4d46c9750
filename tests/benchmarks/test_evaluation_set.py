"""The evaluation set is whole: every mask is there, lies on its picture, and is the one the manifest speaks of."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.evaluation_set import SETS, Case, draw, leaks, load_cases, manifest, polygons
from benchmarks.evaluation_set.everyday import CREDITS
from benchmarks.evaluation_set.pictures import HERE, PICTURES, read_picture

ROOT = Path(__file__).parents[2]
COUNTS = {"coins": 24, "cells": 29, "glyphs": 30, "phantom": 11, "silhouettes": 12, "photographs": 55, "everyday": 70}
KILOBYTES = 300
EVERYDAY_KILOBYTES = 2500

# In parts because something stands in front of them.
IN_PARTS = {"spoon": 0.85, "front mudguard": 0.75, "man": 0.95, "saucer": 0.95, "owl": 0.7, "pink shirt": 0.9}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return load_cases()


def test_every_set_has_its_masks(cases: list[Case]) -> None:
    assert Counter(case.set_name for case in cases) == COUNTS
    assert tuple(COUNTS) == SETS
    assert COUNTS["photographs"] >= 40
    assert COUNTS["everyday"] >= 60


def test_labels_are_unique_within_an_image(cases: list[Case]) -> None:
    assert len({(case.image, case.label) for case in cases}) == len(cases)


def test_masks_lie_on_their_pictures(cases: list[Case]) -> None:
    for case in cases:
        assert case.pixels.dtype == np.uint8, case.label
        assert case.mask.dtype == bool, case.label
        assert case.pixels.shape == (*case.mask.shape, 3), case.label
        assert 100 <= case.mask.sum() < 0.9 * case.mask.size, (case.image, case.label)
        assert not case.pixels.flags.writeable, case.label


def test_a_mask_is_one_piece(cases: list[Case]) -> None:
    for case in cases:
        _, _, stats, _ = cv2.connectedComponentsWithStats(case.mask.astype(np.uint8), connectivity=8)
        share = stats[1:, cv2.CC_STAT_AREA].max() / case.mask.sum()
        assert share >= IN_PARTS.get(case.label, 0.99), (case.image, case.label, share)


def test_objects_of_label_pictures_and_phantom_do_not_overlap(cases: list[Case]) -> None:
    for image in ("coins", "nuclei", "phantom", "page_region", "text_middle"):
        masks = [case.mask for case in cases if case.image == image]
        assert len(masks) > 1
        assert np.sum(masks, axis=0).max() == 1, image


def test_named_sets_come_alone_and_always_the_same() -> None:
    first, again = load_cases(["silhouettes", "coins"]), load_cases(["coins", "silhouettes"])
    assert [case.set_name for case in first] == ["coins"] * 24 + ["silhouettes"] * 12
    for one, other in zip(first, again, strict=True):
        assert (one.image, one.label) == (other.image, other.label)
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.mask, other.mask)


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no set is called coin; there are coins, cells"):
        load_cases(["coin"])


def test_the_manifest_speaks_of_these_masks() -> None:
    stored = json.loads(manifest.MANIFEST.read_text(encoding="utf-8"))
    built = json.loads(json.dumps(manifest.build()))
    assert stored == built, "run python -m benchmarks.evaluation_set.manifest, and look what changed"
    for row in stored["masks"]:
        assert all(row[key] for key in ("set", "image", "what", "who", "how", "source"))
    assert {row["set"] for row in stored["masks"]} == set(SETS)
    noted = {(row["image"], row["what"]) for row in stored["masks"] if "note" in row}
    assert noted == set(manifest.NOTES)


def test_every_picture_has_credit_and_licence() -> None:
    for name, (_, file, credit, licence) in PICTURES.items():
        assert file, name
        assert credit, name
        assert licence, name


def test_files_stay_small() -> None:
    files = [path for path in HERE.rglob("*") if path.is_file() and path.suffix in {".json", ".png", ".md", ".py"}]
    assert len(files) > 20
    assert sum(path.stat().st_size for path in files) < KILOBYTES * 1024


def test_the_everyday_pictures_are_small_copies_with_package_and_source() -> None:
    files = sorted((HERE / "everyday").iterdir())
    assert [path.stem for path in files] == sorted(CREDITS)
    assert sum(path.stat().st_size for path in files) < EVERYDAY_KILOBYTES * 1024
    for path in files:
        assert max(read_picture(path.stem).shape) <= 640, path.name
    outlines = (HERE / "outlines" / "everyday").glob("*.json")
    assert sorted(polygons.read_outlines(path)[0] for path in outlines) == sorted(CREDITS)
    stored = json.loads(manifest.MANIFEST.read_text(encoding="utf-8"))["pictures"]
    for name, credit in CREDITS.items():
        assert all(credit), name
        assert (stored[name]["package"], stored[name]["source"]) == (credit.package, credit.source)


def test_training_reads_none_of_these_pictures() -> None:
    packages = re.compile(
        r"^\s*(from|import) (skimage\.data|skimage import .*data|sklearn\.datasets|matplotlib\.cbook)", re.M
    )
    for path in (ROOT / "training").rglob("*.py"):
        text = path.read_text()
        assert not packages.search(text), path
        assert "evaluation_set.pictures" not in text, path


def test_a_smooth_line_goes_through_its_points_and_keeps_its_corners() -> None:
    circle = [[20.3 + 15 * np.cos(a), 19.6 + 15 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)]
    assert polygons.fill(circle, (40, 40)).sum() == pytest.approx(np.pi * 225, rel=0.01)
    square = [point for corner in ([10, 5], [29, 5], [29, 24], [10, 24]) for point in (corner, corner)]
    assert polygons.fill(square, (30, 40)).sum() == pytest.approx(19 * 19, rel=0.06)


def test_holes_and_what_lies_in_front_are_cut_out() -> None:
    def square(x0: float, x1: float) -> list[list[float]]:
        return [point for corner in ([x0, x0], [x1, x0], [x1, x1], [x0, x1]) for point in (corner, corner)]

    behind = {"label": "behind", "outlines": [square(-0.5, 29.5)], "holes": [square(1.5, 3.5)], "minus": ["front"]}
    masks = polygons.masks_of([behind, {"label": "front", "outlines": [square(9.5, 19.5)]}], (30, 30))
    assert masks["front"].sum() == pytest.approx(100, abs=25)
    assert not (masks["behind"] & masks["front"]).any()
    assert not masks["behind"][2, 2]
    assert (masks["behind"] | masks["front"]).sum() == pytest.approx(896, abs=6)


def test_an_outline_of_two_points_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "coffee.json"
    path.write_text('{"image": "coffee", "objects": [{"label": "line", "outlines": [[[1, 1], [5, 5]]]}]}')
    with pytest.raises(ValueError, match=r"coffee\.json, 'line': an outline needs three points"):
        polygons.read_outlines(path)


def test_a_tile_shows_the_edge_in_green(cases: list[Case]) -> None:
    drawn = draw.tile(cases[0], side=120)
    assert drawn.shape == (120 + draw.CAPTION, 120, 3)
    assert (drawn == draw.GREEN).all(-1).sum() > 100


def test_a_copy_among_other_pictures_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = cv2.resize(read_picture("chelsea"), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "cat.jpg"), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), cv2.GaussianBlur(noise, (0, 0), 5))
    assert leaks.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'cat.jpg'}: chelsea of the evaluation set\n"
    (tmp_path / "cat.jpg").unlink()
    assert leaks.main([str(tmp_path)]) == 0


def test_the_pictures_themselves_are_told_apart() -> None:
    assert [leaks.known_as(read_picture(name)) for name in PICTURES] == list(PICTURES)
