"""From an embedding and a prompt to masks: ``segment_anything.SamPredictor.predict`` without its image encoder.

The masks are those of the predictor, bit for bit on one machine (but for `quick_masks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, PromptError
from ..prompts import Embedding, Prompt

__all__ = ["Decoder"]

KEPT_PIXELS = 4_000_000
"""Up to this size of picture the room for scaled logits (4 bytes a pixel) is kept from one prompt to the next."""


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
        quick_masks: bool = False,
    ):
        self.prompt_encoder, self.mask_decoder = prompt_encoder, mask_decoder
        self.frame, self.embedding_shape, self.device = (image_size, image_size), embedding_shape, device
        self.quick_masks = quick_masks
        self.position = prompt_encoder.get_dense_pe()
        self._room = np.empty((0, 0), np.float32)

    def run(
        self, embedding: Embedding, prompt: Prompt, multimask: bool, mask_input: Any
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        """Masks (N, H, W), scores (N,) and logits (N, h, w); call it within ``torch.inference_mode``."""
        points, boxes = self._prompt_tensors(embedding, prompt)
        image_embedding = self._image_embedding(embedding)
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=self._mask_input(mask_input))
        logits, scores = self.mask_decoder(
            image_embeddings=image_embedding,
            image_pe=self.position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        masks = self._masks(logits, embedding)
        return masks, scores[0].float().cpu().numpy(), logits[0].float().cpu().numpy()

    def run_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (B, N, h, w) and scores (B, N) of prompts with one point each."""
        if not getattr(self.mask_decoder, "takes_many", True):
            answers = [self._run_points(embedding, [prompt]) for prompt in prompts]
            logits, scores = zip(*answers, strict=True)
            return np.concatenate(logits), np.concatenate(scores)
        return self._run_points(embedding, prompts)

    def _run_points(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        each = [self._prompt_tensors(embedding, prompt)[0] for prompt in prompts]
        points = tuple(torch.cat(parts) for parts in zip(*each, strict=True))
        sparse, dense = self.prompt_encoder(points=points, boxes=None, masks=None)
        logits, scores = self.mask_decoder(
            image_embeddings=self._image_embedding(embedding),
            image_pe=self.position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return logits.float().cpu().numpy(), scores.float().cpu().numpy()

    def mask_of(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """The (H, W) mask of (h, w) logits."""
        import torch

        return self._masks(torch.from_numpy(logits)[None, None].to(self.device), embedding)[0]

    def small_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """Masks (..., h, w) of the image at the size of the logits, without the frame's padding."""
        rows, columns = (
            max(1, round(side * length / self.frame[0]))
            for side, length in zip(logits.shape[-2:], embedding.input_size, strict=True)
        )
        return logits[..., :rows, :columns] > 0

    def _image_embedding(self, embedding: Embedding) -> Any:
        import torch

        tensor = embedding.tensors.get("image_embedding")
        if tensor is None or tensor.shape != self.embedding_shape:
            got = {name: values.shape for name, values in embedding.tensors.items()}
            raise ModelError(
                f"The embedding is another model's: expected image_embedding of shape {self.embedding_shape}; "
                f"got {got}. Encode the image with this model."
            )
        return torch.tensor(tensor, dtype=torch.float32, device=self.device)[None]

    def _prompt_tensors(self, embedding: Embedding, prompt: Prompt) -> tuple[Any, Any]:
        """Points with labels and boxes in the model's frame, each with a batch axis, or None."""
        import torch

        (height, width), (new_height, new_width) = embedding.original_size, embedding.input_size
        prompt = prompt.scaled(new_width / width, new_height / height)
        points = boxes = None
        if prompt.points:
            coordinates = torch.tensor([prompt.points], dtype=torch.float32, device=self.device)
            points = (coordinates, torch.tensor([prompt.point_labels], dtype=torch.int32, device=self.device))
        if prompt.box is not None:
            boxes = torch.tensor([prompt.box], dtype=torch.float32, device=self.device)
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

    def _masks(self, logits: Any, embedding: Embedding) -> NDArray[np.bool_]:
        """Logits (1, N, h, w) up to the frame, cropped, up to the image, > 0; one at a time: a third of the memory."""
        from torch.nn.functional import interpolate

        if self.quick_masks:
            return self._masks_quickly(logits[0].float().cpu().numpy(), embedding)
        height, width = embedding.input_size
        masks = np.empty((logits.shape[1], *embedding.original_size), dtype=np.bool_)
        for index in range(len(masks)):
            frame = interpolate(logits[:, index : index + 1], self.frame, mode="bilinear", align_corners=False)
            image = interpolate(
                frame[..., :height, :width], embedding.original_size, mode="bilinear", align_corners=False
            )
            masks[index] = (image[0, 0] > 0).cpu().numpy()
        return masks

    def _masks_quickly(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """The same steps in OpenCV: far quicker on a CPU, and alike but for roundings (a pixel in a million)."""
        height, width = embedding.input_size
        masks = np.empty((len(logits), *embedding.original_size), dtype=np.bool_)
        room = self._room_for(embedding.original_size)
        for mask, own in zip(masks, logits, strict=True):
            frame = cv2.resize(own, self.frame, interpolation=cv2.INTER_LINEAR)[:height, :width]
            cv2.resize(frame, embedding.original_size[::-1], dst=room, interpolation=cv2.INTER_LINEAR)
            np.greater(room, 0, out=mask)
        return masks

    def _room_for(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Where logits are scaled up to; new memory for each mask took three times as long as scaling did."""
        if self._room.shape != size:
            room = np.empty(size, np.float32)
            if room.size > KEPT_PIXELS:
                return room
            self._room = room
        return self._room
