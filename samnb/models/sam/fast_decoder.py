"""segment-anything's mask decoder for many prompts, with less to compute: the same layers, the same weights.

A few tokens look at 4096 cells of the picture and the cells look back. ``segment_anything`` projects all cells to
queries, keys and values for each prompt and layer, which is three quarters of its work. Here

* what depends on the picture alone is projected once, and kept with it: keys, values and queries of the first layer;
* everywhere else the tokens are carried into the cells' own space instead: q · (W c) = (q W) · c, and a weighed sum of
  W c is W times the weighed sum. A bias that all cells share falls out of a softmax over cells;
* one picture is shared by all its prompts, and not copied for each;
* the two transposed convolutions are matrix products, for some cells at a time, which stay in the processor's cache.

Answers differ from the official decoder's by roundings (about 1e-6 of the largest logit; tests compare them). For
inference alone. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from ...settings import read

__all__ = ["FastMaskDecoder", "ImageSide", "can_be_fast", "wants_fast_decoder"]

CELLS = 1024
"""Cells in one go of the upscaling."""


def wants_fast_decoder(wanted: bool | None = None) -> bool:
    """`wanted`, or when that is None: True unless the environment has ``SAMNB_FAST_DECODER=0``."""
    if wanted is not None:
        return wanted
    return read("SAMNB_FAST_DECODER") is not False


def can_be_fast(mask_decoder: Any) -> bool:
    """True for the official ``MaskDecoder`` built of official parts; whoever changed one keeps their own forward."""
    from segment_anything.modeling.mask_decoder import MaskDecoder
    from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock, TwoWayTransformer

    if type(mask_decoder) is not MaskDecoder or type(mask_decoder.transformer) is not TwoWayTransformer:
        return False
    transformer = mask_decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        if type(layer) is not TwoWayAttentionBlock:
            return False
        attentions += [layer.self_attn, layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    return all(type(attention) is Attention for attention in attentions)


class ImageSide:
    """What the decoder needs of one picture whatever is asked about it.

    Parameters
    ----------
    cells : (N, C) tensor
        The embedding, a row for each cell, with what stands for "no mask given" added.
    """

    def __init__(self, cells: Any):
        self.cells = cells
        self.first: tuple[Any, Any, Any] | None = None

    @property
    def nbytes(self) -> int:
        """Of all its tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.cells, *(self.first or ())))


