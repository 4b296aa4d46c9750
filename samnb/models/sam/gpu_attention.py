"""segment-anything's attention by the flash kernels that torch has for GPUs; the same function, other rounding.

The relative positions are a bias on every pair of tokens, and a flash kernel takes a bias only as the whole matrix:
12 heads x 4096 x 4096 in a global block of ViT-B. But the bias of query i and key j is
``rel_h[i, row of j] + rel_w[i, column of j]``, and that is a dot product: with

    q' = [q * scale, rel_h, rel_w]        k' = [k, one-hot of the row, one-hot of the column]

``q' k'`` is the official attention's matrix, and scaled_dot_product_attention needs no bias. samnb itself measured it
on no GPU; on a CPU the blockwise forward of `samnb.models.sam.fast_encoder` is faster.
"""

from __future__ import annotations

from functools import partial
from typing import Any

_MULTIPLE = 8
"""Flash kernels need q, k and v of the same length, a multiple of this."""


def use_gpu_attention(encoder: Any, *, wanted: bool = True) -> int:
    """Replace the forward of an encoder's attention, global and in windows, or restore it.

    Parameters
    ----------
    encoder : torch.nn.Module
        A ``segment_anything`` ``ImageEncoderViT``; any other module is left as it is.
    wanted : bool
        False restores the official forward.

    Returns
    -------
    int
        Number of blocks changed.
    """
    from segment_anything.modeling.image_encoder import Attention

    swapped = 0
    for block in getattr(encoder, "blocks", ()):
        attention: Any = getattr(block, "attn", None)
        if type(attention) is not Attention:
            continue
        attention.__dict__.pop("forward", None)
        if wanted:
            attention.forward = partial(_forward, attention)
        swapped += 1
    return swapped


def _forward(attention: Any, x: Any) -> Any:
    """``Attention.forward`` for x of shape (B, H, W, C)."""
    import torch

    batch, height, width, _ = x.shape
    tokens = height * width
    qkv = attention.qkv(x).reshape(batch, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)  # (B, heads, tokens, C / heads)
    depth = v.shape[-1]
    if attention.use_rel_pos:
        q, k = _folded(attention, q, k, height, width)
    else:
        q = q * attention.scale
    longest = -(-q.shape[-1] // _MULTIPLE) * _MULTIPLE
    q, k, v = (torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :depth]
    return attention.proj(out.transpose(1, 2).reshape(batch, height, width, -1))


def _folded(attention: Any, q: Any, k: Any, height: int, width: int) -> tuple[Any, Any]:
    """q' and k': (B, heads, tokens, C / heads + H + W)."""
    import torch
    from segment_anything.modeling.image_encoder import get_rel_pos

    grid = q.unflatten(2, (height, width))
    by_row = get_rel_pos(height, height, attention.rel_pos_h).to(q.dtype)
    by_column = get_rel_pos(width, width, attention.rel_pos_w).to(q.dtype)
    rel_h = torch.einsum("bnhwc,hkc->bnhwk", grid, by_row).flatten(2, 3).to(q.dtype)
    rel_w = torch.einsum("bnhwc,wkc->bnhwk", grid, by_column).flatten(2, 3).to(q.dtype)
    rows = torch.eye(height, dtype=k.dtype, device=k.device).repeat_interleave(width, dim=0)
    columns = torch.eye(width, dtype=k.dtype, device=k.device).repeat(height, 1)
    where = torch.cat([rows, columns], dim=1).expand(*k.shape[:2], -1, -1)
    return torch.cat([q * attention.scale, rel_h, rel_w], dim=-1), torch.cat([k, where], dim=-1)
