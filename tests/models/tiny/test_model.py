"""The embedded net with a pretrained backbone: what it keeps of an image, how it draws, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from samnb.errors import CheckpointMismatch, ModelError, PromptError
from samnb.models import Model, load_model
from samnb.models.tiny.backbone import LiteBackbone, SameConv, fold_pretrained
from samnb.models.tiny.config import BACKBONE_DIMS, FRAME, SHADES
from samnb.models.tiny.crop_pass import Refined, windows_of
from samnb.models.tiny.decoder import middleness, ranked, stability
from samnb.models.tiny.fills import FINE_FILLS, fill_maps, shades_of
from samnb.models.tiny.image_encoder import ImageEncoder, shaded
from samnb.models.tiny.layers import Prompts, draw_prompts, fold_norms, seeds_of
from samnb.models.tiny.mask_decoder import MaskDecoder
from samnb.models.tiny.model import LiteModel, is_lite_file
from samnb.models.weights.checkpoints import ModelInfo, open_checkpoint
from samnb.prompts import Embedding, Prompt
from samnb.store.codecs import from_int8, to_int8
from tests.support.earlier_tiny import EARLIER_TINY

pytestmark = pytest.mark.slow

INFO = ModelInfo(
    name="tiny", family="tiny_lite0", file_name="tiny.safetensors", size_bytes=None, sha256=None, bundled=True,
    description="",
)  # fmt: skip


def one_click(x: float, y: float, label: float = 1.0) -> Prompts:
    return Prompts(torch.tensor([[[x, y]]]), torch.tensor([[label]]), torch.full((1, 4), -1.0))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, as a file; normalisations have seen something."""
    torch.manual_seed(0)
    parts = {"image_encoder": ImageEncoder(), "decoder": MaskDecoder()}
    tensors = {}
    for part, module in parts.items():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value = value * 1.7
            if not name.endswith("num_batches_tracked"):
                tensors[f"{part}.{name}"] = value.half() if value.ndim > 1 else value
    path = tmp_path_factory.mktemp("lite") / "tiny.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def model(weights: Path) -> LiteModel:
    return LiteModel(INFO, open_checkpoint(INFO, weights), device="cpu")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    pixels = np.full((120, 200, 3), 30, np.uint8)
    pixels[30:90, 60:140] = (200, 120, 40)
    return pixels


@pytest.fixture(scope="module")
def embedding(model: LiteModel, picture: np.ndarray) -> Embedding:
    return model.encode(picture)


def test_it_is_a_model_and_its_entry_is_small(model: LiteModel, embedding: Embedding) -> None:
    assert isinstance(model, Model)
    assert list(embedding.tensors) == ["semantic", "middle", "fine", "colours", "backbone8", "backbone16"]
    assert sum(values.size for values in embedding.tensors.values()) * 2 <= 1.7e6
    assert all(values.dtype == np.float32 for values in embedding.tensors.values())


def test_padding_is_tensorflows() -> None:
    conv = SameConv(1, 1, 3, stride=2, linear=True)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    # An even side: nothing is added on the left, one column on the right.
    assert conv(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]


