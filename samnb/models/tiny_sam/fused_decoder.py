"""`FusedMaskDecoder`: the embedded model's mask decoder for answering clicks, as `TinyMaskDecoder` but in less time.

Weights that follow one another without anything between them are multiplied once, when the model is loaded. Between a
few tokens and thousands of cells that matters: the tokens are projected into the cells' own space, so no cell is ever
projected to queries, keys or values. Cells are rows (N, C) throughout, as matrix products and layer norms want them.
Results differ from the plain decoder's by roundings (below 1e-3 in logits; a test compares them).

For inference alone, one prompt at a time. Importing this module imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import config
from .flood_fill import FILL_MAPS, colour_levels, flood_fill_maps
from .network import MARK_MAPS, SEED_MAPS, SIMILARITY_HEADS, TinyMaskDecoder

CELLS = 576
"""Cells in one go of the upscaling: what is made of them stays in the processor's cache."""


class _CellAttention:
    """Attention of tokens to cells: softmax over cells of (token · cell), then the weighted mean of the cells."""

    def __init__(self, attention: Any) -> None:
        q, k, v, out = _split_heads(attention)
        self.query_weight = torch.einsum("hdi,hdj->ihj", q[0], k[0]).flatten(1) / sqrt(q[0].shape[1])  # (C, heads * C)
        self.query_bias = torch.einsum("hd,hdj->hj", q[1], k[0]).flatten() / sqrt(q[0].shape[1])
        # The bias of k adds the same to all cells of a row, which cancels in the softmax.
        self.value_weight = torch.einsum("hdi,ohd->hio", v[0], out[0]).flatten(0, 1)  # (heads * C, C)
        self.value_bias = torch.einsum("hd,ohd->o", v[1], out[0]) + out[1]
        self.heads = len(q[0])

    def __call__(self, tokens: Tensor, places: Tensor, cells: Tensor) -> Tensor:
        """(T, C) from tokens (T, C), cells with positions added (N, C), and cells (N, C)."""
        count, width = tokens.shape
        query = torch.addmm(self.query_bias, tokens, self.query_weight).view(count * self.heads, width)
        mean = (query @ places.t()).softmax(1) @ cells
        return torch.addmm(self.value_bias, mean.view(count, -1), self.value_weight)


class _TokenAttention:
    """Attention of cells to tokens: softmax over tokens of (cell · token), then the sum of the tokens' values."""

    def __init__(self, attention: Any) -> None:
        q, k, v, out = _split_heads(attention)
        scale = 1 / sqrt(q[0].shape[1])
        self.query_weight = torch.einsum("hdi,hdj->ihj", k[0], q[0]).flatten(1) * scale  # (C, heads * C)
        self.query_bias = torch.einsum("hd,hdj->hj", k[1], q[0]).flatten() * scale
        self.bias_column = torch.einsum("hdi,hd->ih", k[0], q[1]) * scale  # the bias of q, as added to a token's column
        self.bias_column_bias = torch.einsum("hd,hd->h", k[1], q[1]) * scale
        self.value_weight = torch.einsum("hdi,ohd->iho", v[0], out[0]).flatten(1)  # (C, heads * C)
        self.value_bias = torch.einsum("hd,ohd->ho", v[1], out[0]).flatten()
        self.bias, self.heads = out[1], len(q[0])

    def __call__(self, places: Tensor, tokens: Tensor, values: Tensor, cells: Tensor) -> Tensor:
        """`cells` (N, C) with the result of their attention added; tokens (T, C) with positions, and without."""
        count, width = tokens.shape
        query = torch.addmm(self.query_bias, tokens, self.query_weight).view(count * self.heads, width)
        bias = torch.addmm(self.bias_column_bias, tokens, self.bias_column).view(count * self.heads, 1)
        value = torch.addmm(self.value_bias, values, self.value_weight).view(count * self.heads, width)
        weight = torch.addmm(bias, query, places.t()).view(count, self.heads, -1).softmax(0)
        return (cells + self.bias).addmm_(weight.view(count * self.heads, -1).t(), value)


def _split_heads(attention: Any) -> list[tuple[Tensor, Tensor]]:
    """Weights (heads, D, C) and biases (heads, D) of q, k and v; of out (C, heads, D) and (C,)."""
    heads = attention.num_heads
    parts = [attention.q_proj, attention.k_proj, attention.v_proj]
    split = [(part.weight.unflatten(0, (heads, -1)), part.bias.unflatten(0, (heads, -1))) for part in parts]
    out = attention.out_proj
    return [*split, (out.weight.unflatten(1, (heads, -1)), out.bias)]


