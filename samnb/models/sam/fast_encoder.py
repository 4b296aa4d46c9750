"""A faster, exact forward for segment-anything's image encoder (ViT-B, L and H) on a CPU.

The official forward does the same arithmetic, but moves far more memory than needed. The differences:

* **Global attention.** The official code writes the whole attention matrix, for ViT-B 12 heads x 4096 x 4096 float32,
  805 MB, and four such matrices one after the other. Here one head and some image rows of queries are taken at a time,
  which the processor's cache can hold.
* **Window attention.** 64 x 64 tokens are padded to 70 x 70 for windows of 14. A padded token is zero when it comes
  to the linear layer, so its query, key and value are that layer's bias: they are written, not computed. Its query is
  never used. Windows do not depend on each other, so a few of them go through the whole block while they are in the
  cache.
* **Threads** do not share a product, and wait for each other at the end of it, but take windows, heads or blocks of
  tokens one by one (`side_by_side`): beside two busy processes on two cores an image takes half the time.
* **Linear layers** take a block of tokens at a time, so that the hidden values, four times as wide, stay in the cache.
* **Products** are oneDNN's if torch includes it, GELU in the same pass: on an AMD EPYC (Zen 4) a linear layer
  takes 9 to 17 % less time than with MKL, which torch itself uses for float32, and attention 25 to 30 % less.
* **Position tables** are indexed once for each block and size, not in every forward.

The sums are those of the official forward; some are added up in another order, so the last digits differ.

In bfloat16, the weights of the blocks' linear layers are rounded and put in oneDNN's order once; these layers and the
products of attention take bfloat16 and add up in float32. What sums over many blocks or feeds an exponential stays in
float32: the residuals, layer norms, position bias and softmax, and the patch embedding and the neck.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import lru_cache, partial
from statistics import median
from typing import Any

from ...settings import setting
from ..threads import side_by_side

QUERIES = 256
"""Queries of one head in one piece of global attention; whole image rows, at least one.

