"""The families that ``transformers`` brings: their names, and what is read of a folder of weights without importing it.

A folder holds ``model.safetensors`` and ``config.json``, as ``save_pretrained`` writes them, and may hold the image
processor's ``preprocessor_config.json`` or ``processor_config.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointDamaged, CheckpointMismatch
from .checkpoints import TRANSFORMERS, ModelInfo, WeightFile

__all__ = ["FAMILIES", "MODELS", "Family", "Settings"]

FILES = ("model.safetensors", "config.json")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
# Written by transformers at every saving, and without a meaning for the numbers.
_IDLE = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")


@dataclass(frozen=True)
class Family:
    """How one family is built and fed.

    Parameters
    ----------
    name : str
    net, config, processor : str
        Classes of ``transformers``.
    model_types : tuple of str
        Of ``config.json``: a video model's file holds the image model too.
    tensors : tuple of str
        Of its embeddings.
    stretched : bool
        The picture fills the square frame; else its longest side does, and the rest is padded.
    kept : callable
        From what ``get_image_embeddings`` gives for one picture to tensors by name, without the batch axis.
    arguments : callable
        From tensors by name, with the batch axis, to what the net is called with.
    """

    name: str
    net: str
    config: str
    processor: str
    model_types: tuple[str, ...]
    tensors: tuple[str, ...]
    stretched: bool
    kept: Callable[[Any], dict[str, Any]]
    arguments: Callable[[Mapping[str, Any]], dict[str, Any]]

    def settings(self, info: ModelInfo, folder: Path) -> Settings:
        """Read ``config.json``; no transformers yet.

        Raises
        ------
        CheckpointDamaged
            It is not JSON.
        CheckpointMismatch
            It is of another family.
        """
        config = _json(folder / "config.json")
        found = config.get("model_type")
        if found not in self.model_types:
            known = next((family for family in FAMILIES.values() if found in family.model_types), None)
            of = f"of the family {known.name}" if known else "of no family known here"
            raise CheckpointMismatch(
                f"{folder / 'config.json'}: has model_type {found!r}, {of}; expected {' or '.join(self.model_types)} "
                f"for {info.name!r}. Load it under a name of its own family: samnb models."
            )
        own = next((_json(folder / name) for name in _PROCESSORS if (folder / name).is_file()), {})
        return Settings(self, folder, config, own)


@dataclass(frozen=True, eq=False)
class Settings:
    """What the JSON files of a folder say, and what is made of it with ``transformers``."""

    family: Family
    folder: Path
    raw: Mapping[str, Any]
    processor: Mapping[str, Any]

    @property
    def image_size(self) -> int:
        """Side of the square frame, in pixels."""
        own = self.processor.get("image_processor", self.processor).get("size") or {}
        side = own.get("height") or own.get("longest_edge")
        for part in ("vision_config", "prompt_encoder_config"):
            side = side or (self.raw.get(part) or {}).get("image_size")
        return int(side[0] if isinstance(side, list) else side or 1024)

    @property
    def preparation(self) -> str:
        """For a recipe: how pictures are prepared."""
        how = "stretched" if self.family.stretched else "longest"
        return f"{how}={self.image_size}:{'own=' + _digest(self.processor)[:12] if self.processor else 'usual'}"

    def identity(self, sha256: str) -> str:
        """64 hex digits of the weights and of what ``config.json`` says of the net."""
        return hashlib.sha256(f"{sha256} {_digest(self.raw)}".encode()).hexdigest()

    def net_class(self) -> Any:
        """The class of the net; imports transformers."""
        import transformers

        return getattr(transformers, self.family.net)

    def config(self) -> Any:
        """``config.json`` as the family's own object; a video model's is read as the image model's."""
        import transformers

        parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config", "initializer_range")
        given = {name: self.raw[name] for name in parts if self.raw.get(name) is not None}
        for part in ("prompt_encoder_config", "mask_decoder_config"):
            if isinstance(given.get(part), dict):
                given[part] = {name: value for name, value in given[part].items() if name != "model_type"}
        return getattr(transformers, self.family.config)(**given)

    def image_processor(self) -> Any:
        """The family's own, with the folder's settings where it has some."""
        from .reference import import_segment_anything

        import_segment_anything()  # so that torchvision imports beside any torch
        import transformers

        processor = getattr(transformers, self.family.processor)
        if self.processor:
            return processor.from_pretrained(self.folder, local_files_only=True)
        side = self.image_size
        square = {"height": side, "width": side}
        return (
            processor(size=square) if self.family.stretched else processor(size={"longest_edge": side}, pad_size=square)
        )

    def fill(self, net: Any, weights: WeightFile) -> list[str]:
        """Give a net without memory its tensors from the file; names that are not there, and then nothing is given.

        Raises
        ------
        CheckpointMismatch
            Tensors of another shape.
        """
        weights.check_unchanged()
        from safetensors import safe_open

        wanted = net.state_dict()
        with safe_open(weights.path, framework="pt") as file:
            there = set(file.keys())
            # Two names for one tensor, of which a file may have either.
            source = {name: name if name in there else _TIED.get(name, name) for name in wanted}
            lacking = sorted(name for name, other in source.items() if other not in there)
            if lacking:
                return lacking
            found = {name: file.get_tensor(other) for name, other in source.items()}
        wrong = [
            f"{name} is {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if found[name].shape != tensor.shape
        ]
        if wrong:
            raise CheckpointMismatch(
                f"{weights.path}: does not fit its config.json: {'; '.join(wrong[:4])}. Take both from one place."
            )
        net.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()},
            assign=True,
        )
        return []

    def not_whole(self, weights: WeightFile, missing: list[str]) -> CheckpointMismatch:
        """The error for a file without some tensors of the net."""
        return CheckpointMismatch(
            f"{weights.path}: {len(missing)} tensors of {self.family.net} are missing ({', '.join(missing[:4])}). "
            "Give a folder that has them all."
        )


