"""A faster, exact forward for segment-anything's image encoder (ViT-B, L and H) on a CPU.

The official forward does the same arithmetic, but moves far more memory than needed. The differences:

* **Global attention.** The official code writes the whole attention matrix, for ViT-B 12 heads x 4096 x 4096 float32,
  805 MB, and four such matrices one after the other. Here one head and some image rows of queries are taken at a time,
  which the processor's cache can hold.
* **Window attention.** 64 x 64 tokens are padded to 70 x 70 for windows of 14. A padded token is zero when it comes
  to the linear layer, so its query, key and value are that layer's bias: they are written, not computed. Its query is
  never used. Windows in one strip of the image do not depend on other strips, so a strip goes through the
  whole block while it is in the cache.
* **Linear layers** take a block of tokens at a time, so that the hidden values, four times as wide, stay in the cache.
* **Products** are oneDNN's if torch includes it, GELU in the same pass: on an AMD EPYC (Zen 4) a linear layer
  takes 9 to 17 % less time than with MKL, which torch itself uses for float32, and attention 25 to 30 % less.
* **Position tables** are indexed once for each block and size, not in every forward.

The sums are those of the official forward; some are added up in another order, so the last digits differ.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

from ...settings import setting

# Smaller pieces are no faster, and each piece synchronises all threads.
QUERIES = 512
"""Queries of one head in one piece of global attention; whole image rows, at least one."""
TOKENS = 512
"""Tokens in one piece of a linear layer."""


def wants_fast_encoder(wanted: bool | None = None) -> bool:
    """`wanted`, or when that is None: True unless the environment has ``SAMNB_FAST_ATTENTION=0``."""
    return setting("SAMNB_FAST_ATTENTION") is not False if wanted is None else wanted


def use_fast_encoder(encoder: Any, *, wanted: bool = True) -> bool:
    """Replace an image encoder's forward by the one in this module, or restore it.

    The weights must be in place: values computed from them are kept. Hooks of the encoder's parts are not called. With
    gradients, under autocast, on another device or in another precision than float32 the official forward runs.

    Parameters
    ----------
    encoder : torch.nn.Module
        A ``segment_anything`` ``ImageEncoderViT``; any other module, also a subclass, is left as it is.
    wanted : bool
        False restores the official forward.

    Returns
    -------
    bool
        Whether the forward of this encoder can be replaced.
    """
    if not _is_known(encoder):
        return False
    encoder.__dict__.pop("forward", None)
    if wanted:
        encoder.forward = partial(_forward, encoder, [_Layer(block) for block in encoder.blocks])
    return True


def _is_known(encoder: Any) -> bool:
    from segment_anything.modeling.common import MLPBlock
    from segment_anything.modeling.image_encoder import Attention, Block, ImageEncoderViT
    from torch.nn import GELU, LayerNorm, Linear

    # An adapted net has other modules in place of some parts: it keeps its own forward.
    expected = {
        **{
            "": Block,
            "norm1": LayerNorm,
            "norm2": LayerNorm,
            "attn": Attention,
            "attn.qkv": Linear,
            "attn.proj": Linear,
        },
        **{"mlp": MLPBlock, "mlp.lin1": Linear, "mlp.lin2": Linear, "mlp.act": GELU},
    }

    def known(block: Any) -> bool:
        parts = dict(block.named_modules(remove_duplicate=False))
        same = {name: type(part) for name, part in parts.items()} == expected
        return same and parts["mlp.act"].approximate == "none"

    return type(encoder) is ImageEncoderViT and all(known(block) for block in encoder.blocks)


class _Layer:
    """One transformer block, and values computed from its weights."""

    def __init__(self, block: Any):
        import torch

        self.block, self.attention = block, block.attn
        self.window, self.heads, self.scale = block.window_size, block.attn.num_heads, block.attn.scale
        linear = block.attn.qkv
        self.qkv_bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias
        self._tables: dict[tuple[int, int], tuple[Any, Any]] = {}

    def project(self, x: Any, *, out: Any) -> None:
        """Queries, keys and values of tokens (n, dim) into `out` (n, 3 * dim)."""
        out.copy_(_linear(self.block.norm1(x), self.attention.qkv.weight, self.qkv_bias))

    def bias(self, q: Any, size: tuple[int, int]) -> tuple[Any, ...]:
        """Position bias of queries (n, rows, columns, d) for a key's row, (n, rows, columns, h, 1), and its column.

        The second is (n, rows, columns, 1, w), for keys on a grid (h, w) whose first rows and columns are the
        queries'. Empty if the net has no position tables.
        """
        import torch

        if not self.attention.use_rel_pos:
            return ()
        by_row, by_column = self._table(size)
        rows = torch.einsum("nhwd,hkd->nhwk", q, by_row[: q.shape[1]])
        columns = torch.einsum("nhwd,wkd->nhwk", q, by_column[: q.shape[2]])
        return rows[..., None], columns[..., None, :]

    def _table(self, size: tuple[int, int]) -> tuple[Any, Any]:
        """Position vectors of each distance along one side: (h, h, d) and (w, w, d)."""
        from segment_anything.modeling.image_encoder import get_rel_pos

        if size not in self._tables:
            tables = (self.attention.rel_pos_h, self.attention.rel_pos_w)
            by_row, by_column = (get_rel_pos(n, n, table) for n, table in zip(size, tables, strict=True))
            self._tables[size] = by_row, by_column
        return self._tables[size]


def _forward(encoder: Any, layers: list[_Layer], images: Any) -> Any:
    """``ImageEncoderViT.forward``: (B, 3, H, W) to (B, C, h, w); one image after the other."""
    import torch

    plain = images.device.type == "cpu" and images.dtype == encoder.patch_embed.proj.weight.dtype == torch.float32
    if not plain or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return type(encoder).forward(encoder, images)
    return torch.cat([_encode(encoder, layers, images[n : n + 1]) for n in range(len(images))])


def _encode(encoder: Any, layers: list[_Layer], image: Any) -> Any:
    """One image (1, 3, H, W) to (1, C, h, w); `x` holds its tokens, (h, w, dim), and is changed in place."""
    x = encoder.patch_embed(image)
    x = (x if encoder.pos_embed is None else x + encoder.pos_embed)[0].contiguous()
    for layer in layers:
        if layer.window:
            _window_block(layer, x)
        else:
            _global_block(layer, x)
    return encoder.neck(x.permute(2, 0, 1)[None])


def _global_block(layer: _Layer, x: Any) -> None:
    """Every token attends to every token; x (h, w, dim) in place."""
    import torch

    height, width, dim = x.shape
    tokens = x.view(-1, dim)
    qkv = torch.empty((len(tokens), 3 * dim))
    for piece in _pieces(len(tokens), TOKENS):
        layer.project(tokens[piece], out=qkv[piece])
    attended = torch.empty_like(tokens)
    rows = min(height, max(1, QUERIES // width))
    heads = qkv.view(len(tokens), 3, layer.heads, -1)
    outs = attended.view(len(tokens), layer.heads, -1)
    for head in range(layer.heads):
        q, k, v = (each.contiguous() for each in heads[:, :, head].unbind(1))
        bias = layer.bias(q.view(1, height, width, -1), (height, width))
        q = q * layer.scale
        for top, bottom in ((span.start, span.stop) for span in _pieces(height, rows)):
            span = slice(top * width, bottom * width)
            scores = _linear(q[span], k)
            for part in bias:
                scores.view(bottom - top, width, height, width).add_(part[0, top:bottom])
            outs[span, head] = _linear(torch.softmax(scores, dim=-1, out=scores), v.t())
    _after_attention(layer, tokens, attended)


def _window_block(layer: _Layer, x: Any) -> None:
    """Every token attends to those of its window, padding included; x (h, w, dim) in place, strip by strip."""
    import torch

    height, width, dim = x.shape
    side = layer.window
    count = -(-width // side)
    # (q k v, window, head, row, column, d): positions without a token keep the values of a padded token.
    windows = torch.empty((3, count, layer.heads, side, side, dim // layer.heads))
    padding = layer.qkv_bias.view(3, 1, layer.heads, 1, 1, -1)
    windows[:] = padding
    whole = width // side
    for strip in _pieces(height, side):
        tokens = x[strip].view(-1, dim)
        rows = strip.stop - strip.start
        windows[:, :, :, rows:] = padding
        qkv = torch.empty((len(tokens), 3 * dim))
        for piece in _pieces(len(tokens), TOKENS):
            layer.project(tokens[piece], out=qkv[piece])
        qkv = qkv.view(rows, width, 3, layer.heads, -1)
        attended = torch.empty((rows, width, layer.heads, dim // layer.heads))
        for group, columns in ((slice(0, whole), side), (slice(whole, count), width % side)):
            if group.start == group.stop:
                continue
            part = slice(group.start * side, group.start * side + (group.stop - group.start) * columns)
            # the axes of qkv: (row, window, column, q k v, head, d)
            windows[:, group, :, :rows, :columns] = qkv[:, part].unflatten(1, (-1, columns)).permute(3, 1, 4, 0, 2, 5)
            q, k, v = windows[:, group].flatten(1, 2)
            out = _attend(layer, q[:, :rows, :columns], k, v)
            out = out.unflatten(0, (-1, layer.heads)).permute(2, 0, 3, 1, 4)
            attended[:, part].unflatten(1, (-1, columns)).copy_(out)
        _after_attention(layer, tokens, attended.view(len(tokens), dim))


def _attend(layer: _Layer, q: Any, k: Any, v: Any) -> Any:
    """Queries (n, rows, columns, d) on keys and values (n, side, side, d); gives (n, rows, columns, d)."""
    import torch

    n, rows, columns, d = q.shape
    side = k.shape[1]
    q = q.contiguous()
    keys = k.reshape(n, side * side, d).transpose(1, 2)
    scores = torch.bmm((q * layer.scale).view(n, rows * columns, d), keys)
    for part in layer.bias(q, (side, side)):
        scores.view(n, rows, columns, side, side).add_(part)
    scores = torch.softmax(scores, dim=-1, out=scores)
    return torch.bmm(scores, v.reshape(n, side * side, d)).view(n, rows, columns, d)


def _after_attention(layer: _Layer, tokens: Any, attended: Any) -> None:
    """The attention's last linear layer, the residuals and the MLP; tokens (n, dim) in place."""
    block, proj, mlp = layer.block, layer.block.attn.proj, layer.block.mlp
    for piece in _pieces(len(tokens), TOKENS):
        x = tokens[piece]
        x.add_(_linear(attended[piece], proj.weight, proj.bias))
        hidden = _linear(block.norm2(x), mlp.lin1.weight, mlp.lin1.bias, gelu=True)
        x.add_(_linear(hidden, mlp.lin2.weight, mlp.lin2.bias))


