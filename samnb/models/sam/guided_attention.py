"""`guided_attention`: a mask decoder whose prompts attend more to some cells of the image, without training.

PerSAM (Zhang et al. 2023, arXiv:2305.03048, section 3.2) draws the attention of segment-anything's decoder to cells
that look like an example. It changes the attention of the prompt's tokens to cells in each block, not that of the
last layer, and not that of cells to tokens. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import sqrt
from typing import Any


@contextmanager
def guided_attention(mask_decoder: Any, weights: Any) -> Iterator[Any]:
    """Multiply the attention to each cell by its weight, renormalised, within this context; gives the decoder.

    Parameters
    ----------
    mask_decoder : MaskDecoder
        Built of segment-anything's own layers; meanwhile for the calling thread alone.
    weights : (h, w) tensor
        For each cell of its grid, above 0.
    """
    bias = weights.flatten().log()
    attentions = [layer.cross_attn_token_to_image for layer in mask_decoder.transformer.layers]
    for attention in attentions:
        attention.forward = partial(_forward, attention, bias)
    try:
        yield mask_decoder
    finally:
        for attention in attentions:
            del attention.forward


def _forward(attention: Any, bias: Any, q: Any, k: Any, v: Any) -> Any:
    """``Attention.forward`` on (B, tokens, C), (B, cells, C) and (B, cells, C), with `bias` (cells,) to each row."""
    parts = ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    q, k, v = (linear(rows).unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for linear, rows in parts)
    weights = (q @ k.transpose(2, 3) / sqrt(q.shape[3]) + bias).softmax(3)
    return attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
