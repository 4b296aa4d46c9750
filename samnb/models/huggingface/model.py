"""`HuggingFaceSam`: other families through ``transformers``: SAM, SAM-HQ, SAM 2 and 2.1, EdgeTAM, from a weight folder.

Each family has embeddings of its own: SAM one tensor, SAM-HQ a second one from inside its encoder, SAM 2 and EdgeTAM
two finer maps; all of them are kept in one `Embedding`. Images are prepared, and masks scaled up, by the image
processor of the family. Nothing is built and ``transformers`` is not imported until the first call that needs it;
decoding builds the decoder alone, and reads no other tensors from the file.

Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from ..base import BUILDING, LazyTorchModel
from ..batching import on_host
from ..preprocessing import Prepared, check_pixels, input_size_of
from ..sam.reference import import_segment_anything
from ..weights.checkpoints import ModelInfo, WeightFile
from .decoder import FamilyDecoder
from .families import FAMILIES, Family, FamilyConfig

log = logging.getLogger(__name__)


class HuggingFaceSam(LazyTorchModel[FamilyDecoder]):
    """A model of ``transformers``.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
        The file with the tensors; ``config.json`` lies beside it, and the image processor's settings may.
    device, precision : str
        See `LazyTorchModel`.

    Raises
    ------
    CheckpointMismatch
        The folder's ``config.json`` is of another family.
    """

    def __init__(self, info: ModelInfo, weights: WeightFile, *, device: str = "auto", precision: str = "auto"):
        self.family: Family = FAMILIES[info.family]
        self.config = self._read_config(info, weights.path)
        own: dict[str, Any] = {"identity": self.config.identity(weights.sha256), "preparation": self.config.preparation}
        super().__init__(info, weights, device=device, precision=precision, **own)
        self._processor_lock = Lock()
        self._processor: Any = None

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """Check an image, and scale it as the family does; see `LazyTorchModel.prepare`."""
        array: Any = np.asarray(pixels) if isinstance(pixels, Image) and pixels.mode == "RGB" else pixels
        check_pixels(array)
        size = (array.shape[0], array.shape[1])
        with self._errors_of("prepare", size):
            return Prepared(self._scaled(array), size)

    def in_precision(self, precision: str) -> HuggingFaceSam:
        """See `LazyTorchModel.in_precision`."""
        return type(self)(self.info, self.weights, device="cpu", precision=precision)

    @property
    def _chooses(self) -> bool:
        return not self.info.phrases  # of SAM 3, the check would take ten minutes

    def _read_config(self, info: ModelInfo, path: Path) -> FamilyConfig:
        return self.family.read_config(info, path)

    def _input_size(self, prepared: Prepared) -> tuple[int, int]:
        side = self.config.image_size
        return (side, side) if self.family.stretched else input_size_of(prepared.original_size, side)

    def _build_encoder(self) -> Any:
        return self._build(with_encoder=True)

    def _build_decoder(self) -> FamilyDecoder:
        return FamilyDecoder(self._build(with_encoder=False), self.config, self._image_processor, self.device)

    def _scaled(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w, 3) as the family's processor scales it, before normalisation."""
        import torch

        processor = self._image_processor()
        if processor.do_resize and not processor.do_center_crop:
            # The call that the processor makes, but on channels-last pixels: it would sort them by channels first, and
            # that on 12 megapixels takes six times as long as scaling (53 ms and 8).
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
            scaled = processor.resize(image=tensor, size=processor.size, resample=processor.resample)[0]
        else:
            half = {"do_rescale": False, "do_normalize": False, "do_pad": False}
            given = {"return_tensors": "pt", "input_data_format": "channels_last"}
            scaled = processor(images=np.ascontiguousarray(pixels), **given, **half)["pixel_values"][0]
        resized: NDArray[np.uint8] = np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())
        return resized

    def _frames(self, resized: Sequence[NDArray[np.uint8]]) -> Any:
        """(B, 3, side, side) float32 on the device: the remaining steps of the family's processor."""
        import torch

        frames = [torch.from_numpy(one) for one in resized]
        if self.device.startswith("cuda"):
            # pinned memory: the copy runs while the GPU computes
            frames = [one.pin_memory().to(self.device, non_blocking=True) for one in frames]
        return self._image_processor()(
            images=[one.permute(2, 0, 1) for one in frames],
            **{"do_resize": False, "do_center_crop": False, "do_convert_rgb": False},
            **{"return_tensors": "pt", "input_data_format": "channels_first", "device": self.device},
        )["pixel_values"]

    def _encode_batch(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        given = self._encoder.get_image_embeddings(self._frames(resized))
        tensors = {name: on_host(tensor) for name, tensor in self.family.to_tensors(given).items()}
        return [{name: values[place] for name, values in tensors.items()} for place in range(len(resized))]

    def _image_processor(self) -> Any:
        with self._processor_lock:
            if self._processor is None:
                self._processor = self.config.image_processor()
            return self._processor

    def _build(self, *, with_encoder: bool) -> Any:
        """Build the net, with or without its image encoder, from the tensors of the file; draws no initial weights."""
        with BUILDING:
            import_segment_anything()  # so that torchvision imports beside any torch
            import torch

            net_class, config = self.config.net_class(), self.config.net_config()
            with torch.device("meta"):
                net = net_class(config)
            if not with_encoder:
                net.vision_encoder = None
            missing = self.config.fill(net, self.weights)
            if missing:
                net = self._load_by_transformers(net_class, missing, with_encoder=with_encoder)
            return net.eval().requires_grad_(False).to(self.device)

    def _load_by_transformers(self, net_class: Any, missing: list[str], *, with_encoder: bool) -> Any:
        """Load the net by transformers itself, which knows the names of older files; slower, and always whole."""
        import torch

        folder = Path(self.weights.path).parent
        log.info("%s: %d tensors have other names (%s, …); transformers loads it", folder, len(missing), missing[0])
        with torch.random.fork_rng(devices=[]):
            net, loading = net_class.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        if loading["missing_keys"]:
            raise self.config.not_whole(self.weights, sorted(loading["missing_keys"]))
        if not with_encoder:
            net.vision_encoder = None
        return net
