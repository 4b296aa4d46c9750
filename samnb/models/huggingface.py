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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, PromptError, SamnbError
from ..prompts import Embedding, Prediction, Prompt
from ..proposals import Proposal
from .checkpoints import ModelInfo, WeightFile
from .devices import check_device, resolve_device
from .families import FAMILIES, Family
from .frame import check_pixels, input_size_of
from .reference import import_segment_anything
from .upscale import small_mask

__all__ = ["HuggingFaceSam"]

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Prompts in one call of the decoder: more hardly go faster, and take memory."""

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
        In which the image encoder computes; ``"auto"`` is float32 on every device, as nothing else was measured here.

    Raises
    ------
    CheckpointMismatch
        The folder's ``config.json`` is of another family.
    """

    def __init__(self, info: ModelInfo, weights: WeightFile, *, device: str = "auto", precision: str = "auto"):
        self.info, self.weights = info, weights
        self.precision = "float32" if precision == "auto" else precision
        self.family: Family = FAMILIES[info.family]
        self.settings = self.family.settings(info, weights.path.parent)
        self._wanted_device = check_device(device)
        self._device: str | None = None
        self._encoding, self._decoding = RLock(), RLock()
        self._encoder: Any = None
        self._decoder: Any = None
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
        check_pixels(pixels)
        size = (pixels.shape[0], pixels.shape[1])
        with self._encoding, self._failing("encode", size):
            if self._encoder is None:
                self._encoder = self._build(with_encoder=True)
            import torch

            prepared = self._image_processor()(images=pixels, return_tensors="pt", input_data_format="channels_last")
            mixed = torch.autocast(
                self.device.partition(":")[0],
                dtype=None if self.precision == "float32" else getattr(torch, self.precision),
                enabled=self.precision != "float32",
            )
            with torch.inference_mode(), mixed:
                given = self._encoder.get_image_embeddings(prepared["pixel_values"].to(self.device))
            tensors = {name: tensor.float().cpu().numpy() for name, tensor in self.family.kept(given).items()}
            self._encodes += 1
        return Embedding(tensors, size, self._input_size(size))

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
            logits, scores = self._ask(embedding, [prompt], multimask=multimask, mask_input=mask_input)
            masks = np.stack([self._full_size(one, embedding) for one in logits[0]])
        ms = (time.perf_counter() - started) * 1000
        return Prediction(masks, scores[0], logits[0], prompt, ms=ms, model=self.fingerprint)

    def propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Proposal]:
        """Candidate masks of many prompts on one image, a few at a time, scaled up only when they are asked for.

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
        alike: dict[tuple[int, bool], list[int]] = {}
        for number, prompt in enumerate(prompts):
            if not prompt:
                raise PromptError("An empty prompt: give points=[(x, y), ...], box=(x0, y0, x1, y1), or both.")
            prompt.check_inside(embedding.original_size)
            # Those with as many points go together: padding with points that are none would change the masks.
            alike.setdefault((len(prompt.points), prompt.box is not None), []).append(number)
        found: dict[int, Proposal] = {}
        for numbers in alike.values():
            for start in range(0, len(numbers), AT_ONCE):
                some = numbers[start : start + AT_ONCE]
                with self._decoding, self._failing("decode", embedding.original_size):
                    logits, scores = self._ask(embedding, [prompts[number] for number in some])
                for place, number in enumerate(some):
                    found[number] = self._proposal(embedding, prompts[number], logits[place], scores[place])
        return [found[number] for number in range(len(prompts))]

    def _proposal(
        self, embedding: Embedding, prompt: Prompt, logits: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> Proposal:
        def full(index: int) -> NDArray[np.bool_]:
            with self._decoding:
                return self._full_size(logits[index], embedding)

        small = small_mask(logits, frame=self.settings.image_size, input_size=embedding.input_size)
        return Proposal(prompt, scores, small, full)

    def _ask(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, multimask: bool = True, mask_input: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (P, N, h, w) and scores (P, N) of prompts that are alike; builds the decoder's half if need be."""
        import torch

        if self._decoder is None:
            self._decoder = self._build(with_encoder=False)
        each = [self._prompt_arguments(embedding, prompt) for prompt in prompts]
        together = {name: torch.cat([one[name] for one in each], dim=1) for name in each[0]}
        with torch.inference_mode():
            answer = self._decoder(
                **self._image_arguments(embedding),
                **together,
                input_masks=self._mask_input(mask_input),
                multimask_output=multimask,
            )
            return answer.pred_masks[0].float().cpu().numpy(), answer.iou_scores[0].float().cpu().numpy()

    @contextmanager
    def _failing(self, verb: str, size: tuple[int, int]) -> Iterator[None]:
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

    def _image_arguments(self, embedding: Embedding) -> dict[str, Any]:
        import torch

        grid = self._decoder.get_image_wide_positional_embeddings().shape[-2:]
        tensors = dict(embedding.tensors)
        image = tensors.get("image_embedding")
        if set(tensors) != set(self.family.tensors) or image is None or image.shape[1:] != tuple(grid):
            got = {name: tensor.shape for name, tensor in tensors.items()}
            raise ModelError(
                f"The embedding is another model's: expected {', '.join(self.family.tensors)} of {tuple(grid)} cells; "
                f"got {got}. Encode the image with this model."
            )
        there = {
            name: torch.tensor(tensor, dtype=torch.float32, device=self.device)[None]
            for name, tensor in tensors.items()
        }
        return self.family.arguments(there)

    def _prompt_arguments(self, embedding: Embedding, prompt: Prompt) -> dict[str, Any]:
        """Points with labels and a box in the model's frame, rounded as the family's processor rounds."""
        import torch

        (height, width), (new_height, new_width) = embedding.original_size, embedding.input_size
        factors = (new_width / width, new_height / height)
        wide = not self.family.stretched and not self.device.startswith("mps")  # which has no float64
        dtype = torch.float64 if wide else torch.float32
        given: dict[str, Any] = {}
        if prompt.points:
            points = torch.tensor([[prompt.points]], dtype=dtype)
            given["input_points"] = torch.stack([points[..., 0] * factors[0], points[..., 1] * factors[1]], -1)
            given["input_labels"] = torch.tensor([[prompt.point_labels]])
        if prompt.box is not None:
            corners = torch.tensor(prompt.box, dtype=torch.float32).to(dtype).reshape(2, 2)
            box = torch.stack([corners[:, 0] * factors[0], corners[:, 1] * factors[1]], -1)
            given["input_boxes"] = box.reshape(1, 1, 4)
        return {name: tensor.to(self.device) for name, tensor in given.items()}

    def _mask_input(self, mask_input: Any) -> Any:
        import torch

        if mask_input is None:
            return None
        array = np.asarray(mask_input, dtype=np.float32)
        rows, columns = self._decoder.get_image_wide_positional_embeddings().shape[-2:]
        size = (4 * rows, 4 * columns)
        if array.shape not in (size, (1, *size)):
            raise PromptError(
                f"mask_input: expected one of the low_res_logits of a prediction, shape {size}; got {array.shape}."
            )
        return torch.tensor(array, device=self.device).reshape(1, 1, *size)

    def _full_size(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """Logits (h, w) as the mask (H, W), by the family's own hand; one at a time takes a third of the memory."""
        import torch

        frame = [] if self.family.stretched else [[embedding.input_size]]
        given = [torch.from_numpy(logits)[None, None]]
        masks = self._image_processor().post_process_masks(given, [embedding.original_size], *frame)
        full: NDArray[np.bool_] = masks[0][0, 0].numpy()
        return full

    def _image_processor(self) -> Any:
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
