"""Scenes are the same for the same seed, labels fit pixels, and losses are least for the right mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from training import generator, recipe, render
from training.canvas import Canvas
from training.collage import colour_regions, paste
from training.losses import mask_losses, next_clicks, true_ious
from training.pictures import Pictures, collect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    render.render_shard(folder, 0, count=4, size=256)
    return folder


@pytest.mark.parametrize("kind", list(generator.KINDS))
def test_a_seed_gives_its_scene_again(kind: str) -> None:
    first, other, again = (generator.render_scene(seed, 128, kind) for seed in (5, 6, 5))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.whole, again.whole)
    assert np.array_equal(first.part, again.part)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("kind", list(generator.KINDS))
def test_scenes_hold_objects_and_every_part_lies_in_one(kind: str) -> None:
    scene = generator.render_scene(3, 256, kind)
    assert scene.pixels.dtype == np.uint8
    assert scene.whole.max() > 0
    assert np.all(scene.whole[scene.part > 0] > 0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Two things and two photographs, made by formulas; beside them a thin drawing, a flag and a file that is none."""
    source, kept = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :300]
    for number, inside in enumerate(((x - 150) ** 2 + (y - 150) ** 2 < 90**2, (abs(x - 150) + abs(y - 150)) < 120)):
        rgba = np.dstack([rng.integers(0, 255, (300, 300, 3)), inside * 255]).astype(np.uint8)
        Image.fromarray(rgba).save(source / f"thing{number}.png")
        Image.fromarray(rng.integers(0, 255, (500, 600, 3)).astype(np.uint8)).save(source / f"photograph{number}.png")
    line = np.dstack([np.zeros((300, 300, 3)), (abs(x - y) < 3) * 255]).astype(np.uint8)
    Image.fromarray(line).save(source / "line.png")
    flag = np.dstack([np.zeros((300, 300, 3)), ((x > 20) & (x < 280)) * 255]).astype(np.uint8)
    Image.fromarray(flag).save(source / "flag.png")
    (source / "broken.png").write_bytes(b"no picture")
    assert collect([source], kept) == {"cutouts": 2, "photographs": 2}
    return Pictures(kept)


@pytest.mark.parametrize("kind", list(generator.PASTED))
def test_pasted_scenes_repeat_and_hold_objects(kind: str, pictures: Pictures) -> None:
    first, again = (generator.render_scene(2, 192, kind, pictures) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.whole, again.whole)
    assert first.whole.max() > 0
    with pytest.raises(ValueError, match="needs pictures"):
        generator.render_scene(2, 192, kind)


def test_a_pasted_thing_is_labelled_where_it_is_seen(pictures: Pictures) -> None:
    canvas = Canvas(np.random.default_rng(4), None, 200)
    red = np.zeros((80, 80, 4), np.uint8)
    red[..., 0], red[10:70, 10:70, 3] = 255, 255
    paste(canvas, pictures, red, 90.0)
    seen = canvas.whole > 0
    assert 500 < seen.sum() < 90 * 90
    assert np.abs(canvas.pixels[seen]).mean() > 5
    assert np.abs(canvas.pixels[~cv2.dilate(seen.astype(np.uint8), np.ones((15, 15))).astype(bool)]).max() == 0


def test_parts_of_a_thing_are_its_regions_of_one_colour() -> None:
    colours = np.zeros((60, 60, 3), np.float32)
    colours[:30, :, 0], colours[30:, :, 2] = 255, 255
    regions = colour_regions(colours, np.ones((60, 60), bool))
    assert len(regions) == 2
    assert {bool(region[5, 30]) for region in regions} == {True, False}


def test_no_pictures_is_an_error_that_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m training\.pictures"):
        Pictures(tmp_path)


def test_finished_shards_are_left_alone(shards: Path) -> None:
    before = (shards / "pixels-00000.npy").stat().st_mtime_ns
    render.render_shard(shards, 0, count=4, size=256)
    assert (shards / "pixels-00000.npy").stat().st_mtime_ns == before
    assert len(render.load_shards(shards)) == 1


def test_a_right_mask_costs_least() -> None:
    targets = torch.zeros(1, 16, 16)
    targets[0, 4:9, 4:12] = 1
    right = (targets * 20 - 10)[:, None]
    assert mask_losses(right, targets) < 0.05 < mask_losses(-right, targets)
    assert true_ious(right, targets) == 1


def test_the_next_click_mends_the_larger_error() -> None:
    targets = torch.zeros(2, 16, 16)
    targets[:, 2:8, 2:8] = 1
    missed = torch.full((16, 16), -1.0)
    extra = targets[1] * 2 - 1
    extra[10:16, 10:16] = 1
    clicks, labels = next_clicks(torch.stack([missed, extra]), targets)
    assert labels.tolist() == [1, 0]
    assert all(4 <= v < 16 for v in clicks[0].tolist())
    assert all(20 <= v < 32 for v in clicks[1].tolist())


def test_short_runs_render_few_scenes() -> None:
    assert [recipe.scene_count(minutes) for minutes in (0.1, 5, 74, 1000)] == [100, 200, 3000, 4000]
