"""`LazyTorchModel`: what the models that run on torch share: device, precision, locks, encoding and decoding.

Importing this module imports no torch. Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, PromptError, SamnbError
from ..prompts import Embedding, Prediction, Prompt
from ..settings import setting
from .batching import Batches, is_out_of_memory
from .candidates import Candidates
from .core_budget import taking_cores
from .decoding import MAX_WORKERS, Answer, BatchedDecoder
from .devices import (
    check_device,
    check_precision,
    check_room_for_torch,
    computing_as,
    decide_precision,
    has_bfloat16,
    on_threads,
    processors,
    resolve_device,
)
from .precision_check import checked, drawn_picture
from .preprocessing import Prepared
from .weights.checkpoints import ModelInfo, WeightFile

if TYPE_CHECKING:
    from PIL.Image import Image


BUILDING = Lock()
"""Held while a net is built, which draws random initial weights and may import torch: one at a time in a process."""

BATCHES_IN_A_TURN = 4
"""Batches that each worker decodes before a click on another thread has its turn."""

DecoderT = TypeVar("DecoderT", bound=BatchedDecoder)


class LazyTorchModel(ABC, Generic[DecoderT]):
    """A model whose encoder and decoder are built by the first call that needs them.

    torch is imported by that call too. May be used from several threads: each half has its own lock, so that a click
    does not wait for another image's encoding.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
    device : str
        ``"auto"`` (cuda, else mps, else cpu), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : str
        Of the encoder: "float32", "float16", "bfloat16", or "auto": the one ``SAMNB_PRECISION`` names, else float16 on
        cuda and float32 elsewhere, unless a family chooses by a check. Each has keys of its own in a cache.
    identity : str
        64 hex digits of the weights, for the fingerprint.
    preparation : str
        How images are prepared, for the embedding spec.
    threads : int, optional
        Number of processor threads that suits the net; None for no preference.
    """

    def __init__(
        self,
        info: ModelInfo,
        weights: WeightFile,
        *,
        device: str,
        precision: str,
        identity: str,
        preparation: str,
        threads: int | None = None,
    ):
        self.info, self.weights = info, weights
        self._identity, self._preparation, self._own_threads = identity, preparation, threads
        self._requested_device = check_device(device)
        self._device: str | None = None
        configured = setting("SAMNB_PRECISION") if check_precision(precision) == "auto" else None
        self._requested_precision: str = configured or precision
        self._precision: str | None = None
        self.precision_reason = ""
        """Why it is this precision, where "auto" chose between several; see `precision`."""
        self._batches = Batches()
        self._encoder_lock, self._decoder_lock, self._precision_lock = RLock(), RLock(), RLock()
        self._encoder: Any = None
        self._decoder: DecoderT | None = None
        self._encodes = 0

    # -- what a family has of its own ---------------------------------------------------------------------

    @abstractmethod
    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """Check and scale an image for `encode_prepared`, without the net, on any thread.

        Parameters
        ----------
        pixels : (H, W, 3) uint8, or PIL.Image.Image
            Upright RGB.

        Raises
        ------
        ModelError
            Pixels of another shape or type, or a failure in transformers (its error is the cause).
        """

    @abstractmethod
    def _build_encoder(self) -> Any: ...

    @abstractmethod
    def _build_decoder(self) -> DecoderT: ...

    @abstractmethod
    def _encode_batch(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        """Run the net on prepared images: the tensors of each embedding, by name."""

    def _computing(self) -> AbstractContextManager[None]:
        """Within it the net runs in the model's precision."""
        return computing_as(self.precision, self.device)

    @abstractmethod
    def _input_size(self, prepared: Prepared) -> tuple[int, int]:
        """Size of an image in the model's frame."""

    # -- what it is ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name in the registry."""
        return self.info.name

    @property
    def fingerprint(self) -> str:
        """``<family>-<SHA-256>`` of the weights; known before torch is imported."""
        return f"{self.info.family}-{self._identity}"

    @property
    def embedding_spec(self) -> str:
        """What else an embedding depends on: preprocessing, its version, and the precision of the encoder."""
        return self.spec_in(self.precision)

    @property
    def recipe(self) -> str:
        """The older name of `embedding_spec`; it goes with the next release."""
        return self.embedding_spec

    def spec_in(self, precision: str) -> str:
        """The `embedding_spec` that this model has in another precision."""
        return f"{self.info.family}/1:{self._preparation}:compute={precision}"

    @property
    def precision(self) -> str:
        """Precision of the encoder: ``"float32"``, ``"float16"`` or ``"bfloat16"``."""
        with self._precision_lock:
            if self._precision is None:
                self._precision = self._decide_precision()
            return self._precision

    @property
    def may_choose(self) -> bool:
        """Whether reading `precision` may still choose bfloat16 by a check of this machine."""
        if self._precision is not None or self._requested_precision != "auto" or not self._chooses:
            return False
        return has_bfloat16() and decide_precision("auto", self._requested_device) == "float32"

    @property
    def _chooses(self) -> bool:
        """Whether "auto" may be bfloat16 on a CPU; see `samnb.models.precision_check`."""
        return False

    def settle(self, precision: str, reason: str) -> None:
        """Choose the precision of a model that `may_choose`, without a check."""
        self._precision, self.precision_reason = precision, reason

    def _decide_precision(self) -> str:
        if self.may_choose:
            found = checked(self)
            self.precision_reason = found.reason
            return found.precision
        if self._chooses and self._requested_precision == "auto" and self._requested_device in ("auto", "cpu"):
            self.precision_reason = "" if has_bfloat16() else "this processor has no bfloat16"
        return decide_precision(self._requested_precision, self._requested_device)

    @abstractmethod
    def in_precision(self, precision: str) -> LazyTorchModel[DecoderT]:
        """A second model of the same weights on the CPU, in that precision."""

    def seconds_of_block(self, precisions: Sequence[str]) -> dict[str, float]:
        """Seconds of a block of the encoder in each precision; here of all of it, once. Of a model in float32."""
        import torch

        frame, seconds = self.prepare(drawn_picture()).resized, {}
        with self._encoder_lock, torch.inference_mode(), on_threads(self.encoder_threads):
            self._encoder = self._encoder or self._build_encoder()
            for precision in reversed(precisions):  # the first run prepares what the second one finds
                with computing_as(precision, self.device):
                    started = time.perf_counter()
                    self._encode_batch([frame])
                seconds[precision] = time.perf_counter() - started
        return seconds

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"``, … ; the first time imports torch to see what there is."""
        if self._device is None:
            self._device = resolve_device(self._requested_device)
        return self._device

    @property
    def encoder_threads(self) -> int | None:
        """Number of processor threads of the image encoder; None leaves it to the caller."""
        return setting("SAMNB_THREADS") or self._own_threads

    @property
    def encoder_built(self) -> bool:
        """False until the first `encode`."""
        return self._encoder is not None

    @property
    def encodes(self) -> int:
        """Number of images that this object has encoded."""
        return self._encodes

    def __repr__(self) -> str:
        where, kind = self._device or self._requested_device, type(self).__name__
        return f"<{kind} {self.name} on {where}, encoded {self._encodes}, {self.fingerprint[:24]}…>"

    # -- encoding -----------------------------------------------------------------------------------------

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Run the image encoder on one image.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            Upright RGB.

        Returns
        -------
        Embedding
            Tensors in float32; the first is ``image_embedding``, (C, h, w).

        Raises
        ------
        ModelError
            Pixels of another shape or type, or a failure in torch (its error is the cause).
        CheckpointError
            The weights turned out not to fit, at the first call.
        """
        return self.encode_prepared([self.prepare(pixels)])[0]

    def encode_prepared(self, batch: Sequence[Prepared]) -> list[Embedding]:
        """Run the image encoder on several images at once, in smaller batches where the memory is short.

        Raises
        ------
        ModelError, CheckpointError
            As `encode`.
        """
        if not batch:
            return []
        with self._encoder_lock, self._errors_of("encode", batch[0].original_size):
            if self._encoder is None:
                self._encoder = self._build_encoder()
            resized = [one.resized for one in batch]
            encoded = self._encode_side_by_side(resized) or self._batches.run(self._encode_on_thread, resized)
            self._encodes += len(batch)
        return [
            Embedding(tensors, one.original_size, self._input_size(one))
            for one, tensors in zip(batch, encoded, strict=True)
        ]

    def side_by_side(self) -> int:
        """How many images of a batch are encoded at the same time: on a CPU, where one thread suits the net, several.

        A net that is small enough for one thread gains little from more: its layers are short. Images do.
        """
        if self._own_threads != 1 or setting("SAMNB_THREADS") or self.device != "cpu":
            return 1
        return min(processors(), MAX_WORKERS)

    def _encode_side_by_side(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        """Images each on a thread of its own; empty for one only, or where memory is short."""
        together = min(len(resized), self.side_by_side())
        if together == 1:
            return []
        try:
            with ThreadPoolExecutor(together) as pool:
                return [tensors for [tensors] in pool.map(lambda one: self._encode_on_thread([one]), resized)]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        return []

    def _encode_on_thread(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        import torch

        wanted = self.encoder_threads or torch.get_num_threads()
        cores = taking_cores(wanted) if self.device == "cpu" else nullcontext(wanted)
        # All hold for the calling thread only.
        with cores as threads, torch.inference_mode(), on_threads(threads), self._computing():
            return self._encode_batch(resized)

    # -- decoding -----------------------------------------------------------------------------------------

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
    ) -> Prediction:
        """Compute masks for one prompt on an encoded image; never builds the image encoder.

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
            `masks` (N, H, W) bool, `scores` (N,) float32, `low_res_logits` (N, h, w) float32. The mask with the highest
            score is computed; the others are computed when they are first read.

        Raises
        ------
        PromptError
            An empty prompt, one outside the image, or a `mask_input` of another shape.
        ModelError
            The embedding is not this model's, or a failure in torch (its error is the cause).
        """
        return self._predict(
            embedding,
            prompt,
            lambda decoder: decoder.run([(embedding, prompt)], multimask, mask_input)[0],
            needs_prompt=mask_input is None,
        )

    def decode_many(self, pairs: Sequence[tuple[Embedding, Prompt]], *, multimask: bool = True) -> list[Prediction]:
        """Decode several prompts, a few in one call of the net; masks are computed when they are first read.

        Prompts of the same shape (number of points, with or without a box) are decoded in one call, and none is padded:
        masks and scores differ from those of `decode` by roundings only. A click on another thread waits for one such
        call at most.

        Parameters
        ----------
        pairs : sequence of (Embedding, Prompt)
            Any images, any prompts, in any order.
        multimask : bool
            Three candidates each, or one.

        Returns
        -------
        list of Prediction
            In the order of `pairs`; `ms` is the average time of a prompt.

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
        decoder, answers = self._decode_batches(pairs, multimask)
        ms = (time.perf_counter() - started) * 1000 / max(1, len(pairs))
        return [
            self._prediction(decoder.masks_of(logits, embedding), scores, logits, prompt, ms)
            for (embedding, prompt), (logits, scores) in zip(pairs, answers, strict=True)
        ]

    def propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Candidates]:
        """Compute candidate masks of many prompts on one image, scaled up only on request; see `decode_many`.

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
        decoder, answers = self._decode_batches([(embedding, prompt) for prompt in prompts], True)
        return [
            Candidates(
                prompt,
                scores,
                decoder.small_masks(logits, embedding),
                decoder.full_masks(logits, embedding),
                logits=logits.__getitem__,
                above=partial(decoder.mask_above, logits, embedding),
                stable=partial(decoder.stable_mask, logits, embedding),
            )
            for prompt, (logits, scores) in zip(prompts, answers, strict=True)
        ]

    def _predict(
        self, embedding: Embedding, prompt: Prompt, run: Callable[[DecoderT], Answer], *, needs_prompt: bool
    ) -> Prediction:
        started = time.perf_counter()
        if prompt or needs_prompt:
            _check(prompt, embedding)
        with self._errors_of("decode", embedding.original_size):
            with self._ready() as decoder:
                logits, scores = run(decoder)
            masks = decoder.masks_of(logits, embedding)
            masks.one(int(np.argmax(scores)))
        return self._prediction(masks, scores, logits, prompt, (time.perf_counter() - started) * 1000)

    def _prediction(self, masks: Any, scores: Any, logits: Any, prompt: Prompt, ms: float) -> Prediction:
        return Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint)

    def _decode_batches(
        self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool
    ) -> tuple[DecoderT, list[Answer]]:
        for embedding, prompt in pairs:
            _check(prompt, embedding)
        answers: dict[int, Answer] = {}
        with self._errors_of("decode", pairs[0][0].original_size if pairs else (0, 0)):
            decoder = self._built()
            batches, workers = list(decoder.batches(pairs)), decoder.workers
        # Several for each worker, so that none waits for the slowest; a click on another thread waits for these.
        turn = workers * (BATCHES_IN_A_TURN if workers > 1 else 1)
        for start in range(0, len(batches), turn):
            some = batches[start : start + turn]
            with self._errors_of("decode", pairs[some[0][0]][0].original_size), self._ready():
                decoded = decoder.run_parallel([[pairs[n] for n in numbers] for numbers in some], multimask, workers)
            for numbers, each in zip(some, decoded, strict=True):
                answers.update(zip(numbers, each, strict=True))
        return decoder, [answers[number] for number in range(len(pairs))]

    def _built(self) -> DecoderT:
        with self._decoder_lock:
            if self._decoder is None:
                self._decoder = self._build_decoder()
            return self._decoder

    @contextmanager
    def _ready(self) -> Iterator[DecoderT]:
        """Give the decoder, built, to this thread alone."""
        with self._decoder_lock:
            import torch

            decoder = self._built()
            with torch.inference_mode(), on_threads(self._own_threads or decoder.threads):
                yield decoder

    @contextmanager
    def _errors_of(self, verb: str, size: tuple[int, ...]) -> Iterator[None]:
        check_room_for_torch()
        try:
            yield
        except (SamnbError, ModuleNotFoundError):  # any other ImportError: a library that the memory does not hold
            raise
        except Exception as error:
            raise ModelError(
                f"{self.name} on {self._device or self._requested_device} failed to {verb} an image of "
                f"{size[0]} x {size[1]} (H x W): {type(error).__name__}: {error}"
            ) from error


def _check(prompt: Prompt, embedding: Embedding) -> None:
    if not prompt:
        raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
    prompt.check_inside(embedding.original_size)
