"""The weight folder of SAM 3, and its three parts: image encoder, click head, and the part that knows words.

The folder is the one of a video model, ``sam3_video``: only that holds the click head too. Each part is built when it
is needed, and only its own tensors are read. Names are compared as a whole first, so that no part runs half loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import CheckpointMismatch, PackageMissing
from ..base import BUILDING
from ..sam.reference import import_segment_anything
from ..weights.checkpoints import WeightFile, opened_tensors
from .families import FamilyConfig
from .roi_align import use_own_roi_align

SIDE = 1008
"""Side of the published net's frame, in pixels."""

_BACKBONE = "detector_model.vision_encoder.backbone."
# Names that differ between versions of transformers: one of the two text encoders, and of files saved by 5.23.
_OTHER_NAMES = (
    (re.compile(r"^detector_model\.text_encoder\.text_model\."), "detector_model.text_encoder."),
    (re.compile(r"^tracker_model\.tracker_model\."), "tracker_model."),
)


class Sam3Config(FamilyConfig):
    """The JSON files of a folder of SAM 3."""

    def _side(self) -> int:
        part: Any = self.raw
        for name in ("detector_config", "vision_config", "backbone_config"):
            part = part.get(name) or {}
        side = part.get("image_size", SIDE)
        return int(side[0] if isinstance(side, list) else side)

    def check_names(self, weights: WeightFile) -> None:
        """Raise `CheckpointMismatch` for SAM 3.1, by the names in the file; imports neither torch nor transformers."""
        renamed = [name for name in _names_in(weights) if ".interactive_" in name]
        if renamed:
            raise CheckpointMismatch(
                f"{weights.path}: is of SAM 3.1: its click head has other names ({', '.join(renamed[:2])}) and would "
                "not be loaded. Give the folder of SAM 3: https://huggingface.co/facebook/sam3."
            )

    def encoder(self, weights: WeightFile) -> Any:
        """The image encoder, without its necks."""
        with self._built(weights) as net:
            return self._filled(net.detector_model.vision_encoder.backbone, _BACKBONE, weights)

    def click_head(self, weights: WeightFile) -> tuple[Any, Any]:
        """The neck of clicks, and the net that answers them; without the image encoder."""
        with self._built(weights) as net:
            from transformers import Sam3TrackerConfig, Sam3TrackerModel

            wanted = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
            parts = {name: getattr(net.config.tracker_config, name).to_dict() for name in wanted}
            for name in wanted[1:]:  # of the video model's classes
                parts[name].pop("model_type")
            head = Sam3TrackerModel(Sam3TrackerConfig(**parts))
            head.vision_encoder = None
            neck = self._filled(net.tracker_neck, "tracker_neck.", weights)
            return neck, self._filled(head, "tracker_model.", weights)

    def detector(self, weights: WeightFile) -> Any:
        """The net that knows words, without the image encoder."""
        with self._built(weights) as net:
            detector = net.detector_model
            detector.vision_encoder.backbone = None
            use_own_roi_align(detector.geometry_encoder)
            return self._filled(detector, "detector_model.", weights)

    def tokenizer(self) -> Any:
        """From text to numbers, by the folder's ``tokenizer.json``."""
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(self.folder, local_files_only=True)

    @contextmanager
    def _built(self, weights: WeightFile) -> Iterator[Any]:
        """The whole net without numbers: no memory is used until a part is filled."""
        with BUILDING:
            import_segment_anything()  # so that torchvision imports beside any torch
            import torch

            try:
                from transformers import Sam3VideoConfig, Sam3VideoModel
                from transformers.initialization import no_init_weights
            except ImportError as error:
                raise PackageMissing("SAM 3", "transformers 5 or later", "huggingface") from error
            with torch.random.fork_rng(devices=[]), no_init_weights():
                net = Sam3VideoModel(Sam3VideoConfig.from_dict(dict(self.raw)))
                self._check_whole(net.state_dict(), weights)
                yield net

    def _check_whole(self, wanted: Iterable[str], weights: WeightFile) -> None:
        weights.check_unchanged()
        expected, there = set(map(_known_name, wanted)), set(map(_known_name, _names_in(weights)))
        if wrong := [
            f"{len(names)} tensors {what} ({', '.join(names[:4])})"
            for what, names in (
                ("of Sam3VideoModel are missing", sorted(expected - there)),
                ("are none of its own", sorted(there - expected)),
            )
            if names
        ]:
            raise CheckpointMismatch(
                f"{weights.path}: {', and '.join(wrong)}. Another net, or another version of it, such as SAM 3.1: give "
                "the folder of SAM 3, or update transformers if the folder is newer."
            )

    def _filled(self, part: Any, prefix: str, weights: WeightFile) -> Any:
        with opened_tensors(weights.path) as file:
            source = {_known_name(name): name for name in file.keys()}  # noqa: SIM118 (no mapping)
            wanted = part.state_dict()
            found = {name: file.get_tensor(source[_known_name(prefix + name)]) for name in wanted}
        wrong = [
            f"{prefix}{name} is {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if found[name].shape != tensor.shape
        ]
        if wrong:
            raise CheckpointMismatch(
                f"{weights.path}: does not fit its config.json: {'; '.join(wrong[:4])}. Take both from one place."
            )
        part.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()},
            assign=True,
        )
        return part.eval().requires_grad_(False)


def _names_in(weights: WeightFile) -> list[str]:
    with opened_tensors(weights.path, "numpy") as file:
        return sorted(file.keys())


def _known_name(name: str) -> str:
    for pattern, becomes in _OTHER_NAMES:
        name = pattern.sub(becomes, name)
    return name
