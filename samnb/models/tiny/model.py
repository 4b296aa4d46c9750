"""`LiteModel`: the embedded net as a `Model`. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base import BUILDING, LazyTorchModel
from ..batching import on_host
from ..preprocessing import Prepared, normalised, prepare
from ..weights.checkpoints import ModelInfo, WeightFile
from ..weights.parts import part_of
from .config import CROP_CELLS, ENTRY_VERSION, FRAME, PIXEL_MEAN, PIXEL_SCALE
from .decoder import Decoder

if TYPE_CHECKING:
    from PIL.Image import Image

MARK = "image_encoder.backbone.stem.weight"
"""A tensor that only weight files of this net have."""


class LiteModel(LazyTorchModel[Decoder]):
    """EfficientNet-Lite0 with a decoder in two passes: `encode` an image once, `decode` any number of prompts on it.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
    device, precision : str
        See `LazyTorchModel`.
    refine : bool
        Whether the second pass is taken; without it masks are coarser and sooner there.
    frame : int
        Side of the square that an image is scaled to, in pixels; a multiple of 32.
    cells : int
        Side of the crops that the second pass looks at, in cells; even.
    """

    def __init__(
        self,
        info: ModelInfo,
        weights: WeightFile,
        *,
        device: str = "auto",
        precision: str = "auto",
        refine: bool = True,
        frame: int = FRAME,
        cells: int = CROP_CELLS,
    ):
        own: dict[str, Any] = {"identity": weights.sha256, "preparation": f"longest={frame}/{ENTRY_VERSION}"}
        super().__init__(info, weights, device=device, precision=precision, threads=1, **own)
        self.refine, self.frame, self.cells = refine, frame, cells

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """Check an image, and scale its longer side to the frame; see `LazyTorchModel.prepare`."""
        return prepare(pixels, self.frame)

    def in_precision(self, precision: str) -> LiteModel:
        """See `LazyTorchModel.in_precision`."""
        sizes: Any = {"refine": self.refine, "frame": self.frame, "cells": self.cells}
        return LiteModel(self.info, self.weights, device="cpu", precision=precision, **sizes)

    def _encode_batch(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        import torch

        options: Any = {"mean": (PIXEL_MEAN,) * 3, "std": (PIXEL_SCALE,) * 3, "device": self.device}
        entry = self._encoder(torch.cat([normalised(one, self.frame, **options) for one in resized]))
        names, maps = list(entry), [on_host(tensor) for tensor in entry.values()]
        return [dict(zip(names, tensors, strict=True)) for tensors in zip(*maps, strict=True)]

    def _input_size(self, prepared: Prepared) -> tuple[int, int]:
        return prepared.resized.shape[0], prepared.resized.shape[1]

    def _build_encoder(self) -> Any:
        from .image_encoder import ImageEncoder

        return self._build("image_encoder", ImageEncoder)

    def _build_decoder(self) -> Decoder:
        from .mask_decoder import MaskDecoder

        net = self._build("decoder", MaskDecoder)
        net.crop_pass.cells = self.cells
        return Decoder(net, frame=self.frame, refine=self.refine, device=self.device)

    def _build(self, part: str, net: Any) -> Any:
        """Build a part and give it its tensors, which are named ``<part>.…`` in the weight file."""
        from .layers import fold_norms

        with BUILDING:
            import torch

            with torch.random.fork_rng(devices=[]):
                module = net()
            expected = {n: v for n, v in module.state_dict().items() if not n.endswith("num_batches_tracked")}
            state = part_of(self.weights.path, self.name, self.weights.read(), part, expected)
            module.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
            return fold_norms(module.eval()).requires_grad_(False).to(self.device)


def is_lite_file(path: Path) -> bool:
    """Whether a weight file is of this net, and not of the other embedded one; reads names only, without torch."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return MARK in file.keys()  # noqa: SIM118
    except (OSError, SafetensorError):
        return False