_TIED = {
    "prompt_encoder.shared_embedding.positional_embedding": "shared_image_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding": "prompt_encoder.shared_embedding.positional_embedding",
}


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointDamaged(
            f"{path}: is not JSON ({error}). Fetch it again, with the weights beside it."
        ) from error
    if not isinstance(values, dict):
        raise CheckpointDamaged(f"{path}: expected a JSON object; got {type(values).__name__}. Fetch it again.")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in values.items() if name not in _IDLE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _one(given: Any) -> dict[str, Any]:
    return {"image_embedding": given[0]}


def _two(given: Any) -> dict[str, Any]:
    # Of the encoder's intermediate layers the decoder looks at the first only.
    return {"image_embedding": given[0][0], "intermediate": given[1][0][0]}


def _three(given: Any) -> dict[str, Any]:
    # The coarse one first: it is the one that says what a place looks like.
    return {"image_embedding": given[2][0], "high_res_0": given[0][0], "high_res_1": given[1][0]}


def _of_one(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {"image_embeddings": tensors["image_embedding"]}


def _of_two(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {"image_embeddings": tensors["image_embedding"], "intermediate_embeddings": [tensors["intermediate"]]}


def _of_three(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {"image_embeddings": [tensors[name] for name in ("high_res_0", "high_res_1", "image_embedding")]}


_THREE = ("image_embedding", "high_res_0", "high_res_1")
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            *("sam_transformers", "SamModel", "SamConfig", "SamImageProcessor", ("sam",)),
            *(("image_embedding",), False, _one, _of_one),
        ),
        Family(
            *("sam_hq", "SamHQModel", "SamHQConfig", "SamImageProcessor", ("sam_hq",)),
            *(("image_embedding", "intermediate"), False, _two, _of_two),
        ),
        Family(
            *("sam2", "Sam2Model", "Sam2Config", "Sam2ImageProcessor", ("sam2", "sam2_video")),
            *(_THREE, True, _three, _of_three),
        ),
        Family(
            *("edgetam", "EdgeTamModel", "EdgeTamConfig", "Sam2ImageProcessor", ("edgetam", "edgetam_video")),
            *(_THREE, True, _three, _of_three),
        ),
    )
}
"""By the name of the family."""


def _info(name: str, family: str, millions: float, source: str, description: str, *more: str) -> ModelInfo:
    return ModelInfo(
        name=name,
        family=family,
        file_name=name,
        size_bytes=None,
        sha256=None,
        bundled=False,
        description=f"{description}; {millions:g} M parameters.",
        url=f"https://huggingface.co/{source}",
        layout=TRANSFORMERS,
        files=FILES,
        packages=("transformers", *more),
        extra="huggingface",
        parameters=round(millions * 1e6),
    )


def _sam2(version: str, size: str, millions: float) -> ModelInfo:
    words = size.replace("_", " ")
    source = f"facebook/sam{version}-hiera-{words.replace(' ', '-')}"
    return _info(f"sam{version}_hiera_{size}", "sam2", millions, source, f"SAM {version}, {words}")


def _sam_hq(letter: str, size: str, millions: float) -> ModelInfo:
    source = f"syscv-community/sam-hq-vit-{size}"
    return _info(f"sam_hq_vit_{letter}", "sam_hq", millions, source, f"SAM-HQ ViT-{letter.upper()}, for fine outlines")


def _sam(size: str, millions: float) -> ModelInfo:
    source, what = f"facebook/sam-vit-{size}", f"Segment Anything, ViT {size}, as transformers runs it"
    return _info(f"sam_vit_{size}", "sam_transformers", millions, source, what)


_SIZES = (("tiny", 38.9), ("small", 46), ("base_plus", 80.8), ("large", 224.4))
MODELS: tuple[ModelInfo, ...] = (
    *(_sam2(version, size, millions) for version in ("2.1", "2") for size, millions in _SIZES),
    _info("edgetam", "edgetam", 13.9, "yonigozlan/EdgeTAM-hf", "EdgeTAM: SAM 2's decoder, a light encoder", "timm"),
    *(_sam_hq(*which) for which in (("b", "base", 95), ("l", "large", 314), ("h", "huge", 643))),
    *(_sam(*which) for which in (("base", 94), ("large", 312), ("huge", 641))),
)
