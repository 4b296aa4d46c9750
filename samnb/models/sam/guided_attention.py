"""A mask decoder whose prompts look more at some cells of the image than at others, without training.

PerSAM (Zhang et al. 2023, arXiv:2305.03048, section 3.2) draws the attention of segment-anything's decoder to cells
that look like an example. It concerns what the prompt's tokens look at in each block, not the last look, and not what
cells look at. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import sqrt
from typing import Any

__all__ = ["guided"]


@contextmanager
def guided(mask_decoder: Any, weights: Any) -> Iterator[Any]:
    """While inside, attention to cells is multiplied by their weights and shared out anew; gives the decoder.

    Parameters
    ----------
    mask_decoder : MaskDecoder
        Built of segment-anything's own layers; for the calling thread alone meanwhile.
    weights : (h, w) tensor
        For each cell of its grid, above 0.
    """
    added = weights.flatten().log()
    looks = [layer.cross_attn_token_to_image for layer in mask_decoder.transformer.layers]
    for look in looks:
        look.forward = partial(_forward, look, added)
    try:
        yield mask_decoder
    finally:
        for look in looks:
            del look.forward


def _forward(attention: Any, added: Any, q: Any, k: Any, v: Any) -> Any:
    """``Attention.forward`` on (B, tokens, C), (B, cells, C) and (B, cells, C), with `added` (cells,) to each row."""
    parts = ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    q, k, v = (linear(rows).unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for linear, rows in parts)
    shares = (q @ k.transpose(2, 3) / sqrt(q.shape[3]) + added).softmax(3)
    return attention.out_proj((shares @ v).transpose(1, 2).flatten(2))
