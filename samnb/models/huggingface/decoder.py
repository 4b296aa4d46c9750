"""From embeddings and prompts to masks by the second half of a net of ``transformers``.

Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError, PromptError
from ...prompts import Embedding, LazyMasks, Prompt
from ..devices import on_threads
from ..sam.decoder import MOST_WORKERS, Answer
from ..upscaling import small_mask
from .families import Family, Settings

__all__ = ["FamilyDecoder"]

AT_ONCE, AT_ONCE_ELSEWHERE = 2, 32
"""Prompts in one call: on a processor more leave its cache (SAM 2.1 tiny, one thread: 160 ms a prompt alone, 120 two at
once, 140 to 170 four); other devices want to be filled."""


class FamilyDecoder:
    """The net without its image encoder, fed as the family's own processor feeds it.

    Parameters
    ----------
    net : torch.nn.Module
    settings : Settings
    image_processor : callable
        Gives the family's own, which scales masks up; any thread may ask for them.
    device : str
    """

    def __init__(self, net: Any, settings: Settings, image_processor: Callable[[], Any], device: str):
        self.net, self.settings, self.device = net, settings, device
        self.family: Family = settings.family
        self._image_processor = image_processor
        self.mixes = device != "cpu"
        """Whether one call may take several images: on a processor that saves nothing."""

    def portions(self, pairs: Sequence[tuple[Embedding, Prompt]]) -> Iterator[list[int]]:
        """The numbers of pairs that one call of `run` may take: prompts of the same shape, and not too many.

        Padding a prompt with points that are none would change its masks.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, (embedding, prompt) in enumerate(pairs):
            shape = (len(prompt.points), prompt.box is not None, 0 if self.mixes else id(embedding))
            groups.setdefault(shape, []).append(number)
        most = AT_ONCE_ELSEWHERE if self.mixes else AT_ONCE
        for numbers in groups.values():
            yield from (numbers[start : start + most] for start in range(0, len(numbers), most))

    def run(
        self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool = True, mask_input: Any = None
    ) -> list[Answer]:
        """The answers to one of the `portions` of pairs; call it within ``torch.inference_mode``.

        One image is handed over once for all its prompts; of several images each with its own.
        """
        import torch

        one = all(embedding is pairs[0][0] for embedding, _ in pairs)
        images = [self._image_tensors(embedding) for embedding, _ in (pairs[:1] if one else pairs)]
        prompts = [self._prompt_arguments(embedding, prompt) for embedding, prompt in pairs]
        answer = self.net(
            **self.family.arguments({name: torch.stack([image[name] for image in images]) for name in images[0]}),
            **{name: torch.cat([prompt[name] for prompt in prompts], dim=1 if one else 0) for name in prompts[0]},
            input_masks=self._mask_input(mask_input),
            multimask_output=multimask,
        )
        logits, scores = (
            values.flatten(0, 1).float().cpu().numpy() for values in (answer.pred_masks, answer.iou_scores)
        )
        return list(zip(logits, scores, strict=True))

    @property
    def workers(self) -> int:
        """How many portions are best run beside each other: on a processor, one for each thread of torch's."""
        if self.device != "cpu":
            return 1
        import torch

        return min(torch.get_num_threads(), MOST_WORKERS)

    def run_beside(self, portions: Sequence[Sequence[tuple[Embedding, Prompt]]], multimask: bool) -> list[list[Answer]]:
        """`run` of each portion, each on a thread of its own if there are several."""
        if len(portions) == 1:
            return [self.run(portions[0], multimask)]
        with ThreadPoolExecutor(len(portions)) as pool:
            return list(pool.map(lambda portion: self._run_alone(portion, multimask), portions))

    def _run_alone(self, pairs: Sequence[tuple[Embedding, Prompt]], multimask: bool) -> list[Answer]:
        import torch

        with torch.inference_mode(), on_threads(1):  # both hold for the thread that says so
            return self.run(pairs, multimask)

    def masks_of(self, logits: NDArray[np.float32], embedding: Embedding) -> LazyMasks:
        """The masks of (N, h, w) logits, made when they are asked for."""
        full = self.full_masks(logits, embedding)

        def make(index: int, out: NDArray[np.bool_]) -> None:
            out[:] = full(index)

        return LazyMasks(len(logits), embedding.original_size, make)

    def full_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> Callable[[int], NDArray[np.bool_]]:
        """What gives the (H, W) mask of an index, made anew each time by the family's own hand."""

        def full(index: int) -> NDArray[np.bool_]:
            import torch

            # One at a time takes a third of the memory.
            given, frame = [torch.from_numpy(logits[index])[None, None]], [[embedding.input_size]]
            masks = self._image_processor().post_process_masks(
                given, [embedding.original_size], *([] if self.family.stretched else frame)
            )
            mask: NDArray[np.bool_] = masks[0][0, 0].numpy()
            return mask

        return full

    def small_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """Masks (..., h, w) of the image at the size of the logits, without the frame's padding."""
        return small_mask(logits, frame=self.settings.image_size, input_size=embedding.input_size)

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

    def _mask_input(self, mask_input: Any) -> Any:
        import torch

        if mask_input is None:
            return None
        array = np.asarray(mask_input, dtype=np.float32)
        rows, columns = self._grid
        size = (4 * rows, 4 * columns)
        if array.shape not in (size, (1, *size)):
            raise PromptError(
                f"mask_input: expected one of the low_res_logits of a prediction, shape {size}; got {array.shape}."
            )
        return torch.tensor(array, device=self.device).reshape(1, 1, *size)
