"""From embeddings and prompts to masks: ``segment_anything.SamPredictor.predict`` without its image encoder.

Logits differ from the predictor's by roundings (about 1e-6 of the largest; measured 3e-7 at logits of 0.3), and so do
masks in pixels whose logit is nothing beside its neighbours'. With ``SAMNB_FAST_DECODER=0`` the official layers run,
and all bits are the predictor's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError, PromptError
from ...prompts import Embedding, LazyMasks, Prompt
from ..devices import on_threads
from ..upscaling import official_mask, small_mask, upscale_mask
from .fast_decoder import FastMaskDecoder, ImageSide, can_be_fast
from .guided_attention import guided

__all__ = ["Answer", "Decoder"]

AT_ONCE, AT_ONCE_ELSEWHERE = 4, 32
"""Prompts in one call: on a processor more leave its cache, other devices want to be filled."""

MOST_WORKERS = 8
"""Portions beside each other; each takes about 100 MB."""

KEPT_IMAGES = 4
"""Images whose side of the decoder is kept: 14 MB each, for segment-anything's sizes."""

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Logits (N, h, w) and scores (N,) of one prompt."""


@dataclass(eq=False)
class _Hot:
    """An image's side of the decoder, and what it was made of."""

    owner: weakref.ref[Embedding]
    values: NDArray[Any]
    side: ImageSide
    asked: int = 0


