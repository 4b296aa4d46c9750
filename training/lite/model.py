"""`LiteModel`: the embedded net behind the `Model` protocol, image side and prompt side built apart and late.

Importing this module imports no torch. Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from samnb.errors import CheckpointMismatch, ModelError, PromptError, SamnbError
from samnb.models.devices import (
    check_device,
    check_precision,
    computing_as,
    decide_precision,
    on_threads,
    resolve_device,
)
from samnb.models.preprocessing import Prepared, prepare
from samnb.models.proposals import Proposal
from samnb.models.upscaling import small_mask, upscale_mask
from samnb.models.weights.checkpoints import ModelInfo, WeightFile
from samnb.prompts import Embedding, LazyMasks, Prediction, Prompt
from samnb.settings import setting
from training.lite.config import CROP_CELLS, FRAME, PIXEL_MEAN, PIXEL_SCALE
from training.lite.predictor import Answer, LitePredictor

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["LiteModel", "is_lite_file"]

MARK = "image_encoder.backbone.stem.weight"
"""A tensor that only weight files of this net hold."""

AT_ONCE = 4
"""Prompts in one call."""


class LiteModel:
    """The embedded model: `encode` an image once, `decode` any number of prompts on its entry.

    May be used from several threads: image side and prompt side have a lock each.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
    device : str
        ``"auto"`` (cuda, else mps, else cpu), or one by name.
    precision : str
        In which the image side computes, see `samnb.models.load_model`.
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
        self.info, self.weights = info, weights
        self.refine, self.frame, self.cells = refine, frame, cells
        self._wanted_device = check_device(device)
        self._device: str | None = None
        asked = setting("SAMNB_PRECISION") if check_precision(precision) == "auto" else None
        self._wanted_precision: str = asked or precision
        self._encoding, self._decoding = RLock(), RLock()
        self._encoder: Any = None
        self._predictor: LitePredictor | None = None
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
    def embedding_spec(self) -> str:
        """What else an embedding depends on: preprocessing, its version, and the precision of computing."""
        return f"{self.info.family}/1:longest={self.frame}:compute={self.precision}"

    @property
    def precision(self) -> str:
        """In which the image side computes: ``"float32"``, ``"float16"`` or ``"bfloat16"``."""
        return decide_precision(self._wanted_precision, self._wanted_device)

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"``, … ; the first time imports torch to see what there is."""
        if self._device is None:
            self._device = resolve_device(self._wanted_device)
        return self._device

    @property
    def encoder_threads(self) -> int | None:
        """On how many processor threads the image side runs; None: whoever calls it decides."""
        threads: int | None = setting("SAMNB_THREADS")
        return threads

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
        return f"<LiteModel {self.name} on {where}, encoded {self._encodes}, {self.fingerprint[:24]}…>"

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Make the entry of (H, W, 3) uint8 pixels, upright RGB: see `training.lite.config`."""
        return self.encode_prepared([self.prepare(pixels)])[0]

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """What can be done for `encode_prepared` without the net, on any thread: check and scale."""
        return prepare(pixels, self.frame)

    def encode_prepared(self, batch: Sequence[Prepared]) -> list[Embedding]:
        """Make the entries of several images."""
        found = []
        for one in batch:
            with self._encoding, self._failing("encode", one.original_size):
                import torch

                if self._encoder is None:
                    self._encoder = self._build("image_encoder")
                with (
                    torch.inference_mode(),
                    on_threads(self.encoder_threads),
                    computing_as(self.precision, self.device),
                ):
                    entry = self._encoder(self._framed(one.resized))
                tensors = {name: values[0].float().cpu().contiguous().numpy() for name, values in entry.items()}
                self._encodes += 1
            found.append(Embedding(tensors, one.original_size, one.resized.shape[:2]))
        return found

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
    ) -> Prediction:
        """Masks for one prompt on an encoded image; never builds the image side.

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
        with self._failing("decode", embedding.original_size), self._ready() as predictor:
            [(logits, scores)] = predictor.run(embedding, [prompt], multimask, mask_input)
        masks = self._masks_of(logits, embedding)
        masks.one(int(np.argmax(scores)))
        ms = (time.perf_counter() - started) * 1000
        return Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint)  # type: ignore[arg-type]

    def decode_many(self, pairs: Sequence[tuple[Embedding, Prompt]], *, multimask: bool = True) -> list[Prediction]:
        """What `decode` answers to each pair, a few of one image at a time; masks are made when they are asked for."""
        started = time.perf_counter()
        answers = self._answers(pairs, multimask)
        ms = (time.perf_counter() - started) * 1000 / max(1, len(pairs))
        predictions = []
        for (embedding, prompt), (logits, scores) in zip(pairs, answers, strict=True):
            masks: Any = self._masks_of(logits, embedding)
            predictions.append(Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint))
        return predictions

    def propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Proposal]:
        """Candidate masks of many prompts on one image, scaled up only when they are asked for."""
        answers = self._answers([(embedding, prompt) for prompt in prompts], True)
        return [
            Proposal(
                prompt,
                scores,
                small_mask(logits, frame=self.frame, input_size=embedding.input_size),
                lambda index, logits=logits: self._scaled(logits[index], embedding),
                logits=logits.__getitem__,
            )
            for prompt, (logits, scores) in zip(prompts, answers, strict=True)
        ]

    def _answers(self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool) -> list[Answer]:
        for embedding, prompt in pairs:
            _check(prompt, embedding)
        groups: dict[int, list[int]] = {}
        for number, (embedding, _) in enumerate(pairs):
            groups.setdefault(id(embedding), []).append(number)
        answers: dict[int, Answer] = {}
        for numbers in groups.values():
            embedding = pairs[numbers[0]][0]
            for start in range(0, len(numbers), AT_ONCE):
                some = numbers[start : start + AT_ONCE]
                with self._failing("decode", embedding.original_size), self._ready() as predictor:
                    found = predictor.run(embedding, [pairs[n][1] for n in some], multimask)
                answers.update(zip(some, found, strict=True))
        return [answers[number] for number in range(len(pairs))]

    def _scaled(self, logits: NDArray[np.float32], embedding: Embedding, out: Any = None) -> NDArray[np.bool_]:
        sizes: Any = {"input_size": embedding.input_size, "original_size": embedding.original_size}
        return upscale_mask(logits, frame=self.frame, out=out, **sizes)

    def _masks_of(self, logits: NDArray[np.float32], embedding: Embedding) -> LazyMasks:
        def make(index: int, out: NDArray[np.bool_]) -> None:
            self._scaled(logits[index], embedding, out)

        return LazyMasks(len(logits), embedding.original_size, make)

    @contextmanager
    def _ready(self) -> Iterator[LitePredictor]:
        """The prompt side, built and for this thread alone."""
        with self._decoding:
            import torch

            if self._predictor is None:
                decoder = self._build("decoder")
                decoder.crop_pass.cells = self.cells
                self._predictor = LitePredictor(decoder, frame=self.frame, refine=self.refine, device=self.device)
            with torch.inference_mode(), on_threads(setting("SAMNB_THREADS")):
                yield self._predictor

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
        """(1, 3, frame, frame) float32: normalised, then padded right and below with zeros."""
        import torch

        height, width = resized.shape[:2]
        frame = torch.zeros((1, self.frame, self.frame, 3))
        frame[0, :height, :width] = (torch.tensor(resized) - PIXEL_MEAN) / PIXEL_SCALE
        return frame.permute(0, 3, 1, 2).to(self.device)

    def _build(self, part: str) -> Any:
        """Build a part and give it its tensors, which are named ``<part>.…`` in the weight file."""
        import torch

        from training.lite.decoder import LiteDecoder
        from training.lite.fused import fold_norms
        from training.lite.net import LiteImageEncoder

        with torch.random.fork_rng(devices=[]):
            module: Any = {"image_encoder": LiteImageEncoder, "decoder": LiteDecoder}[part]()
        prefix = part + "."
        state = {
            name.removeprefix(prefix): value.float()
            for name, value in self.weights.read().items()
            if name.startswith(prefix)
        }
        expected = {n: tuple(v.shape) for n, v in module.state_dict().items() if not n.endswith("num_batches_tracked")}
        if expected != {name: tuple(value.shape) for name, value in state.items()}:
            raise CheckpointMismatch(
                f"{self.weights.path}: does not hold the weights of {self.name}. Give the checkpoint of this model, or "
                "load this one under its own name."
            )
        module.load_state_dict(state, strict=False)
        return fold_norms(module.eval()).requires_grad_(False).to(self.device)


def is_lite_file(path: Path) -> bool:
    """Whether a weight file is of this net, and not of the earlier embedded one; reads names only, without torch."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return MARK in file.keys()  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def _check(prompt: Prompt, embedding: Embedding) -> None:
    if not prompt:
        raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
    prompt.check_inside(embedding.original_size)
