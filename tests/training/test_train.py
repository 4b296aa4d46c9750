"""Real pictures and scenes become shards, shards become batches, and a step of training moves the net."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from samnb.models.tiny.backbone import LiteBackbone
from samnb.models.tiny.config import FRAME
from samnb.models.tiny.crop_pass import Refined
from training import train
from training.feature_cache import ShardWriter, few_numbers, is_validation, real_samples, real_variant
from training.losses import crop_ious, crop_targets
from training.samples import LiteSamples, draw_object, draw_patch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of five pictures with two squares each."""
    folder = tmp_path_factory.mktemp("real") / "squares"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number in range(5):
        pixels, labels = np.full((90, 160, 3), 40, np.uint8), np.zeros((90, 160), np.uint8)
        for label, x in ((1, 20), (2, 90)):
            pixels[20:70, x : x + 50] = 60 * label + 20 * number
            labels[20:70, x : x + 50] = label
        Image.fromarray(pixels).save(folder / "images" / f"{number}.jpg")
        cv2.imwrite(str(folder / "labels" / f"{number}.png"), labels)
    return folder


@pytest.fixture(scope="module")
def cache(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    torch.manual_seed(0)
    backbone = LiteBackbone().eval()
    for validation, name in ((False, "squares"), (True, "validation/squares")):
        writer = ShardWriter(folder / name, backbone)
        for sample in real_samples(real, 1, validation):
            writer.add(*sample)
        writer.finish()
    return folder


def test_a_tenth_of_the_pictures_is_kept_aside(real: Path, cache: Path) -> None:
    assert [n for n in range(20) if is_validation(n)] == [3, 13]
    assert LiteSamples(cache, 0).look() == {"squares": 4}
    assert len(np.load(cache / "validation" / "squares" / "00000" / "sizes.npy")) == 1


def test_variants_keep_pixels_and_labels_together() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    labels = np.zeros((100, 200), np.int32)
    pixels[20:60, 40:100], labels[20:60, 40:100] = 255, 1
    for variant in range(4):
        shown, marks = real_variant(np.random.default_rng(variant), pixels, labels, variant)
        assert max(marks.shape) == FRAME
        assert shown.shape[:2] == marks.shape
        if marks.any() and not marks.all():
            assert shown[marks == 1].mean() > shown[marks == 0].mean() + 100


def test_of_many_objects_the_largest_are_kept() -> None:
    labels = np.zeros((2, 40, 40), np.int32)
    labels[0, :30, :30] = np.arange(900).reshape(30, 30) + 1
    labels[0, 30:] = 5000
    few = few_numbers(labels)
    assert few.dtype == np.uint8
    assert few[0].max() == 255
    assert len(np.unique(few[0, 30:])) == 1
    assert few[0, 30, 0] > 0


def test_a_batch_points_into_its_objects(cache: Path) -> None:
    batch = LiteSamples(cache, 1, images=2, objects=3).batch(0)
    assert next(tuple(maps.shape[1:]) for maps in batch.maps) == (24, 96, 96)
    assert batch.targets.shape == (6, FRAME, FRAME)
    assert batch.owners.tolist() == [0, 0, 0, 1, 1, 1]
    for target, point, label, box in zip(
        batch.targets, batch.prompts.points[:, 0], batch.prompts.labels[:, 0], batch.prompts.boxes, strict=True
    ):
        x, y = point.long().tolist()
        assert target[y, x] == 1
        assert label == 1 or box[2] > box[0]
    again = LiteSamples(cache, 1, images=2, objects=3).batch(0)
    assert torch.equal(batch.targets, again.targets)


def test_an_object_in_pieces_is_wanted_whole_only_where_said() -> None:
    labels = np.zeros((2, 64, 64), np.uint8)
    labels[0, 5:25, 5:25] = labels[0, 40:50, 40:50] = 1
    rng = np.random.default_rng(0)
    whole, piece = (draw_object(rng, labels, pieces) for pieces in (False, True))
    assert whole is not None
    assert piece is not None
    assert whole.sum() == 500
    assert piece.sum() == 400


def test_what_lies_outside_a_crop_counts_as_missed() -> None:
    target = torch.zeros(1, 384, 384)
    target[0, 100:200, 100:300] = 1
    window = torch.tensor([[100.0, 100.0, 100.0]])
    wanted = crop_targets(target, window, 64)
    assert wanted.mean() == 1
    refined = Refined(torch.full((1, 1, 64, 64), 2.0), window, torch.zeros(1), torch.zeros(1, 1, 96, 96))
    assert float(crop_ious(refined, target, wanted)) == pytest.approx(0.5, abs=0.01)


def test_a_short_training_is_taken_up_again(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    published = LiteBackbone().eval()
    monkeypatch.setattr(train, "load_backbone", lambda path: published)
    monkeypatch.setattr(train, "SECOND_ROUND_SHARE", 1.0)
    monkeypatch.setattr(train, "CELLS", (16, 16, 16))
    given = ["--cache", str(cache), "--backbone", "-", "--out", str(tmp_path), "--report", "1"]
    first = train.Trainer(train.parse([*given, "--steps", "1"]))
    first.samples = LiteSamples(cache, 0, images=1, objects=2)
    first.run()
    again = train.Trainer(train.parse([*given, "--steps", "1", "--resume"]))
    assert again.step == 1
    assert again.seconds > 0
    for mine, theirs in zip(first.net.parameters(), again.net.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    tensors = load_file(tmp_path / "tiny.safetensors")
    assert tensors["image_encoder.backbone.stem.weight"].dtype == torch.float16
    begun = train.Trainer(train.parse([*given[:5], str(tmp_path / "b"), "--start", str(tmp_path / "tiny.safetensors")]))
    assert torch.allclose(begun.net.decoder.masks.weight, first.average.decoder.masks.weight, atol=1e-3)
    assert "best" in (tmp_path / "progress.jsonl").read_text()


def test_the_backbone_is_trained_along_from_stride_16_on(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    published = LiteBackbone().eval()
    published.load_state_dict({name: value.half().float() for name, value in published.state_dict().items()})
    monkeypatch.setattr(train, "load_backbone", lambda path: published)
    monkeypatch.setattr(train, "UPPER_RATE", 50.0)  # of a rate that has just begun to rise
    monkeypatch.setattr(train, "CELLS", (16, 16, 16))
    given = ["--cache", str(cache), "--backbone", "-", "--out", str(tmp_path), "--upper"]
    trainer = train.Trainer(train.parse([*given, "--steps", "4"]))
    trainer.samples = LiteSamples(cache, 0, images=1, objects=2)
    trainer.run()
    file = tmp_path / "tiny.safetensors"
    tensors, before = load_file(file), published.state_dict()
    stages = {int(name.split(".")[3]) for name in tensors if ".backbone.stages." in name}
    moved = {
        stage
        for stage in stages
        for name, value in tensors.items()
        if f".backbone.stages.{stage}." in name
        and not torch.equal(value.float(), before[name.removeprefix("image_encoder.backbone.")])
    }
    assert (stages, moved) == (set(range(7)), {3, 4, 5, 6})
    begun = train.Trainer(train.parse([*given[:5], str(tmp_path / "b"), "--upper", "--start", str(file)]))
    own = begun.net.state_dict()[train.UPPER_WEIGHT]
    assert torch.equal(own, tensors[f"image_encoder.backbone.{train.UPPER_WEIGHT.removeprefix('upper.')}"].float())
    with pytest.raises(SystemExit, match="give --upper"):
        train.Trainer(train.parse([*given[:5], str(tmp_path / "c"), "--start", str(file)]))


def test_the_rate_warms_up_stays_and_falls() -> None:
    rates = [train.learning_rate(step, progress, 1e-3) for step, progress in ((0, 0), (500, 0.1), (500, 0.5), (900, 1))]
    assert rates[0] < 1e-5
    assert rates[1] == rates[2] == pytest.approx(1e-3)
    assert rates[3] < 2e-5


def test_a_patch_is_a_part_of_its_object_and_of_one_colour() -> None:
    mask, colours = np.zeros((96, 96), np.uint8), np.zeros((3, 48, 48), np.int8)
    mask[16:80, 16:80] = 1
    colours[:, 10:25, 10:25] = 60
    seen = set()
    for seed in range(40):
        patch = draw_patch(np.random.default_rng(seed), mask, colours)
        assert not (patch & (1 - mask)).any()
        seen.add(int(patch.sum()))
    assert seen == {900, 64 * 64}  # the square; where it was not hit, what is left is no small part
