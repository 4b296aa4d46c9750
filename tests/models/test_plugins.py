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
from samnb.prompts import Embedding, Prompt

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


def code_of_the_docs() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "Entry(" in block]
    return code


def test_the_example_of_the_docs_registers_a_model(
    install: Install, random_tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = code_of_the_docs()
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
