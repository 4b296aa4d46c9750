"""Models of other packages, by entry point; the one of docs/models.md too."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samnb.cli import main
from samnb.cli.models import state_of
from samnb.errors import ModelError, UnknownName
from samnb.models import Model, available_models, broken_plugins, load_model, plugins
from samnb.models.sam.reference import import_segment_anything
from samnb.prompts import Embedding, Prompt
from samnb.session import Session
from samnb.templates.image_features import ImageFeatures

DOCS = Path(__file__).parents[2] / "docs" / "models.md"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with entry points where Python finds it, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_loaded", {})

    def put(module: str, code: str, **points: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        told = tmp_path / f"{module}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [f"{name} = {module}:{target}" for name, target in points.items()]
        (told / "entry_points.txt").write_text("\n".join(["[samnb.models]", *lines]) + "\n")

    return put


def code_of_the_docs(which: str) -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if f"class {which}" in block]
    return code


def test_the_example_of_the_docs_registers_a_model(
    install: Install, random_tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = code_of_the_docs("Brightness")
    assert len(code.splitlines()) <= 30
    toml = re.search(
        r'^\[project\.entry-points\."samnb\.models"\]\n(\w+) = "(\w+):(\w+)"', DOCS.read_text(), re.MULTILINE
    )
    assert toml
    name, module, target = toml.groups()
    install(module, code, **{name: target})
    model = load_model(name)
    assert isinstance(model, Model)
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 20:50] = 200
    prediction = model.decode(model.encode(picture), Prompt.of(points=[(30, 20)]))
    assert np.array_equal(prediction.mask, picture[..., 0] > 0)
    (info,) = [info for info in available_models() if info.name == name]
    assert state_of(info) == "installed"
    assert main(["models"]) == 0
    assert name in capsys.readouterr().out
    assert main(["models", name]) == 0


@pytest.fixture
def dinov2(install: Install, tmp_path: Path) -> Path:
    """The plug-in of the docs, installed, and a folder with the real class, small, with random weights."""
    import_segment_anything()  # so that torchvision imports beside any torch
    import torch
    from transformers import Dinov2Config, Dinov2Model

    install("dinov2", code_of_the_docs("Dinov2"), dinov2_small="entry")
    torch.manual_seed(0)
    small = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=112, patch_size=14
    )
    Dinov2Model(small).save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


def test_dinov2_of_the_docs_gives_the_features_of_its_class(dinov2: Path) -> None:
    import torch
    from transformers import Dinov2Model

    pixels = np.random.default_rng(0).integers(0, 256, (84, 112, 3), np.uint8)
    model = load_model("dinov2_small", checkpoint=dinov2)
    embedding = model.encode(pixels)
    assert embedding.original_size == embedding.input_size == (84, 112)
    frame = np.zeros((112, 112, 3), np.float32)
    frame[:84] = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    net = Dinov2Model.from_pretrained(dinov2).eval()
    with torch.inference_mode():
        expected = net(pixel_values=torch.from_numpy(frame).permute(2, 0, 1)[None]).last_hidden_state[0, 1:]
    given = embedding.tensors["semantic"]
    assert given.shape == (32, 8, 8)
    np.testing.assert_allclose(given.reshape(32, 64).T, expected.numpy(), atol=1e-4)
    assert ImageFeatures(embedding).cells == (6, 8)


def test_dinov2_of_the_docs_is_compared_prewarmed_with_the_rest_and_draws_nothing(
    dinov2: Path, random_tiny_checkpoint: Path, tmp_path: Path
) -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8) for seed in (0, 1)]
    mask = np.zeros((60, 80), bool)
    mask[10:40, 20:60] = True
    with Session(tmp_path / "session", checkpoint=random_tiny_checkpoint) as session:
        images = session.add(pictures).images
        session.accept_mask(images[0], mask, category="noise")
        session.use_features("dinov2_small", checkpoint=dinov2)
        template = session.template("noise", features="dinov2_small", min_score=0)
        assert template.features_model == load_model("dinov2_small", checkpoint=dinov2).fingerprint
        last = list(session.prewarm_stream())[-1]
        assert last["features"] == {"dinov2_small": {"computed": 1, "skipped": 1, "failed": 0}}
        assert list(session.apply_stream(template))[-1]["encoded"] == 0
        assert session.template_features(images[1], template).cells == (6, 8)
        assert session.cache.stats().entries == 4
    with pytest.raises(ModelError, match="dinov2_small gives features only and draws no masks"):
        Session(tmp_path / "session", model="dinov2_small", checkpoint=dinov2)
    assert main(["models", "dinov2_small"]) == 0


def test_a_model_with_weights_of_its_own(install: Install, random_tiny_checkpoint: Path) -> None:
    code = """
from dataclasses import replace
from samnb.models import REGISTRY, Entry

def entry():
    tiny = REGISTRY["tiny"]
    return Entry(replace(tiny.info, name="mine", family="mine", bundled=False), tiny.load)
"""
    install("my_models", code, mine="entry")
    model = load_model("mine", checkpoint=random_tiny_checkpoint)
    assert model.fingerprint.startswith("mine-")
    embedding = Embedding({"image_embedding": np.zeros((128, 24, 24), np.float32)}, (10, 10), (384, 384))
    with pytest.raises(ModelError, match="another model's"):
        model.decode(embedding, Prompt.of(points=[(1, 1)]))


def test_what_is_broken_is_told_and_touches_nothing_else(
    install: Install, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    code = """
from dataclasses import replace
from samnb.models import REGISTRY

def fails():
    raise RuntimeError("no licence key")

def nothing():
    return 7

def renamed():
    return REGISTRY["tiny"]

def good():
    return replace(REGISTRY["tiny"], info=replace(REGISTRY["tiny"].info, name="good"))
"""
    install("others", code, fails="fails", nothing="nothing", renamed="renamed", good="good", gone="not_there")
    install("thief", code, tiny="renamed")
    with caplog.at_level(logging.WARNING, logger="samnb"):
        names = [info.name for info in available_models()]
        assert available_models()
    assert names[0] == "tiny"
    assert names[-1] == "good"
    assert len(caplog.records) == 5  # each once
    broken = broken_plugins()
    assert broken["fails"] == "fails of others (others:fails): RuntimeError: no licence key"
    assert "expected a samnb.models.Entry; got int" in broken["nothing"]
    assert "'tiny'; the two names have to be the same" in broken["renamed"]
    assert "AttributeError" in broken["gone"]
    assert "the name is taken" in broken["tiny"]
    assert load_model("tiny").name == "tiny"
    with pytest.raises(ModelError, match="no licence key") as caught:
        load_model("fails")
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(UnknownName, match="Did you mean 'good'"):
        load_model("goood")
    assert main(["models"]) == 0
    told = capsys.readouterr()
    assert "no licence key" in told.out + told.err


def test_samnbs_own_models_are_loaded_without_looking_at_others(install: Install, random_tiny_checkpoint: Path) -> None:
    install("slow", "raise SystemError('imported')", slow="entry")
    load_model("tiny", checkpoint=random_tiny_checkpoint)
    assert plugins._loaded == {}
    assert "imported" in broken_plugins()["slow"]