class Decoder:
    """Prompt encoder and mask decoder, with what does not change from one prompt to the next."""

    def __init__(
        self,
        prompt_encoder: Any,
        mask_decoder: Any,
        *,
        image_size: int,
        embedding_shape: tuple[int, int, int],
        device: str,
        fast: bool = True,
    ):
        self.prompt_encoder, self.mask_decoder, self.fast = prompt_encoder, mask_decoder, fast
        self.frame, self.embedding_shape, self.device = image_size, embedding_shape, device
        self.position = prompt_encoder.get_dense_pe()
        self._layers: FastMaskDecoder | None = None
        if fast and can_be_fast(mask_decoder):
            self._layers = FastMaskDecoder(mask_decoder, self.position, prompt_encoder.no_mask_embed.weight[0])
        self._hot: list[_Hot] = []
        self._looking = Lock()

    def run(
        self, embedding: Embedding, prompt: Prompt, multimask: bool, mask_input: Any = None, guidance: Any = None
    ) -> Answer:
        """The answer to one prompt; call it within ``torch.inference_mode``."""
        drawn = self._mask_input(mask_input)
        if guidance is not None:
            return self._run_guided(embedding, prompt, multimask, drawn, guidance)
        logits, scores = self._run([embedding], [prompt], multimask, drawn)
        return logits[0], scores[0]

    def _run_guided(
        self, embedding: Embedding, prompt: Prompt, multimask: bool, drawn: Any, guidance: NDArray[Any]
    ) -> Answer:
        """The layers as they are written: those of the fast decoders have nowhere to put weights."""
        points, boxes = self._prompt_tensors([embedding], [prompt])
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=drawn)
        with guided(getattr(self.mask_decoder, "plain", self.mask_decoder), self._weights(guidance)) as plain:
            logits, scores = plain(
                image_embeddings=self._image_embedding(embedding),
                image_pe=self.position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
        return logits[0].float().cpu().numpy(), scores[0].float().cpu().numpy()

    def _weights(self, guidance: NDArray[Any]) -> Any:
        """Of the whole grid: what lies beyond the image counts as its least cell does."""
        import torch

        grid, values = tuple(self.position.shape[-2:]), np.asarray(guidance, np.float32)
        fits = values.ndim == 2 and 0 < values.shape[0] <= grid[0] and 0 < values.shape[1] <= grid[1]
        if not fits or not np.isfinite(values).all() or values.min() <= 0:
            raise PromptError(
                f"guidance: expected numbers above 0 for the image's cells, at most {grid[0]} x {grid[1]}; got "
                f"{values.shape}, from {values.min(initial=np.inf):g} to {values.max(initial=-np.inf):g}."
            )
        weights = np.full(grid, values.min(), np.float32)
        weights[: values.shape[0], : values.shape[1]] = values
        return torch.from_numpy(weights).to(self.device)

    def portions(self, pairs: Sequence[tuple[Embedding, Prompt]]) -> Iterator[list[int]]:
        """The numbers of pairs that one call of `run_many` may take: prompts of the same shape, and not too many.

        Padding a prompt to the length of another would change its answer; on a processor each call has one image.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        mixes = self._layers is not None and self.device != "cpu"
        for number, (embedding, prompt) in enumerate(pairs):
            shape = (len(prompt.points), prompt.box is not None, 0 if mixes else id(embedding))
            groups.setdefault(shape, []).append(number)
        most = AT_ONCE if self.device == "cpu" else AT_ONCE_ELSEWHERE
        if not getattr(self.mask_decoder, "takes_many", True):
            most = 1
        for numbers in groups.values():
            yield from (numbers[start : start + most] for start in range(0, len(numbers), most))

    def run_many(self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool) -> list[Answer]:
        """The answers to one of the `portions` of pairs; call it within ``torch.inference_mode``."""
        embeddings, prompts = [embedding for embedding, _ in pairs], [prompt for _, prompt in pairs]
        logits, scores = self._run(embeddings, prompts, multimask, None)
        return list(zip(logits, scores, strict=True))

    @property
    def threads(self) -> int | None:
        """How many of torch's threads a prompt is best given; None leaves it to torch.

        On a processor one: a layer takes a millisecond, and threads that share out each of them wait for each other
        hundreds of times a prompt. On two quiet cores two took 24 ms where one takes 35; where others kept both
        busy, two took 3,000 and one 140.
        """
        return None if self._layers is None or self.device != "cpu" else 1

    @property
    def workers(self) -> int:
        """How many portions are best run beside each other: on a processor, one for each thread of torch's."""
        if self.threads is None:
            return 1
        import torch

        return min(torch.get_num_threads(), MOST_WORKERS)

    def run_beside(self, portions: Sequence[Sequence[tuple[Embedding, Prompt]]], multimask: bool) -> list[list[Answer]]:
        """`run_many` of each portion, each on a thread of its own if there are several."""
        if len(portions) == 1:
            return [self.run_many(portions[0], multimask)]
        with ThreadPoolExecutor(len(portions)) as pool:
            return list(pool.map(lambda portion: self._run_alone(portion, multimask), portions))

    def _run_alone(self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool) -> list[Answer]:
        import torch

        with torch.inference_mode(), on_threads(1):  # both hold for the thread that says so
            return self.run_many(pairs, multimask)

    def _run(
        self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt], multimask: bool, drawn: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (B, N, h, w) and scores (B, N)."""
        points, boxes = self._prompt_tensors(embeddings, prompts)
        one = all(embedding is embeddings[0] for embedding in embeddings)
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=drawn)
        if self._layers is None:
            logits, scores = self.mask_decoder(
                image_embeddings=self._image_embedding(embeddings[0]),
                image_pe=self.position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
        else:
            asked = len(prompts) if one and drawn is None else 0
            with self._looking:
                sides = [self._image_side(embedding, asked) for embedding in (embeddings[:1] if one else embeddings)]
            drawn = None if drawn is None else dense
            logits, scores = self._layers(sides, sparse, drawn=drawn, multimask=multimask)
        return logits.float().cpu().numpy(), scores.float().cpu().numpy()

    def masks_of(self, logits: NDArray[np.float32], embedding: Embedding) -> LazyMasks:
        """The masks of (N, h, w) logits, made when they are asked for."""
        scale = self._scaling(embedding)

        def make(index: int, out: NDArray[np.bool_]) -> None:
            scale(logits[index], out=out)

        return LazyMasks(len(logits), embedding.original_size, make)

    def full_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> Callable[[int], NDArray[np.bool_]]:
        """What gives the (H, W) mask of an index, made anew each time."""
        scale = self._scaling(embedding)
        return lambda index: scale(logits[index])

    def _scaling(self, embedding: Embedding) -> Callable[..., NDArray[np.bool_]]:
        scale = upscale_mask if self.fast else official_mask
        return partial(scale, frame=self.frame, input_size=embedding.input_size, original_size=embedding.original_size)

    def small_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """Masks (..., h, w) of the image at the size of the logits, without the frame's padding."""
        return small_mask(logits, frame=self.frame, input_size=embedding.input_size)

    def _tensor(self, embedding: Embedding) -> NDArray[Any]:
        tensor = embedding.tensors.get("image_embedding")
        if tensor is None or tensor.shape != self.embedding_shape:
            got = {name: values.shape for name, values in embedding.tensors.items()}
            raise ModelError(
                f"The embedding is another model's: expected image_embedding of shape {self.embedding_shape}; "
                f"got {got}. Encode the image with this model."
            )
        return tensor

    def _image_embedding(self, embedding: Embedding) -> Any:
        import torch

        return torch.tensor(self._tensor(embedding), dtype=torch.float32, device=self.device)[None]

    def _image_side(self, embedding: Embedding, asked: int) -> ImageSide:
        """What was made of this embedding before, if its numbers are still those; `asked` prompts share it now."""
        import torch

        assert self._layers is not None
        tensor = self._tensor(embedding)
        self._hot = [hot for hot in self._hot if hot.owner() is not None]
        found = next((hot for hot in self._hot if hot.owner() is embedding), None)
        if found is not None:
            self._hot.remove(found)
        # Arrays can be written to, so who they are does not say what they hold; comparing takes half a millisecond.
        if found is None or found.values.dtype != tensor.dtype or not np.array_equal(found.values, tensor):
            values = np.array(tensor)
            side = self._layers.look(torch.from_numpy(values).to(self.device, torch.float32))
            found = _Hot(weakref.ref(embedding), values, side)
        if asked and (found.asked or asked > 2):
            self._layers.project(found.side)
        found.asked += asked
        self._hot = [*self._hot, found][-KEPT_IMAGES:]
        return found.side

    def _prompt_tensors(self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt]) -> tuple[Any, Any]:
        """Points (B, P, 2) with labels (B, P) and boxes (B, 4) in the model's frame, or None."""
        import torch

        framed = []
        for embedding, prompt in zip(embeddings, prompts, strict=True):
            (height, width), (new_height, new_width) = embedding.original_size, embedding.input_size
            framed.append(prompt.scaled(new_width / width, new_height / height))
        points = boxes = None
        if framed[0].points:
            coordinates = torch.tensor([prompt.points for prompt in framed], dtype=torch.float32, device=self.device)
            labels = [prompt.point_labels for prompt in framed]
            points = (coordinates, torch.tensor(labels, dtype=torch.int32, device=self.device))
        if framed[0].box is not None:
            boxes = torch.tensor([prompt.box for prompt in framed], dtype=torch.float32, device=self.device)
        return points, boxes

    def _mask_input(self, mask_input: Any) -> Any:
        import torch

        if mask_input is None:
            return None
        array = np.asarray(mask_input, dtype=np.float32)
        size = tuple(self.prompt_encoder.mask_input_size)
        if array.shape not in (size, (1, *size)):
            raise PromptError(
                f"mask_input: expected one of the low_res_logits of a prediction, shape {size}; got {array.shape}."
            )
        return torch.tensor(array, device=self.device).reshape(1, 1, *size)