def _linear(x: Any, weight: Any, bias: Any = None, *, gelu: bool = False) -> Any:
    """A linear layer on (n, in) with weight (out, in), and then the exact GELU if `gelu`."""
    return (_onednn if _has_onednn() else _plain)(x, weight, bias, gelu=gelu)


def _plain(x: Any, weight: Any, bias: Any, *, gelu: bool) -> Any:
    import torch

    out = torch.nn.functional.linear(x, weight, bias)
    return torch.ops.aten.gelu_(out) if gelu else out


def _onednn(x: Any, weight: Any, bias: Any, *, gelu: bool) -> Any:
    # Weights in oneDNN's own order would be 2 to 5 % faster, but they are a second copy of the network.
    import torch

    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")


@lru_cache(maxsize=1)
def _has_onednn() -> bool:
    """Whether torch has oneDNN's linear layer, which is no public name, and it computes the same."""
    import torch

    # On other machines torch may have it without the routines that make it fast.
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.linspace(-2, 2, 96).view(6, 16), torch.linspace(-1, 1, 128).view(8, 16), torch.ones(8)
    cases = [(weight, bias, False), (weight, bias, True), (weight.t().contiguous().t(), None, False)]
    try:
        found = [_onednn(x, each, add, gelu=gelu) for each, add, gelu in cases]
    except (AttributeError, RuntimeError, TypeError):  # a torch without it, or with other arguments
        return False
    expected = [_plain(x, each, add, gelu=gelu) for each, add, gelu in cases]
    return all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


def _pieces(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(length, start + size))