class FastMaskDecoder:
    """The answers of a ``MaskDecoder``; its weights must not change afterwards.

    Parameters
    ----------
    plain : MaskDecoder
        With its weights, in evaluation mode; see `can_be_fast`.
    position : (1, C, h, w) tensor
        ``PromptEncoder.get_dense_pe()``.
    no_mask : (C,) tensor
        What stands for "no mask given": ``PromptEncoder.no_mask_embed``.
    """

    def __init__(self, plain: Any, position: Any, no_mask: Any):
        import torch

        self.plain, self.no_mask = plain, no_mask
        self.grid = tuple(position.shape[-2:])
        self.position = position[0].flatten(1).t().contiguous()
        self.own = torch.cat([plain.iou_token.weight, plain.mask_tokens.weight])
        first, _, _, second, _ = plain.output_upscaling
        self.rise = first.weight.permute(0, 2, 3, 1).flatten(1).contiguous()  # (C, 4 * C / 4)
        self.rise_bias = first.bias.repeat(4)
        self.rise_more = second.weight.permute(0, 2, 3, 1).flatten(1).contiguous()
        self.rise_more_bias = second.bias.repeat(4)

    def look(self, embedding: Any) -> ImageSide:
        """One picture's embedding (C, h, w)."""
        return ImageSide((embedding.flatten(1) + self.no_mask[:, None]).t().contiguous())

    def project(self, image: ImageSide) -> None:
        """Keep the first layer's projections of a picture: pays from its second prompt on."""
        if image.first is None:
            layer = self.plain.transformer.layers[0]
            places = image.cells + self.position
            to_cells, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
            kept = to_cells.k_proj(places), to_cells.v_proj(image.cells), to_tokens.q_proj(places)
            heads = [rows.unflatten(1, (to_cells.num_heads, -1)).transpose(0, 1).contiguous() for rows in kept]
            image.first = (heads[0], heads[1], heads[2])

    def __call__(self, images: Sequence[ImageSide], sparse: Any, *, drawn: Any = None, multimask: bool) -> Any:
        """Answers to B prompts with as many tokens each.

        Parameters
        ----------
        images : sequence of ImageSide
            One for all prompts, or one for each.
        sparse : (B, T, C) tensor
            The prompts' tokens.
        drawn : (B, C, h, w) tensor, optional
            What stands for a mask that was given, instead of `no_mask`.
        multimask : bool

        Returns
        -------
        (B, M, 4 h, 4 w), (B, M) tensors
            Logits and scores; M is 3, or 1 without `multimask`.
        """
        import torch

        count = len(sparse)
        tokens = torch.cat([self.own.expand(count, -1, -1), sparse], dim=1)
        cells = torch.stack([image.cells for image in images])
        first = images[0].first if len(images) == 1 and drawn is None else None
        if drawn is not None:
            cells = cells + (drawn.flatten(2) - self.no_mask[:, None]).transpose(1, 2)
        states, cells = self._talk(tokens, cells, first)
        wanted = slice(1, None) if multimask else slice(0, 1)
        mlps = list(self.plain.output_hypernetworks_mlps)[wanted]
        numbers = range(1, 1 + self.plain.num_mask_tokens)[wanted]
        weights = torch.stack([mlp(states[:, number]) for number, mlp in zip(numbers, mlps, strict=True)], dim=1)
        return self._draw(cells, weights), self.plain.iou_prediction_head(states[:, 0])[:, wanted]

    def _talk(self, tokens: Any, cells: Any, first: tuple[Any, Any, Any] | None) -> tuple[Any, Any]:
        """The two-way transformer: tokens (B, T, C), and cells (B, N, C)."""
        states, transformer = tokens, self.plain.transformer
        for layer in transformer.layers:
            if layer.skip_first_layer_pe:
                states = layer.self_attn(states, states, states)
            else:
                asking = states + tokens
                states = states + layer.self_attn(asking, asking, states)
            states = layer.norm1(states)
            to_cells, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
            places = None if first else cells + self.position
            if first:
                states = states + _to_known_cells(to_cells, states + tokens, first[0], first[1])
            else:
                states = states + _to_cells(to_cells, states + tokens, places, cells)
            states = layer.norm2(states)
            states = layer.norm3(states + layer.mlp(states))
            if first:
                weights = _known_weights(to_tokens, states + tokens, first[2])
            else:
                weights = _weights(to_tokens, states + tokens, places)
            cells = layer.norm4(_told(to_tokens, weights, states, cells))
            first = None
        last = transformer.final_attn_token_to_image
        states = states + _to_cells(last, states + tokens, cells + self.position, cells)
        return transformer.norm_final_attn(states), cells

    def _draw(self, cells: Any, weights: Any) -> Any:
        """Logits (B, M, 4 h, 4 w) from cells (B, N, C) and what each mask weighs its pixels with (B, M, C / 8)."""
        import torch

        _, norm, activation, _, last = self.plain.output_upscaling
        batch, count, _ = cells.shape
        pixels = cells.new_empty((batch, weights.shape[1], count, 16))
        for number in range(batch):
            for start in range(0, count, CELLS):
                part = cells[number, start : start + CELLS]
                rows = torch.addmm(self.rise_bias, part, self.rise).view(-1, len(norm.weight))
                rows = torch.nn.functional.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, norm.eps)
                rows = last(torch.addmm(self.rise_more_bias, activation(rows), self.rise_more))
                made = weights[number] @ rows.view(-1, weights.shape[2]).t()
                pixels[number, :, start : start + CELLS] = made.view(len(made), -1, 16)
        # A cell's sixteen pixels are counted by rows and columns of four, then of sixteen: into rows of the mask.
        pixels = pixels.view(batch, -1, *self.grid, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        return pixels.reshape(batch, -1, 4 * self.grid[0], 4 * self.grid[1])


def _split(rows: Any, heads: int) -> Any:
    """(B, T, heads * D) to (B, heads, T, D)."""
    return rows.unflatten(2, (heads, -1)).transpose(1, 2)


def _to_cells(attention: Any, asking: Any, places: Any, cells: Any) -> Any:
    """Tokens (B, T, C) look at cells (B or 1, N, C), with their positions and without: what they saw, (B, T, C)."""
    heads = attention.num_heads
    asked = _split(attention.q_proj(asking), heads)
    batch, _, count, width = asked.shape
    into = attention.k_proj.weight.unflatten(0, (heads, width))  # (heads, D, C); its bias is the same for all cells
    asked = (asked / sqrt(width)) @ into
    weights = (asked.flatten(1, 2) @ places.transpose(1, 2)).softmax(2)
    seen = (weights @ cells).unflatten(1, (heads, count))
    out = attention.v_proj.weight.unflatten(0, (heads, width)).transpose(1, 2)
    seen = (seen @ out).transpose(1, 2).reshape(batch, count, -1) + attention.v_proj.bias
    return attention.out_proj(seen)


def _to_known_cells(attention: Any, asking: Any, keys: Any, values: Any) -> Any:
    """The same for one picture whose keys and values (heads, N, D) are known."""
    asked = _split(attention.q_proj(asking), attention.num_heads)
    batch, heads, count, width = asked.shape
    asked = (asked / sqrt(width)).transpose(0, 1).reshape(heads, batch * count, width)
    seen = (asked @ keys.transpose(1, 2)).softmax(2) @ values
    seen = seen.view(heads, batch, count, width).permute(1, 2, 0, 3)
    return attention.out_proj(seen.reshape(batch, count, -1))


def _weights(attention: Any, tokens: Any, places: Any) -> Any:
    """How much each cell (B or 1, N, C) looks at each token (B, T, C): (B, heads, T, N)."""
    heads = attention.num_heads
    offered = _split(attention.k_proj(tokens), heads)
    width = offered.shape[3]
    offered = offered / sqrt(width)
    into = attention.q_proj.weight.unflatten(0, (heads, width))
    level = offered @ attention.q_proj.bias.view(heads, width, 1)  # (B, heads, T, 1)
    asked = (offered @ into).flatten(1, 2) @ places.transpose(1, 2)
    return asked.unflatten(1, (heads, -1)).add_(level).softmax(2)


def _known_weights(attention: Any, tokens: Any, queries: Any) -> Any:
    """The same for one picture whose queries (heads, N, D) are known."""
    offered = _split(attention.k_proj(tokens), attention.num_heads)
    batch, heads, count, width = offered.shape
    offered = (offered / sqrt(width)).transpose(0, 1).reshape(heads, batch * count, width)
    asked = (offered @ queries.transpose(1, 2)).view(heads, batch, count, -1)
    return asked.softmax(2).transpose(0, 1)


def _told(attention: Any, weights: Any, tokens: Any, cells: Any) -> Any:
    """Cells (B or 1, N, C), with what the tokens (B, T, C) tell them added."""
    heads = attention.num_heads
    values = _split(attention.v_proj(tokens), heads)
    out = attention.out_proj.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)  # (heads, D, C)
    told = (values @ out).flatten(1, 2)
    return (weights.flatten(1, 2).transpose(1, 2) @ told).add_(attention.out_proj.bias).add_(cells)
