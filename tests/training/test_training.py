"""Scenes are the same for the same seed, labels fit pixels, and a short training learns."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from samnb.models import tiny
from training import generator, recipe, render, train
from training.canvas import Canvas
from training.collage import colour_regions, paste
from training.losses import mask_losses, next_clicks, total_loss, true_ious
from training.pictures import Pictures, collect
from training.report import write_report
from training.samples import STAGES, Batch, Samples, Size

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


@pytest.mark.parametrize("stage", list(STAGES))
def test_batches_repeat_and_clicks_lie_in_their_objects(shards: Path, stage: str) -> None:
    samples = Samples(shards, stage, seed=1)
    batch, again, other = samples.batch(3), samples.batch(3), samples.batch(3, rank=1)
    assert torch.equal(batch.images, again.images)
    assert batch.images.shape == other.images.shape
    assert not torch.equal(batch.images, other.images)
    for target, (x, y) in zip(batch.targets, batch.clicks.long() // 2, strict=True):
        assert target[y, x] > 0
    assert (batch.boxes[:, 2:] > batch.boxes[:, :2]).all()


def test_losses_are_finite_for_nothing_and_for_one_pixel() -> None:
    targets = torch.zeros(2, 16, 16)
    targets[1, 3, 4] = 1
    logits = torch.zeros(2, 4, 16, 16, requires_grad=True)
    loss, figures = total_loss(logits, torch.full((2, 4), 0.5, requires_grad=True), targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert 0 <= figures["best"] <= 1


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


def disc_batch() -> Batch:
    """Two light discs on dark ground, 64 pixels."""
    y, x = np.mgrid[:64, :64]
    discs = [(x - cx) ** 2 + (y - cy) ** 2 < 14**2 for cx, cy in ((20, 22), (40, 36))]
    images = torch.from_numpy(np.stack([np.where(d, 1.0, -1.0) for d in discs]).astype(np.float32))
    targets = torch.from_numpy(np.stack([d[::2, ::2] for d in discs]).astype(np.float32))
    clicks = torch.tensor([[20.0, 22.0], [40.0, 36.0]])
    boxes = torch.tensor([[6.0, 8.0, 34.0, 36.0], [26.0, 22.0, 54.0, 50.0]])
    return Batch(images[:, None].expand(-1, 3, -1, -1), targets, clicks, boxes, (0.0, 0.0))


@pytest.mark.parametrize("chances", [[0.9, 0.9, 0.9], [0.0, 0.0, 0.0], [0.17, 0.0, 0.9]])
def test_loss_falls_on_one_batch(chances: list[float]) -> None:
    torch.manual_seed(0)
    sam, batch = tiny.build_sam(None).train(), disc_batch()
    optimizer = train.make_optimizer(sam)
    losses = []
    for _ in range(12):
        loss, _ = train.batch_loss(sam, batch, chances, half=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert min(losses[-3:]) < 0.7 * losses[0]


def test_a_run_writes_weights_that_load_and_goes_on_where_it_stopped(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGES, "crops", (Size(64, 2, 1),))
    monkeypatch.setattr(train, "stage_of", lambda *_: "crops")
    options = ["--scenes", str(shards), "--out", str(tmp_path), "--processes", "1", "--minutes"]
    train.main([*options, "0.01"])
    first = torch.load(tmp_path / "checkpoint.pt")
    assert first["step"] >= 1
    tiny.build_sam(tmp_path / "tiny.safetensors")
    train.main([*options, "0.02", "--resume"])
    second = torch.load(tmp_path / "checkpoint.pt")
    assert second["step"] > first["step"]
    assert second["seconds"] > first["seconds"]


def test_a_run_may_begin_with_weights_and_a_report_shows_it(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGES, "crops", (Size(64, 2, 1),))
    monkeypatch.setattr(train, "stage_of", lambda *_: "crops")
    options = ["--scenes", str(shards), "--out", str(tmp_path), "--processes", "1", "--report", "1"]
    train.main([*options, "--minutes", "0.02", "--start", str(tiny.WEIGHTS), "--rate", "0"])
    shipped, kept = (torch.cat([p.flatten() for p in tiny.build_sam(w).parameters()]) for w in (None, tiny.WEIGHTS))
    after = torch.cat([p.flatten() for p in tiny.build_sam(tmp_path / "tiny.safetensors").parameters()])
    assert torch.allclose(after, kept, atol=1e-3)  # nothing learned at a rate of 0: it is what it began with
    assert not torch.allclose(after, shipped, atol=1e-3)
    monkeypatch.setattr("training.report.KINDS", {"discs": generator.KINDS["discs"]})
    assert "steps in" in write_report(tmp_path).read_text()
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert (tmp_path / "samples.jpg").stat().st_size > 1000


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    save_file({"no_such.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no_such"):
        train.begin_with(tiny.build_sam(None), tmp_path / "other.safetensors")


def test_weights_that_know_fewer_inputs_are_a_beginning(tmp_path: Path) -> None:
    known = {name: value.clone() for name, value in tiny.build_sam().state_dict().items()}
    name = "mask_decoder.iou_prediction_head.0.weight"
    wanted = known[name]
    save_file(known | {name: wanted[:, :-5].contiguous()}, tmp_path / "narrow.safetensors")
    sam = tiny.build_sam(None)
    train.begin_with(sam, tmp_path / "narrow.safetensors")
    began = sam.state_dict()[name]
    assert torch.equal(began[:, :-5], wanted[:, :-5])
    assert not began[:, -5:].any()


def test_short_runs_render_few_scenes() -> None:
    assert [recipe.scene_count(minutes) for minutes in (0.1, 5, 74, 1000)] == [100, 200, 3000, 4000]


def test_the_schedule() -> None:
    assert train.stage_of(0) == "crops"
    assert train.stage_of(0.99) == "scenes"
    assert [train.stage_of(share, (0, 0.5)) for share in (0, 0.49, 0.5)] == ["mixed", "mixed", "scenes"]
    assert train.learning_rate(0, 0) < train.learning_rate(500, 0)
    assert train.learning_rate(500, 1) == pytest.approx(train.LAST_RATE)
