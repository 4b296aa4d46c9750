"""`BatchedDecoder`: what the mask decoders of all families share, from batches of prompts to masks.

Sizes are (H, W), points (x, y) in image pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PromptError
from ..prompts import Embedding, LazyMasks, Prompt
from .devices import on_threads
from .upscaling import small_mask

MAX_WORKERS = 8
"""Batches decoded in parallel; each takes about 100 MB."""

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Logits (N, h, w) and scores (N,) of one prompt."""

Pairs = Sequence[tuple[Embedding, Prompt]]
"""Prompts, each with the embedding it is about."""


class BatchedDecoder(ABC):
    """Decodes prompts on embeddings, several in one call of the net.

    Parameters
    ----------
    device : str
    image_size : int
        Side of the model's square input frame, in pixels.
    batch_size : int
        Largest number of prompts in one call.
    mixes_images : bool
        Whether one call may take prompts on several images.
    threads : int or None
        Number of torch's threads for one call; None leaves it to torch.
    parallel : bool, optional
        Whether several batches are decoded side by side, on a thread each. None: where one call has one thread.
    """

    def __init__(
        self,
        device: str,
        image_size: int,
        *,
        batch_size: int,
        mixes_images: bool,
        threads: int | None,
        parallel: bool | None = None,
    ):
        self.device, self.image_size = device, image_size
        self.batch_size, self.mixes_images, self.threads = batch_size, mixes_images, threads
        self.parallel = threads == 1 if parallel is None else parallel

    @abstractmethod
    def run(self, pairs: Pairs, multimask: bool, mask_input: Any = None) -> list[Answer]:
        """Decode one of the `batches`; call it within ``torch.inference_mode``."""

    @abstractmethod
    def full_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> Callable[..., NDArray[np.bool_]]:
        """Return a function that computes the (H, W) mask of an index; `out`, all False, is where to write it."""

    def batches(self, pairs: Pairs) -> Iterator[list[int]]:
        """Group the indices of `pairs` into batches of prompts with the same number of points, and box or no box.

        No prompt is padded to the length of another: that would change its masks.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        size = self.batch_size
        for number, (embedding, prompt) in enumerate(pairs):
            shape = (len(prompt.points), prompt.box is not None, 0 if self.mixes_images else id(embedding))
            groups.setdefault(shape, []).append(number)
        for numbers in groups.values():
            yield from (numbers[start : start + size] for start in range(0, len(numbers), size))

    @property
    def workers(self) -> int:
        """Number of batches to decode side by side: one for each of torch's threads, where that is allowed."""
        if not self.parallel:
            return 1
        import torch

        return min(torch.get_num_threads(), MAX_WORKERS)

    def run_parallel(self, batches: Sequence[Pairs], multimask: bool, workers: int) -> list[list[Answer]]:
        """`run` for each batch, on `workers` threads if there are several."""
        if len(batches) == 1 or workers == 1:
            return [self.run(batch, multimask) for batch in batches]
        with ThreadPoolExecutor(min(len(batches), workers)) as pool:
            return list(pool.map(lambda batch: self._run_on_thread(batch, multimask), batches))

    def _run_on_thread(self, pairs: Pairs, multimask: bool) -> list[Answer]:
        import torch

        with torch.inference_mode(), on_threads(1):  # both hold for the calling thread only
            return self.run(pairs, multimask)

    def masks_of(self, logits: NDArray[np.float32], embedding: Embedding) -> LazyMasks:
        """Masks of (N, h, w) logits, each computed when it is first read."""
        full = self.full_masks(logits, embedding)

        def make(index: int, out: NDArray[np.bool_]) -> None:
            full(index, out=out)

        return LazyMasks(len(logits), embedding.original_size, make)

    def mask_above(
        self, logits: NDArray[np.float32], embedding: Embedding, index: int, level: float
    ) -> NDArray[np.bool_]:
        """The (H, W) mask of an index above a level of its logits."""
        # Scaling up makes weighted means, so a level may be subtracted before.
        return self.full_masks(logits[index, None] - np.float32(level), embedding)(0)

    def stable_mask(
        self, logits: NDArray[np.float32], embedding: Embedding, index: int, offset: float
    ) -> tuple[NDArray[np.bool_], float]:
        """The (H, W) mask of an index, and the IoU of the masks above `offset` and above its negative, 0 to 1."""
        mask, high, low = (
            self.full_masks(logits[index, None] - np.float32(level), embedding)(0) for level in (0, offset, -offset)
        )
        return mask, float(high.sum() / max(1, low.sum()))

    def small_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> NDArray[np.bool_]:
        """Masks (..., h, w) of the image at the size of the logits, without the frame's padding."""
        return small_mask(logits, frame=self.image_size, input_size=embedding.input_size)

    def _mask_tensor(self, mask_input: Any, size: tuple[int, ...]) -> Any:
        """Check a `mask_input` of shape `size` and bring it to the device as (1, 1, h, w); None stays None."""
        import torch

        if mask_input is None:
            return None
        try:
            array = np.asarray(mask_input, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise PromptError(f"mask_input: expected numbers ({error}).") from error
        if not np.isfinite(array).all():
            raise PromptError("mask_input: expected finite numbers, one of the low_res_logits of a prediction.")
        if array.shape not in (size, (1, *size)):
            raise PromptError(
                f"mask_input: expected one of the low_res_logits of a prediction, shape {size}; got {array.shape}."
            )
        return torch.tensor(array, device=self.device).reshape(1, 1, *size)
