"""The embedded model's mask decoder for answering clicks: the numbers of `TinyMaskDecoder`, in less time.

What is said in its layers is kept, what is computed is not: weights that follow one another without anything between
them are multiplied once, when the model is loaded. Between a few tokens and thousands of cells that matters: the
tokens are carried into the cells' own space, so no cell is ever projected to queries, keys or values. Cells lie as rows
(N, C) throughout, as matrix products and layer norms want them. Answers differ from the plain decoder's by roundings
(below 1e-3 in logits; a test compares them).

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

from samnb.models import tiny
from samnb.models.tiny.flood_fill import REACH_MAPS, fill_reach, shades_of
from samnb.models.tiny.network import LOOK_HEADS, MARK_MAPS, SEED_MAPS, TinyMaskDecoder

__all__ = ["LeanMaskDecoder"]

CELLS = 576
"""Cells in one go of the upscaling: what is made of them stays in the processor's cache."""


class _ToCells:
    """Tokens look at cells: softmax over cells of (token · cell), then the mean of the cells so weighed."""

    def __init__(self, attention: Any) -> None:
        q, k, v, out = _split_heads(attention)
        self.ask = torch.einsum("hdi,hdj->ihj", q[0], k[0]).flatten(1) / sqrt(q[0].shape[1])  # (C, heads * C)
        self.ask_bias = torch.einsum("hd,hdj->hj", q[1], k[0]).flatten() / sqrt(q[0].shape[1])
        # The bias of k adds the same to all cells of a row, which softmax takes out again.
        self.tell = torch.einsum("hdi,ohd->hio", v[0], out[0]).flatten(0, 1)  # (heads * C, C)
        self.tell_bias = torch.einsum("hd,ohd->o", v[1], out[0]) + out[1]
        self.heads = len(q[0])

    def __call__(self, tokens: Tensor, places: Tensor, cells: Tensor) -> Tensor:
        """(T, C) from tokens (T, C), cells with positions added (N, C), and cells (N, C)."""
        count, width = tokens.shape
        asked = torch.addmm(self.ask_bias, tokens, self.ask).view(count * self.heads, width)
        seen = (asked @ places.t()).softmax(1) @ cells
        return torch.addmm(self.tell_bias, seen.view(count, -1), self.tell)


class _ToTokens:
    """Cells look at tokens: softmax over tokens of (cell · token), then the sum of the tokens' values."""

    def __init__(self, attention: Any) -> None:
        q, k, v, out = _split_heads(attention)
        scale = 1 / sqrt(q[0].shape[1])
        self.ask = torch.einsum("hdi,hdj->ihj", k[0], q[0]).flatten(1) * scale  # (C, heads * C)
        self.ask_bias = torch.einsum("hd,hdj->hj", k[1], q[0]).flatten() * scale
        self.level = torch.einsum("hdi,hd->ih", k[0], q[1]) * scale  # what the bias of q adds to a token's column
        self.level_bias = torch.einsum("hd,hd->h", k[1], q[1]) * scale
        self.tell = torch.einsum("hdi,ohd->iho", v[0], out[0]).flatten(1)  # (C, heads * C)
        self.tell_bias = torch.einsum("hd,ohd->ho", v[1], out[0]).flatten()
        self.bias, self.heads = out[1], len(q[0])

    def __call__(self, places: Tensor, tokens: Tensor, values: Tensor, cells: Tensor) -> Tensor:
        """`cells` (N, C) with what their looking brings added; tokens (T, C) with positions, and without."""
        count, width = tokens.shape
        asked = torch.addmm(self.ask_bias, tokens, self.ask).view(count * self.heads, width)
        level = torch.addmm(self.level_bias, tokens, self.level).view(count * self.heads, 1)
        told = torch.addmm(self.tell_bias, values, self.tell).view(count * self.heads, width)
        weight = torch.addmm(level, asked, places.t()).view(count, self.heads, -1).softmax(0)
        return (cells + self.bias).addmm_(weight.view(count * self.heads, -1).t(), told)


def _split_heads(attention: Any) -> list[tuple[Tensor, Tensor]]:
    """Weights (heads, D, C) and biases (heads, D) of q, k and v; of out (C, heads, D) and (C,)."""
    heads = attention.num_heads
    parts = [attention.q_proj, attention.k_proj, attention.v_proj]
    split = [(part.weight.unflatten(0, (heads, -1)), part.bias.unflatten(0, (heads, -1))) for part in parts]
    out = attention.out_proj
    return [*split, (out.weight.unflatten(1, (heads, -1)), out.bias)]


