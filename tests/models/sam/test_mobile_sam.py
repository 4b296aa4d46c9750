"""MobileSAM in the layout of its official file, with random weights: the file itself is not in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb.cache import EmbeddingCache
from samnb.errors import CheckpointMismatch
from samnb.models import REGISTRY, load_model
from samnb.models.sam.mobile_sam import build_image_encoder
from samnb.models.sam.reference import import_segment_anything
from samnb.models.sam.variants import build_mask_decoder, build_prompt_encoder
from samnb.prompts import Prompt
from samnb.store.entry import make_key

pytestmark = pytest.mark.slow

PROMPT = Prompt.of(points=[(150, 100), (500, 300)], point_labels=[1, 0], box=(60, 40, 420, 330))


@pytest.fixture(scope="module")
def net() -> Any:
    """The whole net as ``segment_anything`` holds one, its statistics and biases away from where they begin."""
    import torch

    modeling = import_segment_anything().modeling
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        sam = modeling.Sam(build_image_encoder(), build_prompt_encoder(), build_mask_decoder())
        for name, tensor in sam.state_dict().items():
            if "attention_biases" in name or "running_mean" in name:
                tensor.normal_(std=0.5)
            elif "running_var" in name:
                tensor.uniform_(0.5, 1.5)
    sam.image_encoder.img_size = 1024  # SamPredictor asks for it
    return sam.eval()


@pytest.fixture(scope="module")
def checkpoint(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("mobile_sam") / "mine.pt"
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def coffee() -> Any:
    from skimage import data

    return data.coffee()


def test_it_has_as_many_parameters_as_the_paper_counts(net: Any) -> None:
    # "9.66 M" and "5.78 M" count in units of 2**20, the ImageNet head included.
    assert sum(parameter.numel() for parameter in net.parameters()) == 10_130_092
    assert round(10_130_092 / 2**20, 2) == 9.66
    assert round(sum(parameter.numel() for parameter in net.image_encoder.parameters()) / 2**20, 2) == 5.78


def test_its_tensors_weigh_what_the_official_file_weighs(net: Any) -> None:
    state = net.state_dict()
    payload = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    # A torch file adds a zip record of 250 to 400 bytes for each tensor.
    assert 250 < (REGISTRY["mobile_sam"].info.size_bytes - payload) / len(state) < 400


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embed.seq.0.c.weight", (32, 3, 3, 3)),
        ("patch_embed.seq.2.bn.running_var", (64,)),
        ("layers.0.blocks.1.conv2.c.weight", (256, 1, 3, 3)),
        ("layers.0.downsample.conv3.bn.num_batches_tracked", ()),
        ("layers.1.blocks.0.attn.attention_biases", (4, 49)),
        ("layers.2.blocks.5.attn.attention_biases", (5, 196)),
        ("layers.2.blocks.5.attn.qkv.weight", (480, 160)),
        ("layers.2.downsample.conv2.c.weight", (320, 1, 3, 3)),
        ("layers.3.blocks.1.mlp.fc1.weight", (1280, 320)),
        ("layers.3.blocks.1.local_conv.c.weight", (320, 1, 3, 3)),
        ("norm_head.weight", (320,)),
        ("head.weight", (1000, 320)),
        ("neck.0.weight", (256, 320, 1, 1)),
        ("neck.3.bias", (256,)),
    ],
)
def test_names_are_those_of_the_official_file(name: str, shape: tuple[int, ...], net: Any) -> None:
    assert tuple(net.state_dict()[f"image_encoder.{name}"].shape) == shape


def test_positions_are_counted_along_the_window(net: Any) -> None:
    attention = net.image_encoder.layers[1].blocks[0].attn
    assert "attention_bias_idxs" not in attention.state_dict()
    distances = attention.attention_bias_idxs
    # From the window's first token: its own distance, one column on, one row down, the far corner.
    assert [int(distances[0, token]) for token in (0, 1, 7, 48)] == [0, 1, 7, 48]
    assert bool((distances == distances.T).all())


def test_a_window_that_reaches_over_the_border_sees_zeros() -> None:
    import torch

    from samnb.models.sam.tiny_vit import Block

    torch.manual_seed(0)
    block = Block(dim=8, heads=2, window=7).eval()
    torch.nn.init.normal_(block.attn.attention_biases)
    x = torch.randn(2, 9, 5, 8)
    padded = torch.zeros(2, 14, 7, 8)
    padded[:, :9, :5] = x
    with torch.inference_mode():
        lower = block.attn(padded[:, 7:].reshape(2, 49, 8)).view(2, 7, 7, 8)[:, :2, :5]
        torch.testing.assert_close(block._in_windows(x)[:, 7:], lower)


def test_the_answers_are_the_predictors_and_survive_the_cache(
    net: Any, checkpoint: Path, coffee: Any, tmp_path: Path
) -> None:
    predictor = import_segment_anything().SamPredictor(net)
    predictor.set_image(coffee)
    masks, scores, _ = predictor.predict(np.array(PROMPT.points), np.array(PROMPT.point_labels), np.array(PROMPT.box))
    assert 0.01 < masks.mean() < 0.99

    encoding, decoding = (load_model("mobile_sam", checkpoint=checkpoint) for _ in range(2))
    embedding = encoding.encode(coffee)
    key = make_key("pixels", encoding.fingerprint, encoding.embedding_spec)
    for dtype in ("float32", "float16"):
        EmbeddingCache(tmp_path / dtype, dtype=dtype).put(key, embedding, about={})
        kept = EmbeddingCache(tmp_path / dtype, dtype=dtype).get(key)
        assert kept is not None
        found = decoding.decode(kept, PROMPT)
        overlap = (found.masks & masks).sum() / (found.masks | masks).sum()
        assert overlap >= (0.9999 if dtype == "float32" else 0.99)
        np.testing.assert_allclose(found.scores, scores, atol=1e-4 if dtype == "float32" else 1e-2)
    assert not decoding.encoder_built


def test_other_files_are_told_apart(checkpoint: Path, tmp_path: Path) -> None:
    import torch

    with pytest.raises(CheckpointMismatch, match="looks like mobile_sam, expected vit_b"):
        load_model("vit_b", checkpoint=checkpoint)
    torch.save({"image_encoder.blocks.0.norm1.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointMismatch, match="fit no model"):
        load_model("mobile_sam", checkpoint=tmp_path / "other.pt")
