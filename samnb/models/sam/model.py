"""`SamModel`: a `segment_anything` net as a `Model`, its encoder and its decoder built apart and late.

The two halves are the image encoder (nearly all parameters, nearly all time) and prompt encoder + mask decoder.
Decoding a cached embedding builds the second half only. Importing this module imports no torch.

Sizes are (H, W), points (x, y) in image pixels. Numbers are those of ``segment_anything.SamPredictor`` but for
roundings: see `samnb.models.sam.decoder`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...prompts import Embedding, Prediction, Prompt
from ..base import BUILDING, LazyTorchModel
from ..batching import on_host
from ..devices import on_threads
from ..preprocessing import Prepared, normalised, prepare
from ..weights.checkpoints import ModelInfo, WeightFile, check_names
from ..weights.parts import part_of
from .decoder import Decoder
from .fast_decoder import wants_fast_decoder
from .fast_encoder import wants_fast_encoder

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class SamConfig:
    """How the parts of a `segment_anything` net are built; every callable may import torch.

    Parameters
    ----------
    image_size : int
        Side of the model's square input frame, in pixels.
    embedding_shape : (C, h, w)
        Of the image encoder's output for one image.
    image_encoder, prompt_encoder, mask_decoder : callable
        Without arguments, returning a ``torch.nn.Module`` whose state-dict names, with ``image_encoder.`` and so on in
        front, are those of the weight file.
    pixel_mean, pixel_std : (R, G, B)
        On the scale 0 to 255.
    threads : int, optional
        Number of processor threads; None leaves it to torch.
    fused_decoder : callable, optional
        Given the mask decoder with its weights, returns a faster one with the same results, for one prompt in a call.
    bfloat16 : str
        How the image encoder computes in bfloat16 on a CPU where precision "auto" may choose it: "packed" by
        `samnb.models.sam.fast_encoder`, "autocast" by torch; "": it may not.
    """

    image_size: int
    embedding_shape: tuple[int, int, int]
    image_encoder: Callable[[], Any]
    prompt_encoder: Callable[[], Any]
    mask_decoder: Callable[[], Any]
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    threads: int | None = None
    fused_decoder: Callable[[Any], Any] | None = None
    bfloat16: str = ""


class SamModel(LazyTorchModel[Decoder]):
    """A segment-anything model: `encode` an image once, `decode` any number of prompts on its embedding.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
    config : SamConfig
    device, precision : str
        See `LazyTorchModel`.
    fast_attention : bool or None
        The exact, faster image encoder of `samnb.models.sam.fast_encoder`, on a CPU. None: yes, unless
        the environment has ``SAMNB_FAST_ATTENTION=0``.
    fast_decoder : bool or None
        The faster mask decoder and scaling of `samnb.models.sam.fast_decoder` and `samnb.models.upscaling`, or a
        model's own fused decoder. None: yes, unless the environment has ``SAMNB_FAST_DECODER=0``.
    """

    def __init__(
        self,
        info: ModelInfo,
        weights: WeightFile,
        config: SamConfig,
        *,
        device: str = "auto",
        fast_attention: bool | None = None,
        fast_decoder: bool | None = None,
        precision: str = "auto",
    ):
        own: dict[str, Any] = {"identity": weights.sha256, "preparation": f"longest={config.image_size}"}
        super().__init__(info, weights, device=device, precision=precision, threads=config.threads, **own)
        self.config = config
        self._fast_attention, self._fast_decoder = fast_attention, fast_decoder

    @property
    def frame(self) -> int:
        """Side of the square that the net gets, in pixels."""
        return self.config.image_size

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """Check an image, and scale its longer side to the model's; see `LazyTorchModel.prepare`."""
        return prepare(pixels, self.config.image_size)

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
        guidance: NDArray[np.floating[Any]] | None = None,
    ) -> Prediction:
        """Compute masks for one prompt on an encoded image; never builds the image encoder.

        Parameters
        ----------
        embedding, prompt, multimask, mask_input
            See `LazyTorchModel.decode`, also for what is returned and raised.
        guidance : (rows, columns) float, optional
            Above 0, for each cell of the image: what the prompt's attention to it is multiplied by; see
            `guided_attention`.
        """
        if guidance is None:
            return super().decode(embedding, prompt, multimask=multimask, mask_input=mask_input)
        return self._predict(
            embedding,
            prompt,
            lambda decoder: decoder.run_guided(embedding, prompt, multimask, mask_input, guidance),
            needs_prompt=mask_input is None,
        )

    @property
    def _packs(self) -> bool:
        """Whether the faster image encoder has a bfloat16 forward for this net."""
        return self.config.bfloat16 == "packed" and wants_fast_encoder(self._fast_attention)

    @property
    def _chooses(self) -> bool:
        return self._packs or self.config.bfloat16 == "autocast"

    def in_precision(self, precision: str) -> SamModel:
        """A second model of the same weights on the CPU, in that precision."""
        return SamModel(self.info, self.weights, self.config, device="cpu", precision=precision)

    def seconds_of_block(self, precisions: Sequence[str]) -> dict[str, float]:
        """See `LazyTorchModel.seconds_of_block`; where the faster encoder packs its weights, of its first block."""
        if not self._packs:
            return super().seconds_of_block(precisions)
        from .fast_encoder import seconds_of_block

        with self._encoder_lock, on_threads(self.encoder_threads):
            if self._encoder is None:
                self._encoder = self._build_encoder()
            return seconds_of_block(self._encoder, precisions)

    def _computing(self) -> AbstractContextManager[None]:
        # The faster encoder rounds by itself, and only where it does not matter.
        packed = self._packs and self.device == "cpu" and self.precision == "bfloat16"
        return nullcontext() if packed else super()._computing()

    def _encode_batch(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        import torch

        frames = [self._framed(one) for one in resized]
        encoded = on_host(self._encoder(torch.cat(frames) if len(frames) > 1 else frames[0]))
        return [{"image_embedding": tensor} for tensor in encoded]

    def _input_size(self, prepared: Prepared) -> tuple[int, int]:
        return prepared.resized.shape[0], prepared.resized.shape[1]

    def _framed(self, resized: NDArray[np.uint8]) -> Any:
        plan = self.config
        return normalised(resized, plan.image_size, mean=plan.pixel_mean, std=plan.pixel_std, device=self.device)

    def _build_encoder(self) -> Any:
        from .fast_encoder import use_fast_encoder
        from .gpu_attention import use_gpu_attention

        (encoder,) = self._build(image_encoder=self.config.image_encoder)
        if self.device == "cpu" and wants_fast_encoder(self._fast_attention):
            packed = self._packs and self.precision == "bfloat16"
            use_fast_encoder(encoder, precision="bfloat16" if packed else "float32")
        if self.device.startswith("cuda") and wants_fast_encoder(self._fast_attention):
            use_gpu_attention(encoder)
        return encoder

    def _build_decoder(self) -> Decoder:
        plan, fast = self.config, wants_fast_decoder(self._fast_decoder)
        prompts, masks = self._build(prompt_encoder=plan.prompt_encoder, mask_decoder=plan.mask_decoder)
        return Decoder(
            prompts,
            masks,
            image_size=plan.image_size,
            embedding_shape=plan.embedding_shape,
            device=self.device,
            fast=fast,
            fused_decoder=plan.fused_decoder(masks) if fast and plan.fused_decoder is not None else None,
        )

    def _build(self, **builders: Callable[[], Any]) -> list[Any]:
        """Build parts and give each its tensors; parts are named as they are in the weight file."""
        with BUILDING:
            import torch

            with torch.random.fork_rng(devices=[]):
                modules = {part: build() for part, build in builders.items()}
            state = self.weights.read()
            check_names(self.info, self.weights.path, state)
            for part, module in modules.items():
                module.load_state_dict(part_of(self.weights.path, self.name, state, part, module.state_dict()))
                module.eval().requires_grad_(False).to(self.device)
        return list(modules.values())
