"""The families that ``transformers`` provides, and their weight folders, read without importing it.

A folder holds ``model.safetensors`` and ``config.json``, as ``save_pretrained`` writes them, and may hold the image
processor's ``preprocessor_config.json`` or ``processor_config.json``. SAM 2 may be a file of Meta's instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import CheckpointDamaged, CheckpointMismatch
from ...json_files import read_json
from ..weights.checkpoints import META_SAM2, SAM3, TRANSFORMERS, ModelInfo, WeightFile, opened_tensors
from . import meta_checkpoint

FILES = ("model.safetensors", "config.json")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
# Written by transformers at every saving, and without effect on the numbers.
_IGNORED = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")


@dataclass(frozen=True)
class Family:
    """The configuration of one family: its classes, inputs and outputs.

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
        The image fills the square input; else its longest side does, and the rest is padded.
    to_tensors : callable
        From the result of ``get_image_embeddings`` to tensors by name, each with the batch axis.
    to_arguments : callable
        From tensors by name, with the batch axis, to arguments of the net.
    """

    name: str
    net: str
    config: str
    processor: str
    model_types: tuple[str, ...]
    tensors: tuple[str, ...]
    stretched: bool
    to_tensors: Callable[[Any], dict[str, Any]]
    to_arguments: Callable[[Mapping[str, Any]], dict[str, Any]]

    def read_config(self, info: ModelInfo, path: Path) -> FamilyConfig:
        """Read the ``config.json`` beside the file with the tensors; no transformers yet.

        Raises
        ------
        CheckpointDamaged
            It is not JSON.
        CheckpointMismatch
            It is of another family.
        """
        folder = path.parent
        if info.of(path) is not info:
            size = info.name.partition("hiera_")[2]
            return FamilyConfig(self, folder, meta_checkpoint.config_of(size), {}, meta=True)
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
        return FamilyConfig(self, folder, config, own)


@dataclass(frozen=True, eq=False)
class FamilyConfig:
    """The JSON files of a folder, and the objects of ``transformers`` that they describe.

    `meta`: the tensors are in a file of Meta's, and files beside it are ignored.
    """

    family: Family
    folder: Path
    raw: Mapping[str, Any]
    processor: Mapping[str, Any]
    meta: bool = False

    @property
    def image_size(self) -> int:
        """Side of the square frame, in pixels. Raises `CheckpointDamaged` where the JSON files have none."""
        try:
            if (side := self._side()) < 1:
                raise ValueError(f"an image of {side} pixels")
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            files = ", ".join(("config.json", *_PROCESSORS))
            raise CheckpointDamaged(
                f"{self.folder}: {files} do not tell the size of an image ({error}). Fetch them again, with the "
                "weights beside them."
            ) from error
        return side

    def _side(self) -> int:
        own = self.processor.get("image_processor", self.processor).get("size") or {}
        side = own.get("height") or own.get("longest_edge")
        for part in ("vision_config", "prompt_encoder_config"):
            side = side or (self.raw.get(part) or {}).get("image_size")
        return int(side[0] if isinstance(side, list) else side or 1024)

    @property
    def preparation(self) -> str:
        """For an embedding spec: how images are prepared."""
        how = "stretched" if self.family.stretched else "longest"
        return f"{how}={self.image_size}:{'own=' + _digest(self.processor)[:12] if self.processor else 'usual'}"

    def identity(self, sha256: str) -> str:
        """64 hex digits of the weights and of the net's ``config.json``."""
        return hashlib.sha256(f"{sha256} {_digest(self.raw)}".encode()).hexdigest()

    def net_class(self) -> Any:
        """The class of the net; imports transformers."""
        import transformers

        return getattr(transformers, self.family.net)

    def net_config(self) -> Any:
        """``config.json`` as the family's own object; a video model's is read as the image model's."""
        import transformers

        parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config", "initializer_range")
        given = {name: self.raw[name] for name in parts if self.raw.get(name) is not None}
        for part in ("prompt_encoder_config", "mask_decoder_config"):
            if isinstance(given.get(part), dict):
                given[part] = {name: value for name, value in given[part].items() if name != "model_type"}
        return getattr(transformers, self.family.config)(**given)

    def image_processor(self) -> Any:
        """The image processor of the family, with the folder's settings where it has some."""
        from ..sam.reference import import_segment_anything

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
        """Assign the tensors of the file to a net on the meta device, or return the missing names and assign nothing.

        Raises
        ------
        CheckpointMismatch
            Tensors of another shape; in a file of Meta's, also missing or unknown ones.
        """
        weights.check_unchanged()
        wanted = net.state_dict()
        found, missing = self._from_meta(net, weights) if self.meta else _by_name(weights, wanted)
        if missing:
            return missing
        wrong = [
            f"{name} is {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if found[name].shape != tensor.shape
        ]
        if wrong:
            beside, do = (
                ("its model", "Load it under its own name.")
                if self.meta
                else ("its config.json", "Take both from one place.")
            )
            raise CheckpointMismatch(f"{weights.path}: does not fit {beside}: {'; '.join(wrong[:4])}. {do}")
        net.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()},
            assign=True,
        )
        return []

    def _from_meta(self, net: Any, weights: WeightFile) -> tuple[dict[str, Any], list[str]]:
        tensors, wanted = weights.read(inside="model"), net.state_dict()
        found, missing = meta_checkpoint.rename(tensors, wanted)
        if missing:
            raise self.not_whole(weights, missing)
        with_encoder = net.vision_encoder is not None
        if unknown := meta_checkpoint.unknown_names(tensors, wanted, with_encoder=with_encoder):
            raise CheckpointMismatch(
                f"{weights.path}: has {len(unknown)} tensors that SAM 2 as Meta published it does not have "
                f"({', '.join(unknown[:4])}): another net, or another version of it. Give a file that fits, or a "
                "folder as transformers saves it."
            )
        return found, []

    def not_whole(self, weights: WeightFile, missing: list[str]) -> CheckpointMismatch:
        """The error for a file without some tensors of the net."""
        return CheckpointMismatch(
            f"{weights.path}: {len(missing)} tensors of {self.family.net} are missing ({', '.join(missing[:4])}). "
            f"Give a {'file' if self.meta else 'folder'} that has them all."
        )