@dataclass(frozen=True, eq=False)
class _Image:
    """What all prompts on an image share.

    Attributes
    ----------
    embedding
        (1, EMBED_DIM, H, W), what the others were made of.
    cells
        (N, C), before a prompt adds to them.
    looks
        (N, LOOK_HEADS, LOOK_DIM), of length 1.
    fine
        (N, 4 * C / 4): detail and colours, as the upscaling adds them.
    shades
        See `shades_of`.
    """

    embedding: Tensor
    cells: Tensor
    looks: Tensor
    fine: Tensor
    shades: np.ndarray


class LeanMaskDecoder:
    """Called as `TinyMaskDecoder` is, with one prompt; the plain decoder's weights must not change afterwards.

    Parameters
    ----------
    plain : TinyMaskDecoder
        With its weights, in evaluation mode.
    """

    takes_many = False
    """One prompt in a call."""

    @torch.inference_mode()
    def __init__(self, plain: TinyMaskDecoder) -> None:
        self.plain: Any = plain
        self.layers = [
            (layer, _ToCells(layer.cross_attn_token_to_image), _ToTokens(layer.cross_attn_image_to_token))
            for layer in plain.transformer.layers
        ]
        self.last = _ToCells(plain.transformer.final_attn_token_to_image)
        self.own = torch.cat([plain.iou_token.weight, plain.mask_tokens.weight])
        self._fold_maps()
        self._fold_local()
        self._fold_upscaling()
        self._seen: _Image | None = None
        self._position: tuple[Tensor, Tensor] | None = None

    def _fold_maps(self) -> None:
        """What is added to the cells before they talk, as matrices."""
        plain = self.plain
        self.look = plain.look.weight[..., 0, 0].t().contiguous()
        heads = plain.likeness.weight[..., 0, 0].unflatten(1, (SEED_MAPS, LOOK_HEADS))
        self.alike = heads.permute(1, 2, 0).contiguous()  # (seeds, heads, C)
        self.reach = plain.reach.weight[..., 0, 0].t().contiguous()
        self.maps_bias = plain.likeness.bias + plain.reach.bias

    def _fold_local(self) -> None:
        """The norm's scale and shift go into the layer behind it."""
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
        apart = torch.eye(4, device=detail.weight.device)
        self.rise = first.weight.permute(0, 2, 3, 1).flatten(1)  # (C, 4 * C / 4)
        fills, colours = near.weight.split([REACH_MAPS, tiny.COLOUR_DIM // 4], 1)
        seen = torch.cat([detail.weight, colours, fills], 1)[..., 0, 0]  # the fills last: not all are always there
        self.rise_fine = torch.einsum("oj,st->jsto", seen, apart).flatten(2).flatten(0, 1)
        self.rise_bias = (first.bias + detail.bias + near.bias).repeat(4)
        self.rise_more = second.weight.permute(0, 2, 3, 1).flatten(1)
        self.rise_more_bias = second.bias.repeat(4)

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
        image = self._look_at(image_embeddings)
        dense, marks = dense_prompt_embeddings.split([tiny.DECODER_DIM + SEED_MAPS, MARK_MAPS], 1)
        # Maps of background clicks are zero where there are none: their rows are left out.
        kinds = 2 if bool(marks[:, MARK_MAPS // 2 :].any()) else 1
        reached = fill_reach(image.shades, marks)[:, : kinds * REACH_MAPS // 2]
        corners = [reached[0, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        packed = torch.stack(corners, 1).flatten(0, 1).flatten(1)  # (2 or 4 * REACH_MAPS, N), as pixel_unshuffle
        cells = self._spread(self._mix_prompt(image, dense[0].flatten(1), packed), size)
        tokens = torch.cat([self.own, sparse_prompt_embeddings[0]])
        states, cells = self._talk(tokens, cells, self._rows_of(image_pe))
        wanted = slice(1, None) if multimask_output else slice(0, 1)
        logits = self._draw(cells, image.fine, packed, states, wanted, size)
        flat = cells.t().unflatten(1, size)[None]
        return logits, self.plain.score(logits, flat, states[None], reached, wanted)

    def _look_at(self, embedding: Tensor) -> _Image:
        """What was made of this image for the prompt before, or is made now; other threads may come between."""
        seen = self._seen
        if seen is not None and torch.equal(seen.embedding, embedding):
            return seen
        grid = embedding[0].flatten(1).t().contiguous()  # (N, EMBED_DIM)
        coarse, fine = grid.split([tiny.DECODER_DIM, tiny.FINE_DIM + tiny.COLOUR_DIM], 1)
        looks = torch.addmm(self.plain.look.bias, coarse, self.look).view(len(grid), LOOK_HEADS, -1)
        made = _Image(
            embedding.clone(),
            coarse + self.maps_bias,
            F.normalize(looks, dim=2),
            torch.addmm(self.rise_bias, fine, self.rise_fine[: fine.shape[1]]),
            shades_of(embedding[:, -tiny.COLOUR_DIM :]),
        )
        self._seen = made
        return made

    def _rows_of(self, position: Tensor) -> Tensor:
        """(N, C) of the model's (1, C, H, W), which is the same object in every call."""
        known = self._position
        if known is None or known[0] is not position:
            known = self._position = position, position[0].flatten(1).t().contiguous()
        return known[1]

    def _mix_prompt(self, image: _Image, dense: Tensor, reached: Tensor) -> Tensor:
        """What the prompt says of each cell, how much it looks like the clicked ones, and what reaches it: (N, C)."""
        dim = image.cells.shape[1]
        looks, seeds = image.looks, dense[dim:]
        weight = seeds / (seeds.sum(1, keepdim=True) + 1e-3)
        clicked = (weight @ looks.flatten(1)).unflatten(1, (LOOK_HEADS, -1))
        alike = torch.einsum("skd,skc->kdc", clicked, self.alike).flatten(0, 1)
        known = torch.addmm(image.cells, looks.flatten(1), alike).add_(dense[:dim].t())
        return known.addmm_(reached.t(), self.reach[: len(reached)])

    def _spread(self, cells: Tensor, size: Any) -> Tensor:
        """`LocalBlock` on (N, C)."""
        local = self.plain.local
        picture = cells.view(1, *size, -1).permute(0, 3, 1, 2)
        rows = local.spread(picture).permute(0, 2, 3, 1).reshape(cells.shape)
        rows = F.layer_norm(rows, rows.shape[1:], eps=local.norm.eps)
        return (cells + self.mix_out_bias).addmm_(torch.addmm(self.mix_bias, rows, self.mix).relu_(), self.mix_out)

    def _talk(self, tokens: Tensor, cells: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """The two-way transformer: tokens (T, C) and cells (N, C)."""
        states = tokens
        for layer, to_cells, to_tokens in self.layers:
            if layer.skip_first_layer_pe:
                states = layer.self_attn(states[None], states[None], states[None])[0]
            else:
                asking = (states + tokens)[None]
                states = states + layer.self_attn(asking, asking, states[None])[0]
            states = layer.norm1(states)
            places = cells + position
            states = layer.norm2(states + to_cells(states + tokens, places, cells))
            states = layer.norm3(states + layer.mlp(states))
            cells = layer.norm4(to_tokens(places, states + tokens, states, cells))
        states = states + self.last(states + tokens, cells + position, cells)
        return self.plain.transformer.norm_final_attn(states), cells

    def _draw(self, cells: Tensor, fine: Tensor, reached: Tensor, states: Tensor, wanted: slice, size: Any) -> Tensor:
        """Mask logits (1, M, 4 H, 4 W)."""
        _, norm, activation, _, last = self.plain.output_upscaling
        mlps = list(self.plain.output_hypernetworks_mlps)[wanted]
        masks = range(self.plain.num_mask_tokens)[wanted]
        weights = torch.stack([mlp(states[1 + i]) for i, mlp in zip(masks, mlps, strict=True)])
        rise_reached = self.rise_fine[tiny.FINE_DIM + tiny.COLOUR_DIM :][: len(reached)]
        drawn = cells.new_empty((len(weights), len(cells), 16))
        for start in range(0, len(cells), CELLS):
            some = slice(start, start + CELLS)
            rows = torch.addmm(fine[some], cells[some], self.rise).addmm_(reached.t()[some], rise_reached)
            rows = rows.view(-1, len(norm.weight))
            rows = activation(F.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, norm.eps))
            rows = last(torch.addmm(self.rise_more_bias, rows, self.rise_more)).view(-1, tiny.DECODER_DIM // 8)
            drawn[:, some] = (weights @ rows.t()).view(len(weights), -1, 16)
        pixels = drawn.view(-1, *size, 2, 2, 2, 2)
        # Sorted into rows of the mask two pixels at a time, as if they were one number of eight bytes.
        pairs = pixels.view(torch.float64)[..., 0].permute(0, 1, 3, 5, 2, 4).contiguous()
        return pairs.view(torch.float32).view(1, -1, 4 * size[0], 4 * size[1])
