"""SAM 2 in Meta's own file: the names of its tensors, and the same masks as from a folder of ``transformers``.

``data/sam2.1_hiera_tiny_names.txt`` has the names and shapes of the tensors of Meta's own net (the package sam2 1.1.0,
built by its configuration file, random weights), which is what its published files are saved from.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb import Session
from samnb.errors import CheckpointDamaged, CheckpointMismatch, CheckpointMissing
from samnb.models import REGISTRY, installed, load_model, model_card
from samnb.models.huggingface import meta_checkpoint
from samnb.models.sam.reference import import_segment_anything
from samnb.models.weights.checkpoints import find_checkpoint, open_checkpoint
from samnb.prompts import Prompt
from tests.support import small_families as small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("transformers") is None, reason="needs samnb[huggingface]"),
]

NAME = "sam2.1_hiera_tiny"
PROMPTS = (
    Prompt.of(points=[(150, 100), (500, 300)], point_labels=[1, 0]),
    Prompt.of(points=[(150, 100)], box=(60, 40, 420, 330)),
)


def published_names() -> dict[str, tuple[int, ...]]:
    lines = (Path(__file__).parents[1] / "data" / f"{NAME}_names.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[0]: tuple(map(int, line.split()[1:])) for line in lines}


def as_meta_saves(state: dict[str, Any]) -> dict[str, Any]:
    """Tensors of `transformers` under Meta's names; the table is the one under test, checked against Meta's below."""
    found: dict[str, Any] = {}
    for name, tensor in state.items():
        others = meta_checkpoint.meta_names(name)
        assert others, name
        found.update(zip(others, tensor.split(1) if len(others) > 1 else [tensor], strict=True))
    return found


@pytest.fixture(scope="module")
def coffee() -> NDArray[np.uint8]:
    from skimage import data

    pixels: NDArray[np.uint8] = data.coffee()
    return pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import_segment_anything()  # so that torchvision imports beside any torch
    folder = small.save(small.sam2, tmp_path_factory.mktemp("meta") / NAME)
    from safetensors.torch import load_file, save_file

    # Born apart in a net with random weights; in a published one, and in Meta's file, the two are one.
    state = load_file(folder / "model.safetensors")
    tied = "shared_image_embedding.positional_embedding"
    state[tied] = state["prompt_encoder.shared_embedding.positional_embedding"].clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def small_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Meta had published the small net of the tests under the name of its smallest."""
    config = json.loads((folder / "config.json").read_text())
    monkeypatch.setattr(meta_checkpoint, "config_of", lambda size: config)


