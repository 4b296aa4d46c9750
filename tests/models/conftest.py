"""Weights with random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.random_vit_b import RandomVitB, make_vit_b


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache and data folders out of it."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        for variable in ("SAMNB_CHECKPOINTS", "SAMNB_FAST_ATTENTION", "SAMNB_FAST_DECODER"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def random_tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's net with random weights."""
    import torch
    from safetensors.torch import save_file

    from samnb.models import tiny_sam

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = tiny_sam.build_sam(weights=None).state_dict()
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


@pytest.fixture(scope="session")
def whole_vit_b(tmp_path_factory: pytest.TempPathFactory) -> RandomVitB:
    """ViT-B in its real size, with one picture."""
    return make_vit_b(tmp_path_factory.mktemp("whole") / "random_vit_b.pth", ["coffee"])


@pytest.fixture(scope="session")
def narrow_vit_b(tmp_path_factory: pytest.TempPathFactory) -> RandomVitB:
    """ViT-B with an encoder of 64 channels instead of 768, with a square picture, a wide and a tall one."""
    sizes = {"embed_dim": 64, "depth": 12, "num_heads": 2, "global_attn_indexes": (2, 5, 8, 11)}
    path = tmp_path_factory.mktemp("narrow") / "random_vit_b.pth"
    return make_vit_b(path, ["astronaut", "coffee", "china, tall"], seed=4, **sizes)
