"""`TorchSam`: a `segment_anything` net behind the `Model` protocol, its two halves built apart and late.

The halves are the image encoder (nearly all parameters, nearly all time) and prompt encoder + mask decoder. Decoding
a cached embedding builds the second half only. Importing this module imports no torch.

Sizes are (H, W), points (x, y) in image pixels. Numbers are those of ``segment_anything.SamPredictor``, bit for bit
on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointMismatch, ModelError, PromptError, SamnbError
from ..prompts import Embedding, Prediction, Prompt
from ..proposals import Proposal, proposer
from .checkpoints import ModelInfo, WeightFile, check_names
from .decoder import Decoder
from .devices import check_device, on_threads, resolve_device
from .frame import check_pixels, normalised, resize_longest_side

__all__ = ["Blueprint", "TorchSam"]

AT_ONCE = 8
"""Prompts in one call of the decoder: more hardly go faster, and take memory."""

# Building draws random initial weights and may import torch: one net at a time, in the whole process.
_building = Lock()


@dataclass(frozen=True)
class Blueprint:
    """How to build the parts of a `segment_anything` net; every callable may import torch.

    Parameters
    ----------
    image_size : int
        Side of the model's square input frame, in pixels.
    embedding_shape : (C, h, w)
        Of what the image encoder gives for one image.
    image_encoder, prompt_encoder, mask_decoder : callable
        Without arguments, giving a ``torch.nn.Module`` whose state-dict names, with ``image_encoder.`` and so on in
        front, are those of the weight file.
    pixel_mean, pixel_std : (R, G, B)
        On the scale 0 to 255.
    threads : int, optional
        How many processor threads it runs on; None leaves torch's own choice.
    quick_masks : bool
        Scale masks up with OpenCV, which is quicker than torch and rounds a little differently.
    lean_decoder : callable, optional
        Given the mask decoder with its weights, makes what answers prompts in its stead: the same answers, sooner.
    """

    image_size: int
    embedding_shape: tuple[int, int, int]
    image_encoder: Callable[[], Any]
    prompt_encoder: Callable[[], Any]
    mask_decoder: Callable[[], Any]
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    threads: int | None = None
    quick_masks: bool = False
    lean_decoder: Callable[[Any], Any] | None = None


class TorchSam:
    """A segment-anything model: `encode` an image once, `decode` any number of prompts on its embedding.

    Nothing is built and torch is not imported until the first call that needs it. May be used from several
    threads: each half has its own lock, so that a click does not wait for another image's encoding.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
    blueprint : Blueprint
    device : str
        ``"auto"`` (cuda, else mps, else cpu), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    fast_attention : bool or None
        The exact, leaner attention of `samnb.models.attention` in the encoder, on a CPU. None: yes, unless
        the environment has ``SAMNB_FAST_ATTENTION=0``.
    """

    def __init__(
        self,
        info: ModelInfo,
        weights: WeightFile,
        blueprint: Blueprint,
        *,
        device: str = "auto",
        fast_attention: bool | None = None,
    ):
        self.info, self.weights, self.blueprint = info, weights, blueprint
        self._wanted_device = check_device(device)
        self._device: str | None = None
        self._fast_attention = fast_attention
        self._encoding, self._decoding = RLock(), RLock()
        self._encoder: Any = None
        self._decoder: Decoder | None = None
        self._encodes = 0

    @property
    def name(self) -> str:
        """The registry's name."""
        return self.info.name

    @property
    def fingerprint(self) -> str:
        """``<family>-<SHA-256 of the weight file>``."""
        return f"{self.info.family}-{self.weights.sha256}"

    @property
    def recipe(self) -> str:
        """What else an embedding depends on: preprocessing, its version, and the precision of computing."""
        return f"{self.info.family}/1:longest={self.blueprint.image_size}:compute=float32"

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"``, … ; the first time imports torch to see what there is."""
        if self._device is None:
            self._device = resolve_device(self._wanted_device)
        return self._device

    @property
    def encoder_built(self) -> bool:
        """False until the first `encode`."""
        return self._encoder is not None

    @property
    def encodes(self) -> int:
        """How many images this object has encoded."""
        return self._encodes

    def __repr__(self) -> str:
        where = self._device or self._wanted_device
        return f"<TorchSam {self.name} on {where}, encoded {self._encodes}, {self.fingerprint[:24]}…>"

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Run the image encoder on one picture.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            Upright RGB.

        Returns
        -------
        Embedding
            With one tensor, ``image_embedding``, (C, h, w) float32.

        Raises
        ------
        ModelError
            Pixels of another shape or type, or a failure in torch (its error is the cause).
        CheckpointError
            The weights turned out not to fit, at the first call.
        """
        check_pixels(pixels)
        resized = resize_longest_side(pixels, self.blueprint.image_size)
        with self._encoding, self._failing("encode", pixels.shape):
            import torch

            if self._encoder is None:
                self._encoder = self._build_encoder()
            with torch.inference_mode(), on_threads(self.blueprint.threads):
                tensor = self._encoder(self._framed(resized))[0].float().cpu().numpy()
            self._encodes += 1
        height, width = pixels.shape[:2]
        return Embedding({"image_embedding": np.ascontiguousarray(tensor)}, (height, width), resized.shape[:2])

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
    ) -> Prediction:
        """Masks for one prompt on an encoded image; never builds the image encoder.

        Parameters
        ----------
        embedding : Embedding
            From `encode` of a model with the same fingerprint; float16 tensors are fine.
        prompt : Prompt
            In image pixels.
        multimask : bool
            Three candidates, or one.
        mask_input : (h, w) or (1, h, w) float
            One of the `low_res_logits` of an earlier prediction, to be refined.

        Returns
        -------
        Prediction
            `masks` (N, H, W) bool, `scores` (N,) float32, `low_res_logits` (N, h, w) float32.

        Raises
        ------
        PromptError
            An empty prompt, one outside the image, or a `mask_input` of another shape.
        ModelError
            The embedding is not this model's, or a failure in torch (its error is the cause).
        """
        started = time.perf_counter()
        if not prompt and mask_input is None:
            raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
        prompt.check_inside(embedding.original_size)
        with self._decoding, self._failing("decode", embedding.original_size):
            import torch

            if self._decoder is None:
                self._decoder = self._build_decoder()
            with torch.inference_mode(), on_threads(self.blueprint.threads):
                masks, scores, logits = self._decoder.run(embedding, prompt, multimask, mask_input)
        ms = (time.perf_counter() - started) * 1000
        return Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint)

    def propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Proposal]:
        """Candidate masks of prompts with one point each, a few at a time, scaled up only when they are asked for.

        The masks are those of `decode`, but for the last digits of their logits.

        Parameters
        ----------
        embedding : Embedding
            As for `decode`.
        prompts : sequence of Prompt
            Others than single points are decoded one after the other.

        Raises
        ------
        PromptError, ModelError
            As `decode`.
        """
        if any(len(prompt.points) != 1 or prompt.box is not None for prompt in prompts):
            return proposer(self.decode)(embedding, prompts)
        proposals: list[Proposal] = []
        for start in range(0, len(prompts), AT_ONCE):
            proposals += self._propose(embedding, prompts[start : start + AT_ONCE])
        return proposals

    def _propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Proposal]:
        for prompt in prompts:
            prompt.check_inside(embedding.original_size)
        with self._decoding, self._failing("decode", embedding.original_size):
            import torch

            if self._decoder is None:
                self._decoder = self._build_decoder()
            decoder = self._decoder
            with torch.inference_mode(), on_threads(self.blueprint.threads):
                logits, scores = decoder.run_many(embedding, prompts)
                small = decoder.small_masks(logits, embedding)

        def full(number: int, index: int) -> NDArray[np.bool_]:
            with self._decoding, torch.inference_mode(), on_threads(self.blueprint.threads):
                return decoder.mask_of(logits[number, index], embedding)

        return [Proposal(prompt, scores[n], small[n], partial(full, n)) for n, prompt in enumerate(prompts)]

    @contextmanager
    def _failing(self, verb: str, size: tuple[int, ...]) -> Iterator[None]:
        try:
            yield
        except (SamnbError, ImportError):
            raise
        except Exception as error:
            raise ModelError(
                f"{self.name} on {self._device or self._wanted_device} failed to {verb} an image of "
                f"{size[0]} x {size[1]} (H x W): {type(error).__name__}: {error}"
            ) from error

    def _framed(self, resized: NDArray[np.uint8]) -> Any:
        plan = self.blueprint
        return normalised(resized, plan.image_size, mean=plan.pixel_mean, std=plan.pixel_std, device=self.device)

    def _build_encoder(self) -> Any:
        from .attention import use_fast_attention, wants_fast_attention

        (encoder,) = self._build(image_encoder=self.blueprint.image_encoder)
        if self.device == "cpu" and wants_fast_attention(self._fast_attention):
            use_fast_attention(encoder)
        return encoder

    def _build_decoder(self) -> Decoder:
        plan = self.blueprint
        prompts, masks = self._build(prompt_encoder=plan.prompt_encoder, mask_decoder=plan.mask_decoder)
        return Decoder(
            prompts,
            masks if plan.lean_decoder is None else plan.lean_decoder(masks),
            image_size=plan.image_size,
            embedding_shape=plan.embedding_shape,
            device=self.device,
            quick_masks=plan.quick_masks,
        )

    def _build(self, **builders: Callable[[], Any]) -> list[Any]:
        """Build parts and give each its tensors; parts are named as they are in the weight file."""
        with _building:
            import torch

            with torch.random.fork_rng(devices=[]):
                modules = {part: build() for part, build in builders.items()}
            state = self.weights.read()
            check_names(self.info, self.weights.path, state)
            for part, module in modules.items():
                module.load_state_dict(self._part_of(state, part, module.state_dict()))
                module.eval().requires_grad_(False).to(self.device)
        return list(modules.values())

    def _part_of(self, state: Mapping[str, Any], part: str, expected: Mapping[str, Any]) -> dict[str, Any]:
        prefix = part + "."
        found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
        wrong = [
            f"{prefix}{name} is {tuple(found[name].shape)}, expected {shape}"
            for name, shape in shapes.items()
            if name in found and tuple(found[name].shape) != shape
        ]
        problems = [
            _some("missing", [prefix + name for name in shapes if name not in found]),
            _some("unexpected", [prefix + name for name in found if name not in shapes]),
            _some("of another shape", wrong),
        ]
        if any(problems):
            raise CheckpointMismatch(
                f"{self.weights.path}: does not hold the weights of {self.name}: {'; '.join(filter(None, problems))}. "
                "Give the checkpoint of this model, or load this one under its own name."
            )
        return found


def _some(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{len(names)} {what} ({', '.join(names[:4])}{more})"
