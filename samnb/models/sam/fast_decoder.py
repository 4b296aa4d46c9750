"""segment-anything's mask decoder for many prompts, with less to compute: the same layers, the same weights.

A few tokens attend to 4096 cells of the image, and the cells attend to the tokens. ``segment_anything`` projects all
cells to queries, keys and values for each prompt and layer, which is three quarters of its work. Here

* what depends on the image alone is projected once, and kept with it: keys, values and queries of the first layer;
* everywhere else the tokens are projected into the cells' own space instead: q · (W c) = (q W) · c, and a weighted sum
  of W c is W times the weighted sum. A bias that all cells share cancels in a softmax over cells;
* one image is shared by all its prompts, and not copied for each;
* the two transposed convolutions are matrix products, for some cells at a time, which stay in the processor's cache.

Answers differ from the official decoder's by roundings (about 1e-6 of the largest logit; tests compare them). For
inference alone. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from ...settings import setting

CELLS = 1024
"""Cells in one step of the upscaling."""


def wants_fast_decoder(wanted: bool | None = None) -> bool:
    """`wanted`, or when that is None: True unless the environment has ``SAMNB_FAST_DECODER=0``."""
    return setting("SAMNB_FAST_DECODER") is not False if wanted is None else wanted


def can_be_fast(mask_decoder: Any) -> bool:
    """True for the official ``MaskDecoder`` built of official parts; one with changed parts keeps its own forward."""
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
    """The decoder's values for one image, the same for all prompts.

    Parameters
    ----------
    cells : (N, C) tensor
        The embedding, a row for each cell, with the embedding of "no mask given" added.

    Attributes
    ----------
    first : tuple of (heads, N, D) tensors, optional
        Keys and values of the first layer's attention to cells, and queries of its attention to tokens.
    """

    def __init__(self, cells: Any):
        self.cells = cells
        self.first: tuple[Any, Any, Any] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.cells, *(self.first or ())))


class FastMaskDecoder:
    """Decodes as a ``MaskDecoder`` does; the weights of that must not change afterwards.

    Parameters
    ----------
    plain : MaskDecoder
        With its weights, in evaluation mode; see `can_be_fast`.
    position : (1, C, h, w) tensor
        ``PromptEncoder.get_dense_pe()``.
    no_mask : (C,) tensor
        The embedding of "no mask given": ``PromptEncoder.no_mask_embed``.
    """

    def __init__(self, plain: Any, position: Any, no_mask: Any):
        import torch

        self.plain, self.no_mask = plain, no_mask
        self.grid = tuple(position.shape[-2:])
        self.position = position[0].flatten(1).t().contiguous()
        self.own = torch.cat([plain.iou_token.weight, plain.mask_tokens.weight])
        first, _, _, second, _ = plain.output_upscaling
        self.first_upscale = first.weight.permute(0, 2, 3, 1).flatten(1).contiguous()  # (C, 4 * C / 4)
        self.first_upscale_bias = first.bias.repeat(4)
        self.second_upscale = second.weight.permute(0, 2, 3, 1).flatten(1).contiguous()
        self.second_upscale_bias = second.bias.repeat(4)

    def image_side(self, embedding: Any) -> ImageSide:
        """Sort the embedding (C, h, w) of one image into rows."""
        return ImageSide((embedding.flatten(1) + self.no_mask[:, None]).t().contiguous())

    def project(self, image: ImageSide) -> None:
        """Compute and keep the first layer's projections of an image: pays from its second prompt on."""
        if image.first is None:
            layer = self.plain.transformer.layers[0]
            places = image.cells + self.position
            to_cells, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
            kept = to_cells.k_proj(places), to_cells.v_proj(image.cells), to_tokens.q_proj(places)
            heads = [rows.unflatten(1, (to_cells.num_heads, -1)).transpose(0, 1).contiguous() for rows in kept]
            image.first = (heads[0], heads[1], heads[2])

    def __call__(self, images: Sequence[ImageSide], sparse: Any, *, dense: Any = None, multimask: bool) -> Any:
        """Decode B prompts with the same number of tokens each.

        Parameters
        ----------
        images : sequence of ImageSide
            One for all prompts, or one for each.
        sparse : (B, T, C) tensor
            The prompts' tokens.
        dense : (B, C, h, w) tensor, optional
            The embedding of a mask that was given, instead of `no_mask`.
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
        first = images[0].first if len(images) == 1 and dense is None else None
        if dense is not None:
            cells = cells + (dense.flatten(2) - self.no_mask[:, None]).transpose(1, 2)
        states, cells = self._transform(tokens, cells, first)
        chosen = slice(1, None) if multimask else slice(0, 1)
        mlps = list(self.plain.output_hypernetworks_mlps)[chosen]
        numbers = range(1, 1 + self.plain.num_mask_tokens)[chosen]
        weights = torch.stack([mlp(states[:, number]) for number, mlp in zip(numbers, mlps, strict=True)], dim=1)
        return self._draw(cells, weights), self.plain.iou_prediction_head(states[:, 0])[:, chosen]

    def _transform(self, tokens: Any, cells: Any, first: tuple[Any, Any, Any] | None) -> tuple[Any, Any]:
        """The two-way transformer: tokens (B, T, C), and cells (B, N, C)."""
        states, transformer = tokens, self.plain.transformer
        for layer in transformer.layers:
            if layer.skip_first_layer_pe:
                states = layer.self_attn(states, states, states)
            else:
                query = states + tokens
                states = states + layer.self_attn(query, query, states)
            states = layer.norm1(states)
            to_cells, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
            places = None if first else cells + self.position
            if first:
                states = states + _attend_projected(to_cells, states + tokens, first[0], first[1])
            else:
                states = states + _attend(to_cells, states + tokens, places, cells)
            states = layer.norm2(states)
            states = layer.norm3(states + layer.mlp(states))
            if first:
                weights = _projected_weights(to_tokens, states + tokens, first[2])
            else:
                weights = _weights(to_tokens, states + tokens, places)
            cells = layer.norm4(_add_values(to_tokens, weights, states, cells))
            first = None
        last = transformer.final_attn_token_to_image
        states = states + _attend(last, states + tokens, cells + self.position, cells)
        return transformer.norm_final_attn(states), cells

    def _draw(self, cells: Any, weights: Any) -> Any:
        """Logits (B, M, 4 h, 4 w) from cells (B, N, C) and the weights of each mask's pixels (B, M, C / 8)."""
        import torch

        _, norm, activation, _, last = self.plain.output_upscaling
        batch, count, _ = cells.shape
        pixels = cells.new_empty((batch, weights.shape[1], count, 16))
        for number in range(batch):
            for start in range(0, count, CELLS):
                part = cells[number, start : start + CELLS]
                rows = torch.addmm(self.first_upscale_bias, part, self.first_upscale).view(-1, len(norm.weight))
                rows = torch.nn.functional.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, norm.eps)
                rows = last(torch.addmm(self.second_upscale_bias, activation(rows), self.second_upscale))
                made = weights[number] @ rows.view(-1, weights.shape[2]).t()
                pixels[number, :, start : start + CELLS] = made.view(len(made), -1, 16)
        # A cell's sixteen pixels are counted by rows and columns of four, then of sixteen: into rows of the mask.
        pixels = pixels.view(batch, -1, *self.grid, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        return pixels.reshape(batch, -1, 4 * self.grid[0], 4 * self.grid[1])


def _split(rows: Any, heads: int) -> Any:
    """(B, T, heads * D) to (B, heads, T, D)."""
    return rows.unflatten(2, (heads, -1)).transpose(1, 2)


def _attend(attention: Any, query: Any, places: Any, cells: Any) -> Any:
    """Attention of tokens (B, T, C) to cells (B or 1, N, C), with positions added and without; gives (B, T, C)."""
    heads = attention.num_heads
    q = _split(attention.q_proj(query), heads)
    batch, _, count, width = q.shape
    key_weight = attention.k_proj.weight.unflatten(0, (heads, width))  # (heads, D, C); its bias is the same for all
    q = (q / sqrt(width)) @ key_weight
    weights = (q.flatten(1, 2) @ places.transpose(1, 2)).softmax(2)
    mean = (weights @ cells).unflatten(1, (heads, count))
    value_weight = attention.v_proj.weight.unflatten(0, (heads, width)).transpose(1, 2)
    values = (mean @ value_weight).transpose(1, 2).reshape(batch, count, -1) + attention.v_proj.bias
    return attention.out_proj(values)


def _attend_projected(attention: Any, query: Any, keys: Any, values: Any) -> Any:
    """`_attend` for one image whose keys and values (heads, N, D) are known."""
    q = _split(attention.q_proj(query), attention.num_heads)
    batch, heads, count, width = q.shape
    q = (q / sqrt(width)).transpose(0, 1).reshape(heads, batch * count, width)
    mean = (q @ keys.transpose(1, 2)).softmax(2) @ values
    mean = mean.view(heads, batch, count, width).permute(1, 2, 0, 3)
    return attention.out_proj(mean.reshape(batch, count, -1))


def _weights(attention: Any, tokens: Any, places: Any) -> Any:
    """Attention weights of cells (B or 1, N, C) to tokens (B, T, C): (B, heads, T, N)."""
    heads = attention.num_heads
    k = _split(attention.k_proj(tokens), heads)
    width = k.shape[3]
    k = k / sqrt(width)
    query_weight = attention.q_proj.weight.unflatten(0, (heads, width))
    bias = k @ attention.q_proj.bias.view(heads, width, 1)  # (B, heads, T, 1)
    scores = (k @ query_weight).flatten(1, 2) @ places.transpose(1, 2)
    return scores.unflatten(1, (heads, -1)).add_(bias).softmax(2)


def _projected_weights(attention: Any, tokens: Any, queries: Any) -> Any:
    """`_weights` for one image whose queries (heads, N, D) are known."""
    k = _split(attention.k_proj(tokens), attention.num_heads)
    batch, heads, count, width = k.shape
    k = (k / sqrt(width)).transpose(0, 1).reshape(heads, batch * count, width)
    scores = (k @ queries.transpose(1, 2)).view(heads, batch, count, -1)
    return scores.softmax(2).transpose(0, 1)


def _add_values(attention: Any, weights: Any, tokens: Any, cells: Any) -> Any:
    """Cells (B or 1, N, C) plus the weighted sum of the values of tokens (B, T, C)."""
    heads = attention.num_heads
    values = _split(attention.v_proj(tokens), heads)
    out_weight = attention.out_proj.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)  # (heads, D, C)
    values = (values @ out_weight).flatten(1, 2)
    return (weights.flatten(1, 2).transpose(1, 2) @ values).add_(attention.out_proj.bias).add_(cells)
