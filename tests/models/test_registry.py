"""The registry: models by name, loaded without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from samnb.errors import ModelError, UnknownName
from samnb.models import REGISTRY, available_models, load_model, missing_packages
from samnb.prompts import Embedding, Prompt

CLICK = Prompt.of(points=[(120, 80)])


@pytest.fixture(scope="module")
def coffee() -> NDArray[np.uint8]:
    from skimage import data

    pixels: NDArray[np.uint8] = data.coffee()
    return pixels


@pytest.fixture(scope="module")
def embedding(random_tiny_checkpoint: Path, coffee: NDArray[np.uint8]) -> Embedding:
    return load_model("tiny", checkpoint=random_tiny_checkpoint).encode(coffee)


def test_loading_is_cheap_and_imports_no_torch(random_tiny_checkpoint: Path) -> None:
    code = (
        "import sys\n"
        "from samnb.models import available_models, load_model\n"
        f"model = load_model('tiny', checkpoint={str(random_tiny_checkpoint)!r}, device='cpu')\n"
        "assert len(available_models()) >= 5\n"
        "print(model, model.fingerprint, model.embedding_spec, model.encoder_built)\n"
        "heavy = {'torch', 'torchvision', 'segment_anything', 'safetensors.torch', 'ipywidgets', 'matplotlib'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_the_shipped_model_is_whole(coffee: NDArray[np.uint8]) -> None:
    model = load_model("tiny")
    info = available_models()[0]
    assert info.bundled
    assert model.fingerprint == f"tiny_lite0-{info.sha256}"
    prediction = model.decode(model.encode(coffee), CLICK)
    assert prediction.masks.shape == (3, 400, 600)
    assert 0 < prediction.mask.mean() < 1


def test_every_published_file_is_described_to_the_byte() -> None:
    for info in available_models():
        if info.files:  # a folder of somebody's choice: its own files say what it is
            assert info.url.startswith("https://huggingface.co/")
            assert info.parameters > 1e7
            assert info.extra
            continue
        assert info.size_bytes is not None
        assert info.size_bytes > 0
        assert info.sha256 is not None
        assert len(bytes.fromhex(info.sha256)) == 32
        assert info.description


def test_unknown_names_are_refused_with_a_hint(random_tiny_checkpoint: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'tiny'"):
        load_model("tinny")
    with pytest.raises(UnknownName, match=r"device 'gpu'.*'cuda'"):
        load_model("tiny", checkpoint=random_tiny_checkpoint, device="gpu")


def test_a_device_that_is_not_there(random_tiny_checkpoint: Path) -> None:
    model = load_model("tiny", checkpoint=random_tiny_checkpoint, device="cuda:99")
    with pytest.raises(ModelError, match=r"cuda:99.*device='auto'"):
        _ = model.device


def test_the_registry_takes_another_model(
    monkeypatch: pytest.MonkeyPatch, random_tiny_checkpoint: Path, embedding: Embedding
) -> None:
    entry = REGISTRY["tiny"]
    mine = dataclasses.replace(entry, info=dataclasses.replace(entry.info, name="mine", family="mine", bundled=False))
    monkeypatch.setitem(REGISTRY, "mine", mine)
    model = load_model("mine", checkpoint=random_tiny_checkpoint)
    assert model.fingerprint.startswith("mine-")
    assert model.decode(embedding, CLICK).masks.shape == (3, 400, 600)


def test_a_part_of_a_package_that_is_not_there_is_missing() -> None:
    wanted = ("numpy", "numpy.linalg", "numpy.no_such_part", "no_such_package", "no_such_package.part")
    info = dataclasses.replace(REGISTRY["tiny"].info, packages=wanted)
    assert missing_packages(info) == ["numpy.no_such_part", "no_such_package", "no_such_package.part"]
