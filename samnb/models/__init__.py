"""Models: an image encoder that runs once for each picture, and a decoder that answers each prompt.

>>> from samnb.models import available_models, load_model
>>> [info.name for info in available_models()]
['tiny', 'vit_b', 'vit_l', 'vit_h', 'mobile_sam']

`load_model` is cheap: it checks and hashes the weight file. torch is imported, and a net built, when the first image is
encoded or the first prompt decoded; a prompt on a cached embedding never builds the encoder. Another model is one more
entry in `REGISTRY`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointMissing, UnknownName
from ..prompts import Embedding, Prediction, Prompt
from ..settings import read
from . import mobile_sam, sam, tiny
from .checkpoints import ModelInfo, WeightFile, checkpoint_folders, find_checkpoint, open_checkpoint
from .devices import check_device
from .downloads import download_checkpoint
from .torch_model import Blueprint, TorchSam

__all__ = [
    "REGISTRY",
    "Entry",
    "Model",
    "ModelInfo",
    "available_models",
    "download",
    "installed",
    "load_model",
    "model_card",
]


@runtime_checkable
class Model(Protocol):
    """What samnb asks of a model. It owns its net, device and locks; the image in hand is always an argument."""

    @property
    def name(self) -> str:
        """The registry's name: ``"tiny"``, ``"vit_b"``, …"""

    @property
    def fingerprint(self) -> str:
        """``<family>-<SHA-256 of the weight file>``; known before torch is imported."""

    @property
    def recipe(self) -> str:
        """What else an embedding depends on: preprocessing, its version, precision of computing."""

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` is resolved, which may import torch."""

    @property
    def encoder_built(self) -> bool:
        """False until the first `encode`."""

    @property
    def encodes(self) -> int:
        """How many images this object has encoded."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """The embedding of (H, W, 3) uint8 RGB pixels, as float32 arrays."""

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
    ) -> Prediction:
        """Candidate masks for one prompt; `image` and `cache_hit` of the prediction are left to the caller."""


@dataclass(frozen=True)
class Entry:
    """One model of the registry: what is known of it, and how to make it from a checked weight file.

    `load` is called as ``load(info, weights, device=device)`` and should not import torch yet.
    """

    info: ModelInfo
    load: Callable[..., Model]


def _loader(blueprint: Blueprint) -> Callable[..., Model]:
    def load(info: ModelInfo, weights: WeightFile, *, device: str) -> Model:
        return TorchSam(info, weights, blueprint, device=device)

    return load


_TINY = Entry(
    ModelInfo(
        name="tiny",
        family="tiny",
        file_name=tiny.WEIGHTS.name,
        size_bytes=None,
        sha256=None,
        bundled=True,
        description="Ships with samnb and answers at once on a CPU. Good on blobs, cells, coins; weak on whole scenes.",
    ),
    _loader(
        Blueprint(
            image_size=tiny.IMAGE_SIZE,
            embedding_shape=(tiny.EMBED_DIM, tiny.GRID_SIZE, tiny.GRID_SIZE),
            image_encoder=lambda: tiny.build_image_encoder(weights=None),
            prompt_encoder=lambda: tiny.build_prompt_encoder(weights=None),
            mask_decoder=lambda: tiny.build_mask_decoder(weights=None),
            pixel_mean=tiny.PIXEL_MEAN,
            pixel_std=tiny.PIXEL_STD,
            # Its layers take a millisecond each: two threads gain little on an idle machine, and where anything else
            # runs, every layer waits until both are given a turn (measured: 33 ms a decode on one, 1,500 on two).
            threads=1,
            lean_decoder=tiny.lean_decoder,
        )
    ),
)

REGISTRY: dict[str, Entry] = {
    "tiny": _TINY,
    **{info.name: Entry(info, _loader(sam.blueprint(info.name))) for info in sam.MODELS},
    "mobile_sam": Entry(mobile_sam.MODEL, _loader(mobile_sam.blueprint())),
}


def load_model(name: str, *, checkpoint: str | os.PathLike[str] | None = None, device: str = "auto") -> Model:
    """Open a model by name; no torch is imported and no net built yet.

    Parameters
    ----------
    name : str
        A key of `REGISTRY`; see `available_models`.
    checkpoint : path or None
        The weight file. None: the bundled one, or the published one in ``SAMNB_CHECKPOINTS`` or the user's data folder.
    device : str
        ``"auto"`` (cuda, else mps, else cpu), or one by name.

    Returns
    -------
    Model

    Raises
    ------
    UnknownName
        No model, or no device, of that name.
    CheckpointMissing, CheckpointDamaged, CheckpointMismatch
        The weight file is not there, truncated or altered, or of another model.
    """
    entry = REGISTRY.get(name)
    if entry is None:
        raise UnknownName("model", name, REGISTRY)
    check_device(device)
    if checkpoint is None and not entry.info.bundled and read("SAMNB_DOWNLOAD") and installed(entry.info) is None:
        download(name)
    weights = open_checkpoint(entry.info, find_checkpoint(entry.info, checkpoint))
    return entry.load(entry.info, weights, device=device)


def download(name: str, *, folder: str | os.PathLike[str] | None = None, show: bool = True) -> Path:
    """Fetch the published weights of a model, checked by their SHA-256; what broke off is taken up.

    Parameters
    ----------
    name : str
        A key of `REGISTRY`.
    folder : path, optional
        None: ``SAMNB_CHECKPOINTS``, or the user's data folder, where `load_model` finds them.
    show : bool
        Draw a bar.

    Raises
    ------
    UnknownName
        No model of that name.
    DownloadFailed
        Not there, out of reach, or not what was published.
    """
    if name not in REGISTRY:
        raise UnknownName("model", name, REGISTRY)
    info, place = REGISTRY[name].info, None if folder is None else Path(folder).expanduser()
    if info.bundled:
        return find_checkpoint(info)
    from tqdm.auto import tqdm

    options: Any = {"total": info.size_bytes, "unit": "B", "unit_scale": True, "desc": info.file_name}
    with tqdm(**options, disable=None if show else True) as bar:
        return download_checkpoint(info, place, on_progress=lambda there, total: bar.update(there - bar.n))


def available_models() -> list[ModelInfo]:
    """What `load_model` knows by name, whether or not the weights are on this machine.

    Examples
    --------
    >>> info = available_models()[1]
    >>> info.file_name, info.size_bytes
    ('sam_vit_b_01ec64.pth', 375042383)
    """
    return [_measured(entry.info) if entry.info.bundled else entry.info for entry in REGISTRY.values()]


def model_card(name: str) -> str:
    """What should be known before trusting a model: for the embedded one the card that ships with its weights.

    Raises
    ------
    UnknownName
        No model of that name.

    Examples
    --------
    >>> print(model_card("vit_b").splitlines()[0])
    # vit_b
    """
    if name not in REGISTRY:
        raise UnknownName("model", name, REGISTRY)
    info = REGISTRY[name].info
    if info.bundled:
        return tiny.WEIGHTS.with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    place = installed(info)
    where = f"at {place}" if place else f"not on this machine; it belongs into {checkpoint_folders()[0]}"
    return "\n".join(
        [
            f"# {name}\n\n{info.description}\n",
            f"- weights: {info.file_name}, {info.size_bytes or 0:,} bytes, {where}",
            f"- SHA-256: {info.sha256}",
            f"- source: {info.url}",
            f"- licence: {info.licence}",
        ]
    )


def installed(info: ModelInfo) -> Path | None:
    """Where a model's weights are on this machine, by name and without opening them; None: they are not."""
    try:
        return find_checkpoint(info)
    except CheckpointMissing:
        return None


def _measured(info: ModelInfo) -> ModelInfo:
    weights = open_checkpoint(info, find_checkpoint(info))
    return replace(info, size_bytes=weights.size_bytes, sha256=weights.sha256)