@pytest.fixture
def state(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return as_meta_saves(load_file(folder / "model.safetensors"))


def save(path: Path, state: dict[str, Any]) -> Path:
    import torch

    torch.save({"model": state}, path)
    return path


def test_each_tensor_of_the_net_has_its_place_in_metas_file_and_its_shape() -> None:
    import_segment_anything()
    import torch
    import transformers

    published = published_names()
    config = {name: part for name, part in meta_checkpoint.config_of("tiny").items() if name != "model_type"}
    with torch.device("meta"):
        net = transformers.Sam2Model(transformers.Sam2Config(**config))
        there = {name: torch.empty(shape) for name, shape in published.items()}
    wanted = net.state_dict()
    found, lacking = meta_checkpoint.rename(there, wanted)
    assert lacking == []
    assert {name: tensor.shape for name, tensor in found.items()} == {n: t.shape for n, t in wanted.items()}
    assert meta_checkpoint.unknown_names(published, wanted, with_encoder=True) == []
    # What is left over is for videos, and nothing but that.
    left = set(published) - {other for name in wanted for other in meta_checkpoint.meta_names(name)}
    assert {name.partition(".")[0] for name in left} == {
        *("memory_attention", "memory_encoder", "mask_downsample", "obj_ptr_proj", "obj_ptr_tpos_proj"),
        *("maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial"),
    }


@pytest.mark.parametrize("size", list(meta_checkpoint.SIZES))
def test_the_four_sizes_are_as_large_as_published(size: str) -> None:
    import_segment_anything()
    import torch
    import transformers

    config = {name: part for name, part in meta_checkpoint.config_of(size).items() if name != "model_type"}
    with torch.device("meta"):
        net = transformers.Sam2Model(transformers.Sam2Config(**config))
    info = REGISTRY[f"sam2.1_hiera_{size}"].info
    assert info.single is not None
    assert info.single.size_bytes is not None
    # The published file has what videos need beside it: the same 7 to 12 million for each size.
    of_videos = info.single.size_bytes / 4 - sum(tensor.numel() for tensor in net.state_dict().values())
    assert 6e6 < of_videos < 13e6
    assert meta_checkpoint.DEPTHS[len(net.vision_encoder.backbone.blocks)] == size


@pytest.mark.usefixtures("small_size")
def test_from_metas_file_and_from_a_folder_the_masks_are_the_same(
    folder: Path, state: dict[str, Any], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    import torch

    state["memory_encoder.out_proj.weight"] = torch.zeros(3)  # for videos
    path = save(tmp_path / "my_own_name.pt", state)
    one, other = load_model(NAME, checkpoint=path), load_model(NAME, checkpoint=folder)
    assert one.fingerprint != other.fingerprint
    assert one.embedding_spec == other.embedding_spec
    embedding, same = one.encode(coffee), other.encode(coffee)
    for name, tensor in same.tensors.items():
        np.testing.assert_array_equal(embedding.tensors[name], tensor)
    for prompt in PROMPTS:
        np.testing.assert_array_equal(one.decode(embedding, prompt).masks, other.decode(same, prompt).masks)


@pytest.mark.usefixtures("small_size")
def test_a_session_finds_the_file_where_it_was_downloaded_to(
    state: dict[str, Any], coffee: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path))
    info = REGISTRY[NAME].info
    with pytest.raises(CheckpointMissing, match=r"sam2.1_hiera_tiny.pt, as one file, will do too.*download sam2.1"):
        find_checkpoint(info)
    path = save(tmp_path / f"{NAME}.pt", state)
    assert installed(info) == path
    with Session(tmp_path / "session", model=NAME, device="cpu") as session:
        session.add(coffee)
        assert session.prewarm().wait()["computed"] == 1
    with Session(tmp_path / "session", model=NAME, device="cpu", checkpoint=path) as session:
        assert session.predict(session.images()[0], points=[(300, 200)]).cache_hit
    assert "- or as one file: sam2.1_hiera_tiny.pt, 156,008,466 bytes" in model_card(NAME)


@pytest.mark.usefixtures("small_size")
def test_only_the_decoder_is_built_for_a_prompt_and_no_tensor_of_the_encoder_is_missed(
    folder: Path, state: dict[str, Any], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    embedding = load_model(NAME, checkpoint=folder).encode(coffee)
    half = {name: tensor for name, tensor in state.items() if not name.startswith("image_encoder.neck.")}
    model = load_model(NAME, checkpoint=save(tmp_path / "half.pt", half))
    assert model.decode(embedding, PROMPTS[0]).masks.shape == (3, 400, 600)
    assert not model.encoder_built
    with pytest.raises(CheckpointMismatch, match=r"8 tensors of Sam2Model are missing \(image_encoder.neck.convs.0"):
        model.encode(coffee)


@pytest.mark.usefixtures("small_size")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"sam_mask_decoder.hf_token.weight": (1, 4)},
            r"1 tensors that SAM 2 as .*hf_token.weight\): another net",
        ),
        ({"spatial_perceiver.latents": (1, 4)}, r"does not have \(spatial_perceiver.latents\)"),
        ({"no_mem_embed": (1, 1, 7)}, r"does not fit its model: no_memory_embedding is \(1, 1, 7\), expected"),
    ],
)
def test_another_net_is_refused(
    change: dict[str, tuple[int, ...]], told: str, state: dict[str, Any], coffee: NDArray[np.uint8], tmp_path: Path
) -> None:
    import torch

    changed = state | {name: torch.zeros(shape) for name, shape in change.items()}
    model = load_model(NAME, checkpoint=save(tmp_path / "changed.pt", changed))
    with pytest.raises(CheckpointMismatch, match=told):
        model.encode(coffee)