With 512, what a thread frees after each piece is so large that the C library gives it back to the system: the next
piece waits for new pages (bfloat16 took 1.2 times as long)."""
TOKENS = 512
"""Tokens in one piece of a linear layer."""


def wants_fast_encoder(wanted: bool | None = None) -> bool:
    """`wanted`, or when that is None: True unless the environment has ``SAMNB_FAST_ATTENTION=0``."""
    return setting("SAMNB_FAST_ATTENTION") is not False if wanted is None else wanted


def use_fast_encoder(encoder: Any, *, wanted: bool = True, precision: str = "float32") -> bool:
    """Replace an image encoder's forward by the one in this module, or restore it.

    The weights must be in place: values computed from them are kept. Hooks of the encoder's parts are not called. With
    gradients, under autocast, on another device or in another precision than float32 the official forward runs.

    Parameters
    ----------
    encoder : torch.nn.Module
        A ``segment_anything`` ``ImageEncoderViT``; any other module, also a subclass, is left as it is.
    wanted : bool
        False restores the official forward.
    precision : str
        "float32" or "bfloat16". In bfloat16 the blocks' float32 weights are given up, which halves the memory: the
        official forward cannot be restored.

    Returns
    -------
    bool
        Whether the forward of this encoder can be replaced.
    """
    if not _is_known(encoder):
        return False
    encoder.__dict__.pop("forward", None)
    if wanted:
        layers = [_Layer(block, precision) for block in encoder.blocks]
        encoder.forward = partial(_forward if precision == "float32" else _forward_only, encoder, layers)
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

    def __init__(self, block: Any, precision: str):
        import torch

        self.block, self.attention = block, block.attn
        self.window, self.heads, self.scale = block.window_size, block.attn.num_heads, block.attn.scale
        self.dtype = getattr(torch, precision)
        layers = {"qkv": block.attn.qkv, "proj": block.attn.proj, "lin1": block.mlp.lin1, "lin2": block.mlp.lin2}
        self._weights = {name: (layer.weight, layer.bias) for name, layer in layers.items()}
        if precision != "float32":
            # All at once: the float32 weights of one block go before the next block's are packed.
            self._weights = {name: _packed(layer, self.dtype) for name, layer in layers.items()}
        bias = self._weights["qkv"][1]
        self.qkv_bias = torch.zeros(block.attn.qkv.out_features, dtype=self.dtype) if bias is None else bias
        self._tables: dict[tuple[int, int], tuple[Any, Any]] = {}

    def linear(self, name: str, x: Any, *, gelu: bool = False) -> Any:
        """One of the block's linear layers on tokens (n, in), in the layer's precision."""
        return linear(x.to(self.dtype), *self._weights[name], gelu=gelu)

    def project(self, x: Any, *, out: Any) -> None:
        """Queries, keys and values of tokens (n, dim) into `out` (n, 3 * dim)."""
        out.copy_(self.linear("qkv", self.block.norm1(x)))

    def bias(self, q: Any, size: tuple[int, int]) -> tuple[Any, ...]:
        """Position bias of queries (n, rows, columns, d) for a key's row, (n, rows, columns, h, 1), and its column.

        The second is (n, rows, columns, 1, w), for keys on a grid (h, w) whose first rows and columns are the
        queries'. Empty if the net has no position tables.
        """
        import torch

        if not self.attention.use_rel_pos:
            return ()
        by_row, by_column = self._table(size)
        q = q.float()
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


def seconds_of_block(encoder: Any, precisions: Sequence[str], *, rounds: int = 3) -> dict[str, float]:
    """Median seconds of the first block on one image, in each precision; they take turns, and the first warms up."""
    import torch

    layers = {precision: _Layer(deepcopy(encoder.blocks[0]), precision) for precision in precisions}
    with torch.inference_mode():
        tokens = encoder.patch_embed(torch.randn(1, 3, encoder.img_size, encoder.img_size))[0].contiguous()
        seconds: dict[str, list[float]] = {precision: [] for precision in precisions}
        for _ in range(rounds + 1):
            for precision, layer in layers.items():
                started = time.perf_counter()
                (_window_block if layer.window else _global_block)(layer, tokens.clone())
                seconds[precision].append(time.perf_counter() - started)
    return {precision: median(values[1:]) for precision, values in seconds.items()}


def _forward(encoder: Any, layers: list[_Layer], images: Any) -> Any:
    """``ImageEncoderViT.forward``: (B, 3, H, W) to (B, C, h, w); one image after the other."""
    import torch

    plain = images.device.type == "cpu" and images.dtype == encoder.patch_embed.proj.weight.dtype == torch.float32
    if not plain or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return type(encoder).forward(encoder, images)
    return torch.cat([_encode(encoder, layers, images[n : n + 1]) for n in range(len(images))])


def _forward_only(encoder: Any, layers: list[_Layer], images: Any) -> Any:
    """The same where the blocks' float32 weights are gone, so that no other forward can run."""
    import torch

    with torch.no_grad(), torch.autocast("cpu", enabled=False):
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
    pieces = list(_pieces(len(tokens), TOKENS))
    qkv = torch.empty((len(tokens), 3 * dim), dtype=layer.dtype)
    attended = torch.empty_like(tokens, dtype=layer.dtype)
    rows = min(height, max(1, QUERIES // width))
    heads = qkv.view(len(tokens), 3, layer.heads, -1)
    outs = attended.view(len(tokens), layer.heads, -1)

    def attend(head: int) -> None:
        q, k, v = (each.contiguous() for each in heads[:, :, head].unbind(1))
        bias = layer.bias(q.view(1, height, width, -1), (height, width))
        q = q * layer.scale
        for top, bottom in ((span.start, span.stop) for span in _pieces(height, rows)):
            span = slice(top * width, bottom * width)
            scores = linear(q[span], k).float()
            for part in bias:
                scores.view(bottom - top, width, height, width).add_(part[0, top:bottom])
            outs[span, head] = linear(torch.softmax(scores, dim=-1, out=scores).to(layer.dtype), v.t())

    side_by_side(lambda piece: layer.project(tokens[piece], out=qkv[piece]), pieces)
    side_by_side(attend, range(layer.heads))
    side_by_side(lambda piece: _after_attention(layer, tokens[piece], attended[piece]), pieces)


def _window_block(layer: _Layer, x: Any) -> None:
    """Every token attends to those of its window, padding included; x (h, w, dim) in place, some windows at a time."""
    import torch

    height, width, dim = x.shape
    side = layer.window
    padding = layer.qkv_bias.view(3, layer.heads, 1, 1, -1)

    def compute(place: tuple[slice, slice]) -> None:
        there = x[place]
        rows, columns, _ = there.shape
        tokens = there.reshape(-1, dim)
        qkv = torch.empty((rows, columns, 3, layer.heads, dim // layer.heads), dtype=layer.dtype)
        layer.project(tokens, out=qkv.view(len(tokens), -1))
        attended = torch.empty(qkv.shape[:2] + qkv.shape[3:], dtype=layer.dtype)
        for window in _pieces(columns, side):
            q, k, v = qkv[:, window].permute(2, 3, 0, 1, 4)  # each (head, row, column, d)
            if q.shape[1:3] != (side, side):  # positions without a token have the values of a padded token
                whole = padding[1:].repeat(1, 1, side, side, 1)
                whole[:, :, :rows, : q.shape[2]] = torch.stack([k, v])
                k, v = whole
            attended[:, window] = _attend(layer, q, k, v).permute(1, 2, 0, 3)
        _after_attention(layer, tokens, attended.view(len(tokens), dim))
        there.copy_(tokens.view(there.shape))

    together = max(1, TOKENS // side**2 + 1)
    side_by_side(compute, [(r, c) for r in _pieces(height, side) for c in _pieces(width, together * side)])


def _attend(layer: _Layer, q: Any, k: Any, v: Any) -> Any:
    """Queries (n, rows, columns, d) on keys and values (n, side, side, d); gives (n, rows, columns, d)."""
    import torch

    n, rows, columns, d = q.shape
    side = k.shape[1]
    q = q.contiguous()
    keys = k.reshape(n, side * side, d).transpose(1, 2)
    scores = torch.bmm((q * layer.scale).view(n, rows * columns, d), keys).float()
    for part in layer.bias(q, (side, side)):
        scores.view(n, rows, columns, side, side).add_(part)
    scores = torch.softmax(scores, dim=-1, out=scores).to(layer.dtype)
    return torch.bmm(scores, v.reshape(n, side * side, d)).view(n, rows, columns, d)


def _after_attention(layer: _Layer, x: Any, attended: Any) -> None:
    """The attention's last linear layer, the residuals and the MLP; x (n, dim) in place."""
    x.add_(layer.linear("proj", attended))
    hidden = layer.linear("lin1", layer.block.norm2(x), gelu=True)
    x.add_(layer.linear("lin2", hidden))


def _packed(layer: Any, dtype: Any) -> tuple[Any, Any]:
    """A linear layer's weight, rounded, in oneDNN's order if that is there, and its bias; the layer loses its own."""
    import torch

    weight, bias = layer.weight.detach().to(dtype), None if layer.bias is None else layer.bias.detach().to(dtype)
    layer.weight = torch.nn.Parameter(torch.empty(0), requires_grad=False)
    return (torch.ops.mkldnn._reorder_linear_weight(weight, TOKENS) if _has_onednn(dtype) else weight), bias


def linear(x: Any, weight: Any, bias: Any = None, *, gelu: bool = False) -> Any:
    """A linear layer on (n, in) with weight (out, in), and then the exact GELU if `gelu`."""
    return (_onednn if _has_onednn(x.dtype) else _plain)(x, weight, bias, gelu=gelu)


def _plain(x: Any, weight: Any, bias: Any, *, gelu: bool) -> Any:
    import torch

    out = torch.nn.functional.linear(x, weight, bias)
    return torch.ops.aten.gelu_(out) if gelu else out


def _onednn(x: Any, weight: Any, bias: Any, *, gelu: bool) -> Any:
    # In float32, weights in oneDNN's own order would be 2 to 5 % faster, but they are a second copy of the network.
    import torch

    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")


@lru_cache(maxsize=2)
def _has_onednn(dtype: Any = None) -> bool:
    """Whether torch has oneDNN's linear layer, which is no public name, and it computes the same; default float32."""
    import torch

    # On other machines torch may have it without the routines that make it fast.
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.linspace(-2, 2, 96).view(6, 16), torch.linspace(-1, 1, 128).view(8, 16), torch.ones(8)
    cases = [(weight, bias, False), (weight, bias, True), (weight.t().contiguous().t(), None, False)]
    near = 1e-5
    try:
        if dtype not in (None, torch.float32):
            x, near = x.to(dtype), 0.05
            cases = [(each.to(dtype), None if add is None else add.to(dtype), gelu) for each, add, gelu in cases]
            _onednn(x, torch.ops.mkldnn._reorder_linear_weight(cases[0][0], TOKENS), None, gelu=False)
        found = [_onednn(x, each, add, gelu=gelu) for each, add, gelu in cases]
    except (AttributeError, RuntimeError, TypeError):  # a torch without it, or with other arguments
        return False
    expected = [_plain(x, each, add, gelu=gelu) for each, add, gelu in cases]
    return all(torch.allclose(one, other, atol=near) for one, other in zip(found, expected, strict=True))


def _pieces(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(length, start + size))