@dataclass(frozen=True, eq=False)
class _Image:
    """The values that all prompts on an image share.

    Attributes
    ----------
    embedding
        (1, EMBED_DIM, H, W), from which the others were computed.
    cells
        (N, C), before a prompt adds to them.
    features
        (N, SIMILARITY_HEADS, SIMILARITY_DIM), of length 1: what cells are compared by.
    fine
        (N, 4 * C / 4): detail and colours, as the upscaling adds them.
    colours
        See `colour_levels`.
    """

    embedding: Tensor
    cells: Tensor
    features: Tensor
    fine: Tensor
    colours: np.ndarray


class FusedMaskDecoder:
    """Called as `TinyMaskDecoder` is, with one prompt; the plain decoder's weights must not change afterwards.

    Parameters
    ----------
    plain : TinyMaskDecoder
        With its weights, in evaluation mode.
    """

    @torch.inference_mode()
    def __init__(self, plain: TinyMaskDecoder) -> None:
        self.plain: Any = plain
        self.layers = [
            (layer, _CellAttention(layer.cross_attn_token_to_image), _TokenAttention(layer.cross_attn_image_to_token))
            for layer in plain.transformer.layers
        ]
        self.last = _CellAttention(plain.transformer.final_attn_token_to_image)
        self.own = torch.cat([plain.iou_token.weight, plain.mask_tokens.weight])
        self._fold_maps()
        self._fold_local()
        self._fold_upscaling()
        self._last_image: _Image | None = None
        self._position: tuple[Tensor, Tensor] | None = None

    def _fold_maps(self) -> None:
        """The maps that are added to the cells before the transformer, as matrices."""
        plain = self.plain
        self.feature_weight = plain.look.weight[..., 0, 0].t().contiguous()
        heads = plain.likeness.weight[..., 0, 0].unflatten(1, (SEED_MAPS, SIMILARITY_HEADS))
        self.similarity_weight = heads.permute(1, 2, 0).contiguous()  # (seeds, heads, C)
        self.fill_weight = plain.reach.weight[..., 0, 0].t().contiguous()
        self.maps_bias = plain.likeness.bias + plain.reach.bias

    def _fold_local(self) -> None:
        """The norm's scale and shift are multiplied into the layer after it."""
        local = self.plain.local
        first, _, second = local.mix
        weight = first.weight[..., 0, 0]
        self.mix = (weight * local.norm.weight).t().contiguous()
        self.mix_bias = first.bias + weight @ local.norm.bias
        self.mix_out, self.mix_out_bias = second.weight[..., 0, 0].t().contiguous(), second.bias

    def _fold_upscaling(self) -> None:
        """A transposed convolution that does not overlap is a matrix product: four pixels from each."""
        first, _, _, second, _ = self.plain.output_upscaling
        detail, near = self.plain.detail[1], self.plain.reach_detail
        identity = torch.eye(4, device=detail.weight.device)
        self.first_upscale = first.weight.permute(0, 2, 3, 1).flatten(1)  # (C, 4 * C / 4)
        fill, colour = near.weight.split([FILL_MAPS, config.COLOUR_DIM // 4], 1)
        weight = torch.cat([detail.weight, colour, fill], 1)[..., 0, 0]  # fills last: not all of them are always there
        self.detail_upscale = torch.einsum("oj,st->jsto", weight, identity).flatten(2).flatten(0, 1)
        self.first_upscale_bias = (first.bias + detail.bias + near.bias).repeat(4)
        self.second_upscale = second.weight.permute(0, 2, 3, 1).flatten(1)
        self.second_upscale_bias = second.bias.repeat(4)

    def __call__(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Logits (1, M, 4 H, 4 W) and scores (1, M); M is 3, or 1 without `multimask_output`. See `predict_masks`."""
        size = image_embeddings.shape[-2:]
        image = self._image_of(image_embeddings)
        dense, marks = dense_prompt_embeddings.split([config.DECODER_DIM + SEED_MAPS, MARK_MAPS], 1)
        # Maps of background clicks are zero if there are none: their rows are left out.
        kinds = 2 if bool(marks[:, MARK_MAPS // 2 :].any()) else 1
        fills = flood_fill_maps(image.colours, marks)[:, : kinds * FILL_MAPS // 2]
        corners = [fills[0, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        packed = torch.stack(corners, 1).flatten(0, 1).flatten(1)  # (2 or 4 * FILL_MAPS, N), as pixel_unshuffle
        cells = self._local_block(self._mix_prompt(image, dense[0].flatten(1), packed), size)
        tokens = torch.cat([self.own, sparse_prompt_embeddings[0]])
        states, cells = self._transform(tokens, cells, self._rows_of(image_pe))
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        logits = self._draw(cells, image.fine, packed, states, chosen, size)
        flat = cells.t().unflatten(1, size)[None]
        return logits, self.plain.score(logits, flat, states[None], fills, chosen)

    def _image_of(self, embedding: Tensor) -> _Image:
        """Reuse the values of the last prompt if it was on the same image; other threads may come between."""
        last = self._last_image
        if last is not None and torch.equal(last.embedding, embedding):
            return last
        grid = embedding[0].flatten(1).t().contiguous()  # (N, EMBED_DIM)
        coarse, fine = grid.split([config.DECODER_DIM, config.FINE_DIM + config.COLOUR_DIM], 1)
        features = torch.addmm(self.plain.look.bias, coarse, self.feature_weight).view(len(grid), SIMILARITY_HEADS, -1)
        image = _Image(
            embedding.clone(),
            coarse + self.maps_bias,
            F.normalize(features, dim=2),
            torch.addmm(self.first_upscale_bias, fine, self.detail_upscale[: fine.shape[1]]),
            colour_levels(embedding[:, -config.COLOUR_DIM :]),
        )
        self._last_image = image
        return image

    def _rows_of(self, position: Tensor) -> Tensor:
        """Sort the model's (1, C, H, W), the same object in every call, into rows (N, C)."""
        known = self._position
        if known is None or known[0] is not position:
            known = self._position = position, position[0].flatten(1).t().contiguous()
        return known[1]

    def _mix_prompt(self, image: _Image, dense: Tensor, fills: Tensor) -> Tensor:
        """Add to each cell the prompt, its similarity to the clicked cells, and the flood fills: (N, C)."""
        dim = image.cells.shape[1]
        features, seeds = image.features, dense[dim:]
        weight = seeds / (seeds.sum(1, keepdim=True) + 1e-3)
        clicked = (weight @ features.flatten(1)).unflatten(1, (SIMILARITY_HEADS, -1))
        similar = torch.einsum("skd,skc->kdc", clicked, self.similarity_weight).flatten(0, 1)
        known = torch.addmm(image.cells, features.flatten(1), similar).add_(dense[:dim].t())
        return known.addmm_(fills.t(), self.fill_weight[: len(fills)])

    def _local_block(self, cells: Tensor, size: Any) -> Tensor:
        """`LocalBlock` on (N, C)."""
        local = self.plain.local
        picture = cells.view(1, *size, -1).permute(0, 3, 1, 2)
        rows = local.spread(picture).permute(0, 2, 3, 1).reshape(cells.shape)
        rows = F.layer_norm(rows, rows.shape[1:], eps=local.norm.eps)
        return (cells + self.mix_out_bias).addmm_(torch.addmm(self.mix_bias, rows, self.mix).relu_(), self.mix_out)

    def _transform(self, tokens: Tensor, cells: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """The two-way transformer: tokens (T, C) and cells (N, C)."""
        states = tokens
        for layer, cell_attention, token_attention in self.layers:
            if layer.skip_first_layer_pe:
                states = layer.self_attn(states[None], states[None], states[None])[0]
            else:
                query = (states + tokens)[None]
                states = states + layer.self_attn(query, query, states[None])[0]
            states = layer.norm1(states)
            places = cells + position
            states = layer.norm2(states + cell_attention(states + tokens, places, cells))
            states = layer.norm3(states + layer.mlp(states))
            cells = layer.norm4(token_attention(places, states + tokens, states, cells))
        states = states + self.last(states + tokens, cells + position, cells)
        return self.plain.transformer.norm_final_attn(states), cells

    def _draw(self, cells: Tensor, fine: Tensor, fills: Tensor, states: Tensor, chosen: slice, size: Any) -> Tensor:
        """Mask logits (1, M, 4 H, 4 W)."""
        _, norm, activation, _, last = self.plain.output_upscaling
        mlps = list(self.plain.output_hypernetworks_mlps)[chosen]
        masks = range(self.plain.num_mask_tokens)[chosen]
        weights = torch.stack([mlp(states[1 + i]) for i, mlp in zip(masks, mlps, strict=True)])
        fill_upscale = self.detail_upscale[config.FINE_DIM + config.COLOUR_DIM :][: len(fills)]
        drawn = cells.new_empty((len(weights), len(cells), 16))
        for start in range(0, len(cells), CELLS):
            some = slice(start, start + CELLS)
            rows = torch.addmm(fine[some], cells[some], self.first_upscale).addmm_(fills.t()[some], fill_upscale)
            rows = rows.view(-1, len(norm.weight))
            rows = activation(F.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, norm.eps))
            rows = last(torch.addmm(self.second_upscale_bias, rows, self.second_upscale)).view(
                -1, config.DECODER_DIM // 8
            )
            drawn[:, some] = (weights @ rows.t()).view(len(weights), -1, 16)
        pixels = drawn.view(-1, *size, 2, 2, 2, 2)
        # Sorted into rows of the mask two pixels at a time, as if they were one number of eight bytes.
        pairs = pixels.view(torch.float64)[..., 0].permute(0, 1, 3, 5, 2, 4).contiguous()
        return pairs.view(torch.float32).view(1, -1, 4 * size[0], 4 * size[1])