class TestWithoutTorch:
    """What is told from the file alone, before anything is imported or built."""

    def test_another_size_is_named(self, tmp_path: Path) -> None:
        import torch

        small_one = {f"image_encoder.trunk.blocks.{block}.norm1.weight": torch.zeros(1) for block in range(16)}
        path = save(tmp_path / "sam2.pt", small_one)
        with pytest.raises(CheckpointMismatch, match=r"by its depth this is sam2.1_hiera_small, expected sam2"):
            load_model(NAME, checkpoint=path)
        assert load_model("sam2_hiera_small", checkpoint=path).name == "sam2_hiera_small"

    def test_another_family_is_named(self, tmp_path: Path) -> None:
        import torch

        path = save(tmp_path / "sam.pt", {f"image_encoder.blocks.{n}.norm1.weight": torch.zeros(1) for n in range(12)})
        with pytest.raises(CheckpointMismatch, match=r"looks like vit_b, expected sam2.1_hiera_tiny"):
            load_model(NAME, checkpoint=path)
        with pytest.raises(CheckpointMismatch, match="is a file; 'edgetam' wants a folder"):
            load_model("edgetam", checkpoint=path)

    def test_the_published_name_and_size_with_other_content_is_damage(self, tmp_path: Path) -> None:
        import torch

        info = REGISTRY[NAME].info
        assert info.single is not None
        path = save(tmp_path / info.single.file_name, {"image_encoder.trunk.pos_embed": torch.zeros(1)})
        load_model(NAME, checkpoint=path)
        with path.open("r+b") as file:
            content = file.read()
        end = content[-22:]  # the zip's last record stays the last
        assert info.single.size_bytes is not None
        path.write_bytes(b"")
        with path.open("r+b") as file:
            file.write(content)
            file.truncate(info.single.size_bytes)
            file.seek(info.single.size_bytes - len(end))
            file.write(end)
        with pytest.raises(CheckpointDamaged):
            open_checkpoint(info, path)


@pytest.mark.skipif(find_spec("sam2") is None, reason="needs Meta's own package: pip install sam2")
@pytest.mark.parametrize("version", ["2.1", "2"])
def test_the_masks_are_those_of_metas_own_predictor(version: str, coffee: NDArray[np.uint8], tmp_path: Path) -> None:
    import_segment_anything()
    import torch
    from PIL import Image
    from sam2.build_sam import build_sam2  # type: ignore[import-not-found]
    from sam2.sam2_image_predictor import SAM2ImagePredictor  # type: ignore[import-not-found]

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        net = build_sam2(f"configs/sam{version}/sam{version}_hiera_t.yaml", None, device="cpu")
        for name, parameter in net.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter[0].numel() ** 0.5)
            else:
                parameter.normal_(mean=float(name.endswith("weight")), std=0.2)
    model = load_model(f"sam{version}_hiera_tiny", checkpoint=save(tmp_path / "tiny.pt", net.state_dict()))
    # Of the frame's own size: Meta's scales floats, and transformers bytes.
    pixels = np.asarray(Image.fromarray(coffee).resize((1024, 1024)))
    theirs, ours = SAM2ImagePredictor(net), model.encode(pixels)
    theirs.set_image(pixels)
    for prompt in (Prompt.of(points=[(400, 400), (800, 700)], point_labels=[1, 0]), Prompt.of(box=(100, 90, 700, 800))):
        masks, scores, _ = theirs.predict(
            point_coords=np.array(prompt.points) if prompt.points else None,
            point_labels=np.array(prompt.point_labels) if prompt.points else None,
            box=None if prompt.box is None else np.array(prompt.box),
        )
        found = model.decode(ours, prompt)
        assert (found.masks != masks.astype(bool)).mean() < 1e-4
        np.testing.assert_allclose(found.scores, scores, atol=1e-4)
