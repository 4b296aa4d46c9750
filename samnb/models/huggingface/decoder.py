"""Masks from embeddings and prompts, by the decoder of a model of ``transformers``.

Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...prompts import Embedding, Prompt
from ..decoding import Answer, BatchedDecoder, Pairs
from .families import FamilyConfig

CPU_BATCH, GPU_BATCH = 2, 32
"""Prompts in one call: more do not fit a processor's cache (SAM 2.1 tiny, one thread: 160 ms a prompt alone, 120 two at
once, 140 to 170 four); other devices need many to be busy."""


class FamilyDecoder(BatchedDecoder):
    """The net without its image encoder; prompts and masks are scaled as the family's own processor does it.

    Parameters
    ----------
    net : torch.nn.Module
    config : FamilyConfig
    image_processor : callable
        Returns the processor of the family, which scales masks up; may be called on any thread.
    device : str
    """

    def __init__(self, net: Any, config: FamilyConfig, image_processor: Callable[[], Any], device: str):
        on_cpu = device == "cpu"
        super().__init__(
            device,
            config.image_size,
            batch_size=CPU_BATCH if on_cpu else GPU_BATCH,
            mixes_images=not on_cpu,  # on a processor that saves nothing
            threads=1 if on_cpu else None,  # a layer takes a millisecond: threads that share it wait for each other
        )
        self.net, self.family, self._image_processor = net, config.family, image_processor

    def run(self, pairs: Pairs, multimask: bool, mask_input: Any = None) -> list[Answer]:
        """Decode one of the `batches`; call it within ``torch.inference_mode``.

        A single image is passed once for all its prompts; several images are passed once for each prompt.
        """
        import torch

        one = all(embedding is pairs[0][0] for embedding, _ in pairs)
        images = [self._image_tensors(embedding) for embedding, _ in (pairs[:1] if one else pairs)]
        prompts = [self._prompt_arguments(embedding, prompt) for embedding, prompt in pairs]
        rows, columns = self._grid
        output = self.net(
            **self.family.to_arguments({name: torch.stack([image[name] for image in images]) for name in images[0]}),
            **{name: torch.cat([prompt[name] for prompt in prompts], dim=1 if one else 0) for name in prompts[0]},
            input_masks=self._mask_tensor(mask_input, (4 * rows, 4 * columns)),
            multimask_output=multimask,
        )
        logits, scores = (
            values.flatten(0, 1).float().cpu().numpy() for values in (output.pred_masks, output.iou_scores)
        )
        return list(zip(logits, scores, strict=True))

    def full_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> Callable[..., NDArray[np.bool_]]:
        """Return a function that computes the (H, W) mask of an index, by the family's processor."""

        def full(index: int, out: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
            import torch

            # One at a time takes a third of the memory.
            given, frame = [torch.from_numpy(logits[index])[None, None]], [[embedding.input_size]]
            masks = self._image_processor().post_process_masks(
                given, [embedding.original_size], *([] if self.family.stretched else frame)
            )
            mask: NDArray[np.bool_] = masks[0][0, 0].numpy()
            if out is None:
                return mask
            out[:] = mask
            return out

        return full

    @property
    def _grid(self) -> tuple[int, int]:
        rows, columns = self.net.get_image_wide_positional_embeddings().shape[-2:]
        return rows, columns

    def _image_tensors(self, embedding: Embedding) -> dict[str, Any]:
        import torch

        tensors, grid = embedding.tensors, self._grid
        image = tensors.get("image_embedding")
        if set(tensors) != set(self.family.tensors) or image is None or image.shape[1:] != grid:
            got = {name: tensor.shape for name, tensor in tensors.items()}
            raise ModelError(
                f"The embedding is another model's: expected {', '.join(self.family.tensors)} of {grid} cells; "
                f"got {got}. Encode the image with this model."
            )
        return {name: torch.tensor(tensor, dtype=torch.float32, device=self.device) for name, tensor in tensors.items()}

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
