"""An exact, leaner forward for the image encoder's global attention on a CPU.

``segment_anything`` writes the whole attention matrix of a global block, 12 heads x 4096 x 4096 float32, 805 MB, and
four such matrices one after the other: half the time goes into memory the system has to hand out anew. Taking some
query rows at a time, in one buffer used again and again, does the same additions and multiplications in the same order,
and so gives the same bits in less than half the time and an eighth of the memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..settings import read

__all__ = ["QUERY_ROWS", "use_fast_attention", "wants_fast_attention"]

# Smaller pieces are no faster, and each piece is a meeting of all threads: with one head and 256 rows at a time ViT-B
# took longer than the official code on a machine busy with other work.
QUERY_ROWS = 512


def wants_fast_attention(wanted: bool | None = None) -> bool:
    """`wanted`, or when that is None: True unless the environment has ``SAMNB_FAST_ATTENTION=0``."""
    if wanted is not None:
        return wanted
    return read("SAMNB_FAST_ATTENTION") is not False


def use_fast_attention(encoder: Any, *, wanted: bool = True) -> int:
    """Swap the forward of an encoder's global-attention blocks, or swap it back.

    Parameters
    ----------
    encoder : torch.nn.Module
        A ``segment_anything`` ``ImageEncoderViT``; any other module is left as it is. For inference only: the
        fast forward keeps no gradients.
    wanted : bool
        False gives the official forward back.

    Returns
    -------
    int
        How many blocks were swapped.
    """
    from segment_anything.modeling.image_encoder import Attention

    swapped = 0
    for block in getattr(encoder, "blocks", ()):
        attention: Any = getattr(block, "attn", None)
        if type(attention) is not Attention or block.window_size != 0:
            continue
        attention.__dict__.pop("forward", None)
        if wanted:
            attention.forward = partial(_forward, attention)
        swapped += 1
    return swapped


def _forward(attention: Any, x: Any) -> Any:
    """``Attention.forward`` for x of shape (B, H, W, C), some image rows of queries at a time."""
    import torch

    batch, height, width, _ = x.shape
    heads, tokens = attention.num_heads, height * width
    qkv = attention.qkv(x).reshape(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.reshape(3, batch * heads, tokens, -1).unbind(0)
    bias = _bias(attention, q, height, width) if attention.use_rel_pos else None
    q, keys = q * attention.scale, k.transpose(-2, -1)
    rows = min(height, max(1, QUERY_ROWS // width))
    buffer = torch.empty((batch * heads, rows * width, tokens), dtype=q.dtype, device=q.device)
    out = torch.empty_like(v)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        span = slice(top * width, bottom * width)
        scores = torch.bmm(q[:, span], keys, out=buffer[:, : (bottom - top) * width])
        if bias is not None:
            grid = scores.view(batch * heads, bottom - top, width, height, width)
            grid += bias[0][:, top:bottom, :, :, None]
            grid += bias[1][:, top:bottom, :, None, :]
        out[:, span] = torch.bmm(torch.softmax(scores, dim=-1, out=scores), v)
    out = out.view(batch, heads, height, width, -1).permute(0, 2, 3, 1, 4).reshape(batch, height, width, -1)
    return attention.proj(out)


def _bias(attention: Any, q: Any, height: int, width: int) -> tuple[Any, Any]:
    """What each query adds for a key's row and for its column: (heads, H, W, H) and (heads, H, W, W)."""
    import torch
    from segment_anything.modeling.image_encoder import get_rel_pos

    grid = q.reshape(q.shape[0], height, width, -1)
    by_row = get_rel_pos(height, height, attention.rel_pos_h)
    by_column = get_rel_pos(width, width, attention.rel_pos_w)
    return torch.einsum("bhwc,hkc->bhwk", grid, by_row), torch.einsum("bhwc,wkc->bhwk", grid, by_column)