def test_folding_keeps_what_the_published_weights_compute() -> None:
    torch.manual_seed(1)
    plain = LiteBackbone()
    state: dict[str, torch.Tensor] = {}
    for number, (name, value) in enumerate(plain.state_dict().items()):
        if name.endswith("weight"):
            count = len(value)
            state[f"{number}.conv.weight"] = value
            state[f"{number}.norm.weight"] = torch.rand(count) + 0.5
            state[f"{number}.norm.bias"] = torch.randn(count)
            state[f"{number}.norm.running_mean"] = torch.randn(count)
            state[f"{number}.norm.running_var"] = torch.rand(count) + 0.5
    folded = LiteBackbone()
    folded.load_state_dict(fold_pretrained(state))
    x = torch.randn(1, 3, 16, 16)
    norm = {part: state[f"0.norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
    wanted = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (0, 1, 0, 1)), state["0.conv.weight"], stride=2)
    wanted = torch.nn.functional.batch_norm(
        wanted, norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"], eps=1e-3
    )
    assert torch.allclose(folded.stem(x), wanted.clamp(0, 6), atol=1e-5)
    assert [tuple(m.shape[1:]) for m in folded.eval()(torch.zeros(1, 3, 64, 64))] == [
        (dim, 64 // stride, 64 // stride) for dim, stride in zip(BACKBONE_DIMS, (4, 8, 16, 32), strict=True)
    ]


def test_colours_come_out_of_any_storage_the_same() -> None:
    colours = shaded((torch.randint(0, 256, (1, 3, 32, 32)).float() - 127) / 128)
    shades = shades_of(colours)[1]
    stored = to_int8(colours[0].numpy())
    assert np.array_equal(shades_of(torch.from_numpy(from_int8(*stored))[None])[1], shades)
    assert np.array_equal(shades_of(colours.half())[1], shades)
    assert np.abs(shades).max() <= SHADES


def test_a_fill_at_stride_two_follows_a_stroke_two_pixels_wide() -> None:
    colours = torch.full((1, 3, 96, 96), 0.8)
    colours[..., 40, 10:80] = -0.6
    prompts = one_click(2 * 20 + 1, 2 * 40 + 1)
    maps = fill_maps(shades_of(colours)[1], np.array([0]), prompts, 2)
    assert maps.shape == (1, FINE_FILLS, 96, 96)
    stroke = torch.zeros(96, 96)
    stroke[40, 10:80] = 1
    assert torch.equal(maps[0, 0], stroke)
    assert not maps[0, FINE_FILLS // 2 :].any()


def test_a_box_stands_for_a_click_where_there_is_none() -> None:
    none = torch.zeros(1, 0, 2), torch.zeros(1, 0)
    boxed = Prompts(*none, torch.tensor([[64.0, 64.0, 128.0, 160.0]]))
    seeds = seeds_of(draw_prompts(boxed, (24, 24), 16))
    assert float(seeds[0, 0].sum()) == pytest.approx(1, abs=0.01)
    assert float(seeds[0, 0].view(24, 24)[4:10, 4:8].sum()) > 0.65
    assert float(seeds[0, 1].sum()) == 0


def test_prompts_of_other_shapes_beside_it_change_nothing(model: LiteModel, embedding: Embedding) -> None:
    one, two = Prompt.of(points=[(100, 60)]), Prompt.of(points=[(100, 60), (10, 10)], point_labels=[1, 0])
    alone = model.decode(embedding, one)
    beside = model.decode_many([(embedding, one), (embedding, two)])[0]
    assert np.allclose(alone.low_res_logits, beside.low_res_logits, atol=1e-3)
    assert np.allclose(alone.scores, beside.scores, atol=1e-4)


def test_a_window_holds_the_mask_and_the_click_and_stays_inside() -> None:
    logits = torch.full((1, 1, 96, 96), -5.0)
    logits[..., 80:96, 10:20] = 5
    x0, y0, side = windows_of(logits, one_click(100.0, 300.0))[0].tolist()
    assert x0 <= 40
    assert x0 + side >= 101
    assert y0 <= 300
    assert y0 + side == pytest.approx(384)
    assert windows_of(torch.full((1, 1, 96, 96), -5.0), one_click(1.0, 1.0))[0].tolist() == [0, 0, 40]


def test_a_crop_is_pasted_where_it_was_cut() -> None:
    prior = torch.full((1, 1, 96, 96), -5.0)
    prior[..., 0, 0] = 5
    crop = torch.full((1, 1, 128, 128), 3.0)
    frame = Refined(crop, torch.tensor([[100.0, 200.0, 64.0]]), torch.zeros(1), prior).in_frame()
    assert frame.shape == (1, 1, 192, 192)
    assert torch.equal(torch.nonzero(frame[0, 0] > 0).aminmax(dim=0).min, torch.tensor([100, 50]))
    assert torch.equal(torch.nonzero(frame[0, 0] > 0).aminmax(dim=0).max, torch.tensor([131, 81]))


def test_three_candidates_or_one_and_logits_are_taken_back(model: LiteModel, embedding: Embedding) -> None:
    prompt = Prompt.of(points=[(100, 60)])
    three, one = model.decode(embedding, prompt), model.decode(embedding, prompt, multimask=False)
    assert three.masks.shape == (3, 120, 200)
    assert one.masks.shape == (1, 120, 200)
    assert three.low_res_logits.shape == (3, FRAME // 2, FRAME // 2)
    assert ((three.scores > 0) & (three.scores < 1)).all()
    again = model.decode(embedding, prompt, mask_input=three.low_res_logits[0])
    assert again.masks.shape == (3, 120, 200)
    with pytest.raises(PromptError, match="mask_input"):
        model.decode(embedding, prompt, mask_input=np.zeros((4, 4)))
    with pytest.raises(PromptError, match="empty prompt"):
        model.decode(embedding, Prompt())


def test_proposals_are_the_same_masks(model: LiteModel, embedding: Embedding) -> None:
    prompts = [Prompt.of(points=[(100, 60)]), Prompt.of(box=(50, 20, 150, 100))]
    for prompt, proposal in zip(prompts, model.propose(embedding, prompts), strict=True):
        assert proposal.small.shape == (3, round(192 * 120 / 200), 192)
        assert np.mean(proposal.full(0) == model.decode(embedding, prompt).mask_of(0)) > 0.999


def test_another_models_entry_or_weights_are_refused(model: LiteModel, weights: Path, tmp_path: Path) -> None:
    other = Embedding({"image_embedding": np.zeros((140, 48, 48), "f")}, (120, 200), (230, 384))
    with pytest.raises(ModelError, match="another model's"):
        model.decode(other, Prompt.of(points=[(1, 1)]))
    save_file({"decoder.masks.bias": torch.zeros(3)}, tmp_path / "tiny.safetensors")
    wrong = LiteModel(INFO, open_checkpoint(INFO, tmp_path / "tiny.safetensors"), device="cpu")
    with pytest.raises(CheckpointMismatch, match=r"tiny\.safetensors"):
        wrong.encode(np.zeros((8, 8, 3), np.uint8))


def test_the_registry_opens_it_by_its_file(model: LiteModel, weights: Path) -> None:
    by_file = load_model("tiny", checkpoint=weights, device="cpu")
    assert isinstance(by_file, LiteModel)
    assert by_file.fingerprint == model.fingerprint
    assert not isinstance(load_model("tiny", checkpoint=EARLIER_TINY), LiteModel)


def test_a_mask_that_depends_on_its_threshold_is_not_stable() -> None:
    logits = np.full((2, 8, 8), -5, np.float32)
    logits[:, 2:6, 2:6] = 5
    logits[1, 2:6, 4:6] = 0.5
    assert stability(logits).tolist() == [1.0, 0.5]


def test_the_highest_estimate_belongs_to_the_likeliest_mask() -> None:
    masks = np.full((3, 16, 16), -5, np.float32)
    masks[0, 4:12, 4:12] = 5
    masks[1, 4:12, 4:12], masks[1, 4:12, 8:12] = 5, 0.5
    masks[2, 8:10, 8:10] = 5
    estimates = np.array([0.8, 0.82, 0.7], "f")
    scores = ranked(masks, estimates)
    assert scores.argmax() == 0
    assert scores[0] == estimates[0]
    assert (scores <= estimates).all()


def test_a_lone_click_in_the_middle_of_a_mask_means_that_mask() -> None:
    masks = np.full((2, 16, 16), -5, np.float32)
    masks[0], masks[1, 2:7, 2:7] = 5, 5
    assert middleness(masks, (4, 4)).tolist() == pytest.approx([5 / 8, 1], abs=0.02)
    assert middleness(masks, (15, 15))[1] == 0
    estimates = np.array([0.8, 0.75], "f")
    assert ranked(masks, estimates).argmax() == 0
    assert ranked(masks, estimates, click=(4, 4)).argmax() == 1


def test_only_a_lone_click_tells_the_middle(model: LiteModel, embedding: Embedding) -> None:
    decoder = model._built()
    height, width = embedding.original_size
    rows, columns = embedding.input_size
    last = Prompt.of(points=[(width - 1, height - 1)])
    assert decoder.lone_click(embedding, last) == ((columns - 1) // 2, (rows - 1) // 2)
    assert decoder.lone_click(embedding, Prompt.of(points=[(3, 3), (5, 5)])) is None
    assert decoder.lone_click(embedding, Prompt.of(points=[(3, 3)], box=(0, 0, 9, 9))) is None
    assert decoder.lone_click(embedding, Prompt.of(box=(0, 0, 9, 9))) is None


def test_a_weight_file_tells_which_net_it_is_of(weights: Path, tmp_path: Path) -> None:
    assert is_lite_file(weights)
    assert not is_lite_file(EARLIER_TINY)
    (tmp_path / "none.safetensors").write_bytes(b"no")
    assert not is_lite_file(tmp_path / "none.safetensors")


def test_folding_norms_changes_no_answer() -> None:
    torch.manual_seed(2)
    decoder = MaskDecoder().eval()
    for name, buffer in decoder.named_buffers():
        if name.endswith("running_var"):
            buffer.mul_(2.3)
    with torch.inference_mode():
        entry = {
            "semantic": torch.randn(1, 96, 12, 12),
            "middle": torch.randn(1, 56, 24, 24),
            "fine": torch.randn(1, 24, 48, 48),
            "colours": shaded(torch.rand(1, 3, 96, 96)),
        }
        found = []
        for net in (decoder, fold_norms(decoder)):
            images = net.image_side(entry)
            answer = net.first_pass(images, torch.zeros(1, dtype=torch.long), one_click(90.0, 90.0))
            found.append(net.second_pass(images, answer, torch.tensor([[1, 2]])).in_frame())
    assert torch.allclose(found[0], found[1], atol=1e-3)