_TIED = {
    "prompt_encoder.shared_embedding.positional_embedding": "shared_image_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding": "prompt_encoder.shared_embedding.positional_embedding",
}


def _by_name(weights: WeightFile, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The requested tensors of a safetensors file, or the names of the missing ones."""
    with opened_tensors(weights.path) as file:
        there = set(file.keys())
        # Two names for one tensor, of which a file may have either.
        source = {name: name if name in there else _TIED.get(name, name) for name in wanted}
        missing = sorted(name for name, other in source.items() if other not in there)
        return {} if missing else {name: file.get_tensor(other) for name, other in source.items()}, missing


def _json(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
    except ValueError as error:
        raise CheckpointDamaged(
            f"{path}: is not JSON ({error}). Fetch it again, with the weights beside it."
        ) from error
    if not isinstance(values, dict):
        raise CheckpointDamaged(f"{path}: expected a JSON object; got {type(values).__name__}. Fetch it again.")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in values.items() if name not in _IGNORED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


_SAM2: dict[str, Any] = {
    "tensors": ("image_embedding", "high_res_0", "high_res_1"),
    "stretched": True,
    # The coarse one first: it describes what is at each place.
    "to_tensors": lambda given: {"image_embedding": given[2], "high_res_0": given[0], "high_res_1": given[1]},
    "to_arguments": lambda tensors: {
        "image_embeddings": [tensors[name] for name in ("high_res_0", "high_res_1", "image_embedding")]
    },
}
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            *("sam_transformers", "SamModel", "SamConfig", "SamImageProcessor", ("sam",)),
            tensors=("image_embedding",),
            stretched=False,
            to_tensors=lambda given: {"image_embedding": given},
            to_arguments=lambda tensors: {"image_embeddings": tensors["image_embedding"]},
        ),
        Family(
            *("sam_hq", "SamHQModel", "SamHQConfig", "SamImageProcessor", ("sam_hq",)),
            tensors=("image_embedding", "intermediate"),
            stretched=False,
            # Of the encoder's intermediate layers the decoder uses the first only.
            to_tensors=lambda given: {"image_embedding": given[0], "intermediate": given[1][0]},
            to_arguments=lambda tensors: {
                "image_embeddings": tensors["image_embedding"],
                "intermediate_embeddings": [tensors["intermediate"]],
            },
        ),
        Family(*("sam2", "Sam2Model", "Sam2Config", "Sam2ImageProcessor", ("sam2", "sam2_video")), **_SAM2),
        Family(
            *("edgetam", "EdgeTamModel", "EdgeTamConfig", "Sam2ImageProcessor", ("edgetam", "edgetam_video")), **_SAM2
        ),
        # One tensor, before both necks; the three maps that a click needs are made of it when it is decoded.
        Family(
            *("sam3", "Sam3TrackerModel", "Sam3TrackerConfig", "Sam3ImageProcessor", ("sam3_video",)),
            **{**_SAM2, "tensors": ("image_embedding",), "to_tensors": lambda given: {"image_embedding": given}},
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
    source, name = f"facebook/sam{version}-hiera-{words.replace(' ', '-')}", f"sam{version}_hiera_{size}"
    info = _info(name, "sam2", millions, source, f"SAM {version}, {words}")
    bytes_of_file, sha256 = _META_FILES[version][size]
    single = replace(
        info,
        file_name=f"{name}.pt",
        size_bytes=bytes_of_file,
        sha256=sha256,
        url=f"https://dl.fbaipublicfiles.com/segment_anything_2/{_META_RELEASES[version]}/{name}.pt",
        layout=META_SAM2,
        files=(),
        depths={depth: f"sam{version}_hiera_{other}" for depth, other in meta_checkpoint.DEPTHS.items()},
    )
    return replace(info, single=single)


def _sam3() -> ModelInfo:
    words = "SAM 3: finds objects by phrases and by examples, and answers clicks"
    info = _info("sam3", "sam3", 848, "facebook/sam3", words)
    own: dict[str, Any] = {"files": (*FILES, "tokenizer.json"), "layout": SAM3, "phrases": True}
    return replace(info, licence="SAM License", gated=True, **own)


def _sam_hq(letter: str, size: str, millions: float) -> ModelInfo:
    source = f"syscv-community/sam-hq-vit-{size}"
    return _info(f"sam_hq_vit_{letter}", "sam_hq", millions, source, f"SAM-HQ ViT-{letter.upper()}, for fine outlines")


def _sam(size: str, millions: float) -> ModelInfo:
    source, what = f"facebook/sam-vit-{size}", f"Segment Anything, ViT {size}, as transformers runs it"
    return _info(f"sam_vit_{size}", "sam_transformers", millions, source, what)


# Bytes and SHA-256 of Meta's files, as several independent sources list them.
_META_RELEASES = {"2.1": "092824", "2": "072824"}
_META_FILES = {
    "2.1": {
        "tiny": (156008466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
        "small": (184416285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
        "base_plus": (323606802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
        "large": (898083611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
    },
    "2": {
        "tiny": (155906050, "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125"),
        "small": (184309650, "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3"),
        "base_plus": (323493298, "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),
        "large": (897952466, "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b"),
    },
}
_SIZES = (("tiny", 38.9), ("small", 46), ("base_plus", 80.8), ("large", 224.4))
MODELS: tuple[ModelInfo, ...] = (
    *(_sam2(version, size, millions) for version in ("2.1", "2") for size, millions in _SIZES),
    _info("edgetam", "edgetam", 13.9, "yonigozlan/EdgeTAM-hf", "EdgeTAM: SAM 2's decoder, a light encoder", "timm"),
    *(_sam_hq(*which) for which in (("b", "base", 95), ("l", "large", 314), ("h", "huge", 643))),
    _sam3(),
    *(_sam(*which) for which in (("base", 94), ("large", 312), ("huge", 641))),
)
