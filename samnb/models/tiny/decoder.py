"""From an entry and prompts in image pixels to logits and scores: `MaskDecoder` behind `BatchedDecoder`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...prompts import Embedding, Prompt
from ..decoding import Answer, BatchedDecoder, Pairs
from ..upscaling import upscale_mask, upscale_with_stability
from .config import FINE_DIM, LOGIT_STRIDE, MASKS, MIDDLE_DIM, SEMANTIC_DIM

if TYPE_CHECKING:
    from .layers import Prompts
    from .mask_decoder import ImageSide, MaskDecoder

STABLE = 1.0
"""The threshold on logits is raised and lowered by this much to see how stable a mask is."""

BATCH = 2
"""Prompts in one call: more do not fit a processor's cache (one: 18 ms a prompt, two: 16, four: 23; AMD EPYC)."""

MIDDLE_WEIGHT = 0.8
"""What it counts in the choice among candidates that the only click lies in a mask's middle."""

KEPT_IMAGES = 4
"""Images whose side of the decoder is kept: 3 MB each."""


class Decoder(BatchedDecoder):
    """The prompt side, with what it computed of the last few images.

    Parameters
    ----------
    net : MaskDecoder
    frame : int
        Side of the square that images were scaled to, in pixels.
    refine : bool
        Whether the second pass is taken.
    device : str
    """

    def __init__(self, net: MaskDecoder, *, frame: int, refine: bool, device: str):
        self.net, self.refine = net, refine
        threads = 1 if device == "cpu" else None  # its layers are small: threads wait for each other
        super().__init__(device, frame, batch_size=BATCH, mixes_images=False, threads=threads)
        self._sides: list[tuple[weakref.ref[Embedding], ImageSide]] = []
        self._sides_lock = Lock()

    def run(self, pairs: Pairs, multimask: bool, mask_input: Any = None) -> list[Answer]:
        """Decode prompts of one shape on one image; call it within ``torch.inference_mode``."""
        embedding, prompts = pairs[0][0], [prompt for _, prompt in pairs]
        masks, estimates, _ = self.candidates(embedding, prompts, mask_input, multimask=multimask)
        if multimask:
            clicks = [self.lone_click(embedding, prompt) for prompt in prompts]
            estimates = np.stack([ranked(*each) for each in zip(masks, estimates, clicks, strict=True)])
        return list(zip(masks, estimates, strict=True))

    def candidates(
        self, embedding: Embedding, prompts: Sequence[Prompt], mask_input: Any = None, *, multimask: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Logits (B, N, 2 h, 2 w), estimated IoUs (B, N), and the first pass's single answers, logits (B, h, w)."""
        import torch

        side = self.image_size // LOGIT_STRIDE
        given = self._prompts(embedding, prompts, self._mask_tensor(mask_input, (side, side)))
        images = self._side_of(embedding)
        owners = torch.zeros(len(prompts), dtype=torch.long, device=self.device)
        answer = self.net.first_pass(images, owners, given)
        wanted = list(range(1, MASKS)) if multimask else [0]
        count = len(wanted)
        if self.refine:
            which = torch.tensor([wanted], device=self.device).expand(len(prompts), -1)
            drawn = self.net.second_pass(images, answer, which)
            logits, scores = drawn.in_frame()[:, 0], drawn.scores
        else:
            logits = torch.nn.functional.interpolate(answer.logits[:, wanted], scale_factor=2.0, mode="bilinear")
            logits, scores = logits.flatten(0, 1), answer.scores[:, wanted].flatten()
        masks = logits.float().cpu().numpy().reshape(len(prompts), count, side, side)
        estimates = torch.sigmoid(scores).float().cpu().numpy().reshape(len(prompts), count)
        return masks, estimates, answer.logits[:, 0].float().cpu().numpy()

    def lone_click(self, embedding: Embedding, prompt: Prompt) -> tuple[int, int] | None:
        """The cell (x, y) of the logits that a prompt of one foreground click and nothing else points to."""
        if prompt.box is not None or list(prompt.point_labels) != [1]:
            return None
        scale = np.array(embedding.input_size[::-1], float) / np.array(embedding.original_size[::-1], float)
        at = (np.asarray(prompt.points[0], float) + 0.5) * scale / LOGIT_STRIDE
        x, y = np.clip(at.astype(int), 0, self.image_size // LOGIT_STRIDE - 1).tolist()
        return x, y

    def full_masks(self, logits: NDArray[np.float32], embedding: Embedding) -> Callable[..., NDArray[np.bool_]]:
        """Return a function that computes the (H, W) mask of an index."""
        sizes: Any = {"input_size": embedding.input_size, "original_size": embedding.original_size}

        def full(index: int, out: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
            return upscale_mask(logits[index], frame=self.image_size, out=out, **sizes)

        return full

    def stable_mask(
        self, logits: NDArray[np.float32], embedding: Embedding, index: int, offset: float
    ) -> tuple[NDArray[np.bool_], float]:
        """The mask and its stability in one pass; see `BatchedDecoder.stable_mask`."""
        sizes: Any = {"input_size": embedding.input_size, "original_size": embedding.original_size}
        return upscale_with_stability(logits[index], offset, frame=self.image_size, **sizes)

    def _side_of(self, embedding: Embedding) -> ImageSide:
        """The image side of an embedding, kept for the last few images."""
        with self._sides_lock:
            for owner, side in self._sides:
                if owner() is embedding:
                    return side
            side = self.net.image_side(self._entry(embedding))
            self._sides = [(weakref.ref(embedding), side), *self._sides[: KEPT_IMAGES - 1]]
            return side

    def _entry(self, embedding: Embedding) -> dict[str, Any]:
        import torch

        cells = self.image_size // 16
        expected = {
            "semantic": (SEMANTIC_DIM, cells, cells),
            "middle": (MIDDLE_DIM, 2 * cells, 2 * cells),
            "fine": (FINE_DIM, 4 * cells, 4 * cells),
            "colours": (3, 8 * cells, 8 * cells),
        }
        got = {name: tuple(values.shape) for name, values in embedding.tensors.items()}
        if {name: shape for name, shape in got.items() if name in expected} != expected:
            raise ModelError(
                f"The embedding is another model's: expected {expected}; got {got}. Encode the image with this model."
            )
        return {
            name: torch.tensor(np.asarray(embedding.tensors[name], np.float32), device=self.device)[None]
            for name in expected
        }

    def _prompts(self, embedding: Embedding, prompts: Sequence[Prompt], earlier: Any) -> Prompts:
        """Prompts of one shape in pixels of the frame."""
        import torch

        from .layers import Prompts

        scale = np.array(embedding.input_size[::-1], float) / np.array(embedding.original_size[::-1], float)
        points = np.stack([(np.asarray(prompt.points, float).reshape(-1, 2) + 0.5) * scale for prompt in prompts])
        labels = np.stack([np.asarray(prompt.point_labels, float) for prompt in prompts])
        boxes = np.full((len(prompts), 4), -1.0)
        for row, prompt in zip(boxes, prompts, strict=True):
            if prompt.box is not None:
                row[:] = np.asarray(prompt.box) * np.tile(scale, 2)
        at, kinds, corners = (torch.from_numpy(values).float().to(self.device) for values in (points, labels, boxes))
        return Prompts(at, kinds, corners, earlier)


def ranked(
    masks: NDArray[np.float32], estimates: NDArray[np.float32], click: tuple[int, int] | None = None
) -> NDArray[np.float32]:
    """Estimates of IoU, changed so that the highest belongs to the mask that most likely is meant.

    A small net's estimate alone ranks masks less well than their stability does (EdgeSAM, 2023), and people click in
    the middle of what they mean. The weights ranked best on pictures that are neither trained on nor in the
    evaluation set, see ``training/ranking.py``.

    Parameters
    ----------
    masks : (N, h, w) float32
        Logits of the candidates.
    estimates : (N,) float32
        0 to 1.
    click : tuple of int, optional
        The cell (x, y) of the only click; None where there are more clicks, or a box.

    Returns
    -------
    (N,) float32
        0 to 1: the likeliest mask keeps its estimate, and none of the others has a higher one.
    """
    likely = estimates + stability(masks)
    if click is not None:
        likely = likely + MIDDLE_WEIGHT * middleness(masks, click)
    top = int(likely.argmax())
    return np.minimum(estimates, estimates[top] * np.exp(likely - likely[top])).astype(np.float32)


def middleness(logits: NDArray[np.float32], click: tuple[int, int]) -> NDArray[np.float32]:
    """How deep in each mask (N, h, w) a cell (x, y) lies, as a share of the mask's greatest depth, (N,) 0 to 1."""
    x, y = click
    shares = np.zeros(len(logits), np.float32)
    for number, mask in enumerate(logits > 0):
        depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)
        shares[number] = depth[y + 1, x + 1] / max(float(depth.max()), 1.0)
    return shares


def stability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How little masks (..., h, w) depend on where the threshold lies: IoU of a raised and a lowered one, (...)."""
    high, low = (logits > STABLE).sum((-2, -1)), (logits > -STABLE).sum((-2, -1))
    return (high / np.maximum(low, 1)).astype(np.float32)
