"""Other families through ``transformers``: SAM, SAM-HQ, SAM 2 and 2.1, EdgeTAM, from a folder of weights.

What an image encoder gives is the family's own: SAM one tensor, SAM-HQ a second one from inside its encoder, SAM 2 and
EdgeTAM two finer maps; all are kept in one `Embedding`. Pictures are prepared, and masks scaled up, by the family's own
image processor. Nothing is built and ``transformers`` is not imported until the first call that needs it; decoding
builds the decoder's half alone, and reads no other tensors from the file.

Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError, PromptError, SamnbError
from ...prompts import Embedding, Prediction, Prompt
from ...settings import read
from ..batching import Batches, on_host
from ..devices import check_device, check_precision, computing_as, decide_precision, on_threads, resolve_device
from ..preprocessing import Prepared, check_pixels, input_size_of
from ..proposals import Proposal
from ..sam.decoder import Answer
from ..sam.reference import import_segment_anything
from ..weights.checkpoints import ModelInfo, WeightFile
from .decoder import FamilyDecoder
from .families import FAMILIES, Family

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["HuggingFaceSam"]

log = logging.getLogger(__name__)

_building = Lock()


class HuggingFaceSam:
    """A model of ``transformers`` behind the `Model` protocol.

    May be used from several threads: each half has its own lock.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
        The file with the tensors; ``config.json`` lies beside it, and the image processor's settings may.
    device : str
        As for `samnb.models.load_model`.
    precision : str
        In which the encoder computes, as for `samnb.models.sam.model.TorchSam`.

    Raises
    ------
    CheckpointMismatch
        The folder's ``config.json`` is of another family.
    """

    def __init__(self, info: ModelInfo, weights: WeightFile, *, device: str = "auto", precision: str = "auto"):
        self.info, self.weights = info, weights
        asked = read("SAMNB_PRECISION") if check_precision(precision) == "auto" else None
        self._wanted_precision: str = asked or precision
        self._precision: str | None = None
        self.family: Family = FAMILIES[info.family]
        self.settings = self.family.settings(info, weights.path)
        self._wanted_device = check_device(device)
        self._device: str | None = None
        self._encoding, self._decoding, self._preparing = RLock(), RLock(), Lock()
        self._batches = Batches()
        self._encoder: Any = None
        self._decoder: FamilyDecoder | None = None
        self._processor: Any = None
        self._encodes = 0

    @property
    def name(self) -> str:
        """The registry's name."""
        return self.info.name

    @property
    def fingerprint(self) -> str:
        """``<family>-<SHA-256 of the weight file's SHA-256 and of config.json>``: the latter says what net it is."""
        return f"{self.info.family}-{self.settings.identity(self.weights.sha256)}"

    @property
    def recipe(self) -> str:
        """Family, how pictures are prepared, and the precision of computing."""
        return f"{self.info.family}/1:{self.settings.preparation}:compute={self.precision}"

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
        return read("SAMNB_THREADS")

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
        return f"<HuggingFaceSam {self.name} on {where}, encoded {self._encodes}, {self.fingerprint[:24]}…>"

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Run the image encoder on one picture.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            Upright RGB.

        Returns
        -------
        Embedding
            ``image_embedding`` (C, h, w) first, and what else the family's decoder wants, float32.

        Raises
        ------
        ModelError
            Pixels of another shape or type, or a failure in torch or transformers (its error is the cause).
        CheckpointError
            The weights turned out not to fit, at the first call.
        """
        return self.encode_prepared([self.prepare(pixels)])[0]

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """What can be done for `encode_prepared` without the net, on any thread: check, and scale as the family does.

        Parameters
        ----------
        pixels : (H, W, 3) uint8, or PIL.Image.Image
            Upright RGB.

        Raises
        ------
        ModelError
            Pixels of another shape or type, or a failure in transformers (its error is the cause).
        """
        array: Any = np.asarray(pixels) if getattr(pixels, "mode", "") == "RGB" else pixels
        check_pixels(array)
        size = (array.shape[0], array.shape[1])
        with self._failing("prepare", size):
            return Prepared(self._scaled(array), size)

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
                self._encoder = self._build(with_encoder=True)
            with (
                torch.inference_mode(),
                on_threads(self.encoder_threads),
                computing_as(self.precision, self.device),
            ):
                found = self._batches.run(self._encode_frames, [one.resized for one in batch])
            self._encodes += len(batch)
        sizes = (one.original_size for one in batch)
        return [Embedding(tensors, size, self._input_size(size)) for tensors, size in zip(found, sizes, strict=True)]

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
        if prompt or mask_input is None:
            _check(prompt, embedding)
        with self._failing("decode", embedding.original_size):
            with self._ready(self._decoder_threads) as decoder:
                [(logits, scores)] = decoder.run([(embedding, prompt)], multimask, mask_input)
            masks: Any = decoder.masks_of(logits, embedding)
            masks.one(int(np.argmax(scores)))
        ms = (time.perf_counter() - started) * 1000
        return Prediction(masks, scores, logits, prompt, ms=ms, model=self.fingerprint)

    def decode_many(self, pairs: Sequence[tuple[Embedding, Prompt]], *, multimask: bool = True) -> list[Prediction]:
        """What `decode` answers to each pair, a few at a time; masks are made when they are asked for.

        Prompts of the same shape (as many points, a box or none) on one image are answered in one call, and none is
        padded: answers differ from those of `decode` by roundings only. On a GPU a call takes several images.

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

    def _answers(
        self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool
    ) -> tuple[FamilyDecoder, list[Answer]]:
        for embedding, prompt in pairs:
            _check(prompt, embedding)
        answers: dict[int, Answer] = {}
        size = pairs[0][0].original_size if pairs else (0, 0)
        with self._failing("decode", size):
            decoder = self._built()
            portions, at_once = list(decoder.portions(pairs)), decoder.workers
            for start in range(0, len(portions), at_once):
                some = portions[start : start + at_once]
                with self._ready(self._decoder_threads):
                    found = decoder.run_beside([[pairs[n] for n in numbers] for numbers in some], multimask)
                for numbers, answered in zip(some, found, strict=True):
                    answers.update(zip(numbers, answered, strict=True))
        return decoder, [answers[number] for number in range(len(pairs))]

    @property
    def _decoder_threads(self) -> int | None:
        """A layer takes a millisecond: threads that share one out wait for each other more than they gain."""
        return 1 if self.device == "cpu" else None

    def _built(self) -> FamilyDecoder:
        with self._decoding:
            if self._decoder is None:
                net = self._build(with_encoder=False)
                self._decoder = FamilyDecoder(net, self.settings, self._image_processor, self.device)
            return self._decoder

    @contextmanager
    def _ready(self, threads: int | None) -> Iterator[FamilyDecoder]:
        """The decoder, built and for this thread alone."""
        with self._decoding:
            decoder = self._built()
            import torch

            with torch.inference_mode(), on_threads(threads):
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

    def _input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        side = self.settings.image_size
        return (side, side) if self.family.stretched else input_size_of(size, side)

    def _scaled(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w, 3) as the family's processor scales it, before it takes out the mean."""
        import torch

        processor = self._image_processor()
        if processor.do_resize and not processor.do_center_crop:
            # The same call that the processor makes, but on pixels as they lie: it would sort them by channels first,
            # which on 12 megapixels takes six times as long as scaling (53 ms and 8).
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                lying = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
            scaled = processor.resize(image=lying, size=processor.size, resample=processor.resample)[0]
        else:
            half = {"do_rescale": False, "do_normalize": False, "do_pad": False}
            given = {"return_tensors": "pt", "input_data_format": "channels_last"}
            scaled = processor(images=np.ascontiguousarray(pixels), **given, **half)["pixel_values"][0]
        found: NDArray[np.uint8] = np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())
        return found

    def _frames(self, resized: Sequence[NDArray[np.uint8]]) -> Any:
        """(B, 3, side, side) float32 on the device: the rest of what the family's processor does."""
        import torch

        frames = [torch.from_numpy(one) for one in resized]
        if self.device.startswith("cuda"):
            # from memory that the card reads by itself: the copy runs beside what the card is doing
            frames = [one.pin_memory().to(self.device, non_blocking=True) for one in frames]
        return self._image_processor()(
            images=[one.permute(2, 0, 1) for one in frames],
            **{"do_resize": False, "do_center_crop": False, "do_convert_rgb": False},
            **{"return_tensors": "pt", "input_data_format": "channels_first", "device": self.device},
        )["pixel_values"]

    def _encode_frames(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        given = self._encoder.get_image_embeddings(self._frames(resized))
        kept = {name: on_host(tensor) for name, tensor in self.family.kept(given).items()}
        return [{name: values[place] for name, values in kept.items()} for place in range(len(resized))]

    def _image_processor(self) -> Any:
        with self._preparing:
            if self._processor is None:
                self._processor = self.settings.image_processor()
            return self._processor

    def _build(self, *, with_encoder: bool) -> Any:
        """The net, without its image encoder unless told; tensors come from the file, nothing is drawn first."""
        with _building:
            import_segment_anything()  # so that torchvision imports beside any torch
            import torch

            net_class, config = self.settings.net_class(), self.settings.config()
            with torch.device("meta"):
                net = net_class(config)
            if not with_encoder:
                net.vision_encoder = None
            lacking = self.settings.fill(net, self.weights)
            if lacking:
                net = self._as_transformers_does(net_class, lacking, with_encoder=with_encoder)
            return net.eval().requires_grad_(False).to(self.device)

    def _as_transformers_does(self, net_class: Any, lacking: list[str], *, with_encoder: bool) -> Any:
        """The slow way, with whatever transformers knows of older files; whole, as it cannot do otherwise."""
        import torch

        folder = Path(self.weights.path).parent
        log.info("%s: %d tensors have other names (%s, …); transformers loads it", folder, len(lacking), lacking[0])
        with torch.random.fork_rng(devices=[]):
            net, told = net_class.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        if told["missing_keys"]:
            raise self.settings.not_whole(self.weights, sorted(told["missing_keys"]))
        if not with_encoder:
            net.vision_encoder = None
        return net


def _check(prompt: Prompt, embedding: Embedding) -> None:
    if not prompt:
        raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
    prompt.check_inside(embedding.original_size)
