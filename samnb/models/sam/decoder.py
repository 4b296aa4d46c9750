"""Masks from embeddings and prompts: ``segment_anything.SamPredictor.predict`` without its image encoder.

Logits differ from the predictor's by roundings (about 1e-6 of the largest; measured 3e-7 at logits of 0.3), and so do
masks in pixels whose logit is far smaller than its neighbours'. With ``SAMNB_FAST_DECODER=0`` the official layers run,
and all bits are the predictor's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError, PromptError
from ...prompts import Embedding, Prompt
from ..decoding import Answer, BatchedDecoder, Pairs
from ..upscaling import official_mask, upscale_mask, upscale_with_stability
from .fast_decoder import FastMaskDecoder, ImageSide, can_be_fast
from .guided_attention import guided_attention

CPU_BATCH, GPU_BATCH = 4, 32
"""Prompts in one call: more of them do not fit a processor's cache; other devices need many to be busy."""

KEPT_IMAGES = 4
"""Images whose side of the decoder is kept: 14 MB each, for segment-anything's sizes."""


@dataclass(eq=False)
class _CachedImageSide:
    """An image's side of the decoder, and the embedding and values it was computed from."""

    owner: weakref.ref[Embedding]
    values: NDArray[Any]
    side: ImageSide
    uses: int = 0


class Decoder(BatchedDecoder):
    """Prompt encoder and mask decoder, with what does not change from one prompt to the next.

    Parameters
    ----------
    prompt_encoder, mask_decoder : torch.nn.Module
        As ``segment_anything`` has them, with their weights.
    image_size : int
        Side of the model's square input frame, in pixels.
    embedding_shape : (C, h, w)
    device : str
    fast : bool
        Use `FastMaskDecoder` where the mask decoder is the official one, and the faster scaling of masks.
    fused_decoder : callable, optional
        Stands for `mask_decoder` with the same arguments, for one prompt in a call.
    """

    def __init__(
        self,
        prompt_encoder: Any,
        mask_decoder: Any,
        *,
        image_size: int,
        embedding_shape: tuple[int, int, int],
        device: str,
        fast: bool = True,
        fused_decoder: Callable[..., Any] | None = None,
    ):
        self.prompt_encoder, self.mask_decoder, self.fused_decoder = prompt_encoder, mask_decoder, fused_decoder
        self.embedding_shape, self.fast = embedding_shape, fast
        self.position = prompt_encoder.get_dense_pe()
        self._layers: FastMaskDecoder | None = None
        if fast and can_be_fast(mask_decoder):
            self._layers = FastMaskDecoder(mask_decoder, self.position, prompt_encoder.no_mask_embed.weight[0])
        on_cpu = device == "cpu"
        super().__init__(
            device,
            image_size,
            batch_size=1 if fused_decoder is not None else CPU_BATCH if on_cpu else GPU_BATCH,
            mixes_images=self._layers is not None and not on_cpu,
            # On a processor one: a layer takes a millisecond, and threads that share each layer wait for each other
            # hundreds of times a prompt. On two idle cores two took 24 ms where one takes 35; where other processes
            # kept both busy, two took 3,000 and one 140.
            threads=1 if self._layers is not None and on_cpu else None,
            # The fused decoder's one click gains a little from a second thread; many clicks gain more side by side.
            parallel=True if fused_decoder is not None and on_cpu else None,
        )
        self._image_sides: list[_CachedImageSide] = []
        self._image_sides_lock = Lock()

    def run(self, pairs: Pairs, multimask: bool, mask_input: Any = None) -> list[Answer]:
        """Decode one of the `batches`, or one prompt with a mask; call it within ``torch.inference_mode``."""
        embeddings, prompts = [embedding for embedding, _ in pairs], [prompt for _, prompt in pairs]
        logits, scores = self._run(embeddings, prompts, multimask, self._mask_input(mask_input))
        return list(zip(logits, scores, strict=True))

    def run_guided(
        self, embedding: Embedding, prompt: Prompt, multimask: bool, mask_input: Any, guidance: NDArray[Any]
    ) -> Answer:
        """Decode one prompt by the official layers, with guided attention; see `guided_attention`."""
        points, boxes = self._prompt_tensors([embedding], [prompt])
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=self._mask_input(mask_input))
        with guided_attention(self.mask_decoder, self._cell_weights(guidance)) as decoder:
            logits, scores = decoder(
                image_embeddings=self._image_embedding(embedding),
                image_pe=self.position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
        return logits[0].float().cpu().numpy(), scores[0].float().cpu().numpy()

    def full_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> Callable[..., NDArray[np.bool_]]:
        """Return a function that computes the (H, W) mask of an index; `out`, all False, is where to write it."""
        scale: Callable[..., NDArray[np.bool_]] = upscale_mask if self.fast else official_mask
        frame, input_size, original_size = self.image_size, embedding.input_size, embedding.original_size

        def full(index: int, out: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
            return scale(logits[index], frame=frame, input_size=input_size, original_size=original_size, out=out)

        return full

    def stable_mask(
        self, logits: NDArray[np.float32], embedding: Embedding, index: int, offset: float
    ) -> tuple[NDArray[np.bool_], float]:
        """The mask and its stability in one pass; see `BatchedDecoder.stable_mask`."""
        if not self.fast:
            return super().stable_mask(logits, embedding, index, offset)
        sizes: Any = {"input_size": embedding.input_size, "original_size": embedding.original_size}
        return upscale_with_stability(logits[index], offset, frame=self.image_size, **sizes)

    def _cell_weights(self, guidance: NDArray[Any]) -> Any:
        """Weights of all cells of the grid; those beyond the image get the smallest weight of the image."""
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

    def _run(
        self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt], multimask: bool, mask: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (B, N, h, w) and scores (B, N)."""
        points, boxes = self._prompt_tensors(embeddings, prompts)
        one = all(embedding is embeddings[0] for embedding in embeddings)
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=mask)
        if self._layers is None:
            logits, scores = (self.fused_decoder or self.mask_decoder)(
                image_embeddings=self._image_embedding(embeddings[0]),
                image_pe=self.position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
        else:
            uses = len(prompts) if one and mask is None else 0
            with self._image_sides_lock:
                sides = [self._image_side(embedding, uses) for embedding in (embeddings[:1] if one else embeddings)]
            dense = None if mask is None else dense
            logits, scores = self._layers(sides, sparse, dense=dense, multimask=multimask)
        return logits.float().cpu().numpy(), scores.float().cpu().numpy()

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

    def _image_side(self, embedding: Embedding, uses: int) -> ImageSide:
        """Reuse what was computed for this embedding, if its values are the same; `uses` prompts share it now."""
        import torch

        assert self._layers is not None
        tensor = self._tensor(embedding)
        self._image_sides = [cached for cached in self._image_sides if cached.owner() is not None]
        found = next((cached for cached in self._image_sides if cached.owner() is embedding), None)
        if found is not None:
            self._image_sides.remove(found)
        # Arrays can be written to, so identity is not enough; comparing takes half a millisecond.
        if found is None or found.values.dtype != tensor.dtype or not np.array_equal(found.values, tensor):
            values = np.array(tensor)
            side = self._layers.image_side(torch.from_numpy(values).to(self.device, torch.float32))
            found = _CachedImageSide(weakref.ref(embedding), values, side)
        if uses and (found.uses or uses > 2):
            self._layers.project(found.side)
        found.uses += uses
        self._image_sides = [*self._image_sides, found][-KEPT_IMAGES:]
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
        return self._mask_tensor(mask_input, tuple(self.prompt_encoder.mask_input_size))
