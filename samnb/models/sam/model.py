"""`TorchSam`: a `segment_anything` net behind the `Model` protocol, its two halves built apart and late.

The halves are the image encoder (nearly all parameters, nearly all time) and prompt encoder + mask decoder. Decoding
a cached embedding builds the second half only. Importing this module imports no torch.

Sizes are (H, W), points (x, y) in image pixels. Numbers are those of ``segment_anything.SamPredictor`` but for
roundings: see `samnb.models.sam.decoder`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CheckpointMismatch, ModelError, PromptError, SamnbError
from ...prompts import Embedding, Prediction, Prompt
from ...settings import read
from ..batching import Batches, on_host
from ..devices import check_device, check_precision, computing_as, decide_precision, on_threads, resolve_device
from ..preprocessing import Prepared, normalised, prepare
from ..proposals import Proposal
from ..weights.checkpoints import ModelInfo, WeightFile, check_names
from .decoder import Answer, Decoder
from .fast_decoder import wants_fast_decoder

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Blueprint", "TorchSam"]

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
        The exact, leaner image encoder of `samnb.models.sam.fast_encoder`, on a CPU. None: yes, unless
        the environment has ``SAMNB_FAST_ATTENTION=0``.
    fast_decoder : bool or None
        The leaner mask decoder and scaling of `samnb.models.sam.fast_decoder` and `samnb.models.upscaling`, or a
        model's own lean decoder. None: yes, unless the environment has ``SAMNB_FAST_DECODER=0``.
    precision : str
        In which the encoder computes: "float32", "float16", "bfloat16", or "auto": what ``SAMNB_PRECISION`` says, else
        float16 on cuda and float32 elsewhere. Each has keys of its own in a cache.
    """

    def __init__(
        self,
        info: ModelInfo,
        weights: WeightFile,
        blueprint: Blueprint,
        *,
        device: str = "auto",
        fast_attention: bool | None = None,
        fast_decoder: bool | None = None,
        precision: str = "auto",
    ):
        self.info, self.weights, self.blueprint = info, weights, blueprint
        self._wanted_device = check_device(device)
        self._device: str | None = None
        asked = read("SAMNB_PRECISION") if check_precision(precision) == "auto" else None
        self._wanted_precision: str = asked or precision
        self._precision: str | None = None
        self._batches = Batches()
        self._fast_attention, self._fast_decoder = fast_attention, fast_decoder
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
        return f"{self.info.family}/1:longest={self.blueprint.image_size}:compute={self.precision}"

    @property
    def precision(self) -> str:
        """In which the encoder computes: ``"float32"``, ``"float16"`` or ``"bfloat16"``."""
        if self._precision is None:
            self._precision = decide_precision(self._wanted_precision, self._wanted_device)
        return self._precision

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"``, … ; the first time imports torch to see what there is."""
        if self._device is None:
            self._device = resolve_device(self._wanted_device)
        return self._device

    @property
    def encoder_threads(self) -> int | None:
        """On how many processor threads the image encoder runs; None: whoever calls it decides."""
        return read("SAMNB_THREADS") or self.blueprint.threads

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
        return self.encode_prepared([self.prepare(pixels)])[0]

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """What can be done for `encode_prepared` without the net, on any thread: check and scale.

        Parameters
        ----------
        pixels : (H, W, 3) uint8, or PIL.Image.Image
            Upright RGB.

        Raises
        ------
        ModelError
            Pixels of another shape or type.
        """
        return prepare(pixels, self.blueprint.image_size)

    def encode_prepared(self, batch: Sequence[Prepared]) -> list[Embedding]:
        """Run the image encoder on several images at once, in smaller batches where the memory is short.

        Raises
        ------
        ModelError, CheckpointError
            As `encode`.
        """
        if not batch:
            return []
        with self._encoding, self._failing("encode", batch[0].original_size):
            import torch

            if self._encoder is None:
                self._encoder = self._build_encoder()
            with (
                torch.inference_mode(),
                on_threads(self.encoder_threads),
                computing_as(self.precision, self.device),
            ):
                tensors = self._batches.run(self._encode_frames, [one.resized for one in batch])
            self._encodes += len(batch)
        return [
            Embedding({"image_embedding": tensor}, one.original_size, one.resized.shape[:2])
            for one, tensor in zip(batch, tensors, strict=True)
        ]

    def _encode_frames(self, resized: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        import torch

        frames = [self._framed(one) for one in resized]
        return on_host(self._encoder(torch.cat(frames) if len(frames) > 1 else frames[0]))

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
        guidance: NDArray[np.floating[Any]] | None = None,
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
        guidance : (rows, columns) float, optional
            Above 0, for each cell of the image: what the prompt's attention to it is multiplied by; see `guided`.

        Returns
        -------
        Prediction
            `masks` (N, H, W) bool, `scores` (N,) float32, `low_res_logits` (N, h, w) float32. The mask with the highest
            score is there; the others are made when they are asked for.

        Raises
        ------
        PromptError
            An empty prompt, one outside the image, or a `mask_input` of another shape.
        ModelError
            The embedding is not this model's, or a failure in torch (its error is the cause).
        """
        started = time.perf_counter()
        if mask_input is None or prompt:
            _check(prompt, embedding)
        with self._failing("decode", embedding.original_size):
            with self._ready() as decoder:
                logits, scores = decoder.run(embedding, prompt, multimask, mask_input, guidance)
            masks: Any = decoder.masks_of(logits, embedding)
            masks.one(int(np.argmax(scores)))
        ms = (time.perf_counter() - started) * 1000
        return Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint)

    def decode_many(self, pairs: Sequence[tuple[Embedding, Prompt]], *, multimask: bool = True) -> list[Prediction]:
        """What `decode` answers to each pair, a few at a time; masks are made when they are asked for.

        Prompts of the same shape (as many points, a box or none) are answered in one call, and none is padded: answers
        differ from those of `decode` by roundings only. A click on another thread waits for one such call at most.

        Parameters
        ----------
        pairs : sequence of (Embedding, Prompt)
            Any images, any prompts, in any order.
        multimask : bool
            Three candidates each, or one.

        Returns
        -------
        list of Prediction
            In the order of `pairs`; `ms` is the time a prompt took on average.

        Raises
        ------
        PromptError, ModelError
            As `decode`.

        Examples
        --------
        >>> import numpy as np
        >>> from samnb.models import load_model
        >>> model = load_model("tiny")
        >>> embedding = model.encode(np.zeros((60, 80, 3), np.uint8))
        >>> clicks = [Prompt.of(points=[(x, 30)]) for x in (20, 40, 60)]
        >>> [prediction.masks.shape for prediction in model.decode_many([(embedding, click) for click in clicks])]
        [(3, 60, 80), (3, 60, 80), (3, 60, 80)]
        """
        started = time.perf_counter()
        decoder, answers = self._answers(pairs, multimask)
        ms = (time.perf_counter() - started) * 1000 / max(1, len(pairs))
        predictions = []
        for (embedding, prompt), (logits, scores) in zip(pairs, answers, strict=True):
            masks: Any = decoder.masks_of(logits, embedding)
            predictions.append(Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint))
        return predictions

    def propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Proposal]:
        """Candidate masks of many prompts on one image, scaled up only when they are asked for; see `decode_many`.

        Parameters
        ----------
        embedding : Embedding
            As for `decode`.
        prompts : sequence of Prompt

        Raises
        ------
        PromptError, ModelError
            As `decode`.
        """
        decoder, answers = self._answers([(embedding, prompt) for prompt in prompts], True)
        return [
            Proposal(
                prompt,
                scores,
                decoder.small_masks(logits, embedding),
                decoder.full_masks(logits, embedding),
                logits=logits.__getitem__,
            )
            for prompt, (logits, scores) in zip(prompts, answers, strict=True)
        ]

    def _answers(self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool) -> tuple[Decoder, list[Answer]]:
        for embedding, prompt in pairs:
            _check(prompt, embedding)
        answers: dict[int, Answer] = {}
        decoder = self._built()
        portions, at_once = list(decoder.portions(pairs)), decoder.workers
        for start in range(0, len(portions), at_once):
            some = portions[start : start + at_once]
            asked = [[pairs[number] for number in numbers] for numbers in some]
            with self._failing("decode", asked[0][0][0].original_size), self._ready():
                for numbers, found in zip(some, decoder.run_beside(asked, multimask), strict=True):
                    answers.update(zip(numbers, found, strict=True))
        return decoder, [answers[number] for number in range(len(pairs))]

    def _built(self) -> Decoder:
        with self._decoding:
            if self._decoder is None:
                self._decoder = self._build_decoder()
            return self._decoder

    @contextmanager
    def _ready(self) -> Iterator[Decoder]:
        """The decoder, built and for this thread alone."""
        with self._decoding:
            import torch

            decoder = self._built()
            with torch.inference_mode(), on_threads(self.blueprint.threads or decoder.threads):
                yield decoder

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
        from .fast_encoder import use_fast_encoder, wants_fast_encoder
        from .gpu_attention import use_gpu_attention

        (encoder,) = self._build(image_encoder=self.blueprint.image_encoder)
        if self.device == "cpu" and wants_fast_encoder(self._fast_attention):
            use_fast_encoder(encoder)
        if self.device.startswith("cuda") and wants_fast_encoder(self._fast_attention):
            use_gpu_attention(encoder)
        return encoder

    def _build_decoder(self) -> Decoder:
        plan, fast = self.blueprint, wants_fast_decoder(self._fast_decoder)
        prompts, masks = self._build(prompt_encoder=plan.prompt_encoder, mask_decoder=plan.mask_decoder)
        return Decoder(
            prompts,
            plan.lean_decoder(masks) if fast and plan.lean_decoder is not None else masks,
            image_size=plan.image_size,
            embedding_shape=plan.embedding_shape,
            device=self.device,
            fast=fast,
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


def _check(prompt: Prompt, embedding: Embedding) -> None:
    if not prompt:
        raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
    prompt.check_inside(embedding.original_size)


def _some(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{len(names)} {what} ({', '.join(names[:4])}{more})"
