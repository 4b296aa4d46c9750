"""The layers of the embedded model. Imports torch: import it only to build a network.

The encoder is a small convolutional pyramid; prompt encoder and decoder are those of Segment Anything (Kirillov et al.,
ICCV 2023) with five changes that a small network trained for minutes needs:

* clicks and boxes are also drawn as maps and added to the dense embedding: attention need not discover where they are;
* the decoder gets the similarity of each cell to the clicked ones, which passes through a convolution block;
* the decoder gets flood fills from the clicks as maps (see `samnb.models.tiny_sam.flood_fill`);
* the embedding carries stride-4 detail and colours in extra channels, which the decoder unpacks for sharper outlines;
* a mask's score is read from the mask itself, not from a token alone, so it holds at sizes it was not trained on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sam.reference import import_modeling
from . import config
from .flood_fill import FILL_MAPS, colour_levels, draw_marks, flood_fill_maps, quantize

import_modeling()

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # noqa: E402
from segment_anything.modeling.common import LayerNorm2d  # noqa: E402

Points = tuple[Tensor, Tensor]

CLICK_SIGMAS = (5.0, 16.0, 48.0)
"""Radii in pixels of the Gaussian spots a click is drawn as."""

MAP_COUNT = 2 * len(CLICK_SIGMAS) + 3
"""Maps of a prompt: spots of foreground and of background clicks, box inside, box outline, box present."""

SEED_MAPS = 2
"""Of these maps, the ones the decoder compares cells by: the sharpest foreground and background spots."""

MARK_MAPS = 8
"""Maps of a prompt that mark the clicked squares, see `draw_marks`."""

SIMILARITY_HEADS, SIMILARITY_DIM = 4, 16
"""Number of ways in which cells are compared with the clicked ones, and channels of each."""


def conv_unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU: the fastest kind of layer on a CPU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv_unit(channels, channels, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def begin_as_identity(block: Block) -> None:
    """Make a block return its input, which is never negative, until it has learned something."""
    norm = block.second[1]
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.zeros_(norm.weight)


class GlobalBlock(nn.Module):
    """Attention of every cell to every other, as in a vision transformer, on few and coarse cells.

    Its last layers begin at zero, so that a new block changes nothing until it has learned something.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = LayerNorm2d(channels)
        self.place = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Sequential(
            LayerNorm2d(channels), nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1)
        )
        for parameter in (*self.out.parameters(), *self.mix[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        normed = self.norm(x)
        q, k, v = self.qkv(normed + self.place(normed)).flatten(2).chunk(3, 1)
        q, k, v = (part.unflatten(1, (self.heads, -1)).transpose(2, 3) for part in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).flatten(1, 2)
        x = x + self.out(attended.unflatten(2, (height, width)))
        return x + self.mix(x)


class TinyImageEncoder(nn.Module):
    """Pixels to embedding: four stages at strides 4 to 32, merged back to stride 8.

    The deep blocks at strides 16 and 32 begin as identities (see `begin_as_identity`).
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 112, 128)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.img_size = config.IMAGE_SIZE
        self.stage4 = nn.Sequential(conv_unit(3, 24, stride=2), conv_unit(24, a, stride=2), Block(a))
        self.stage8 = nn.Sequential(conv_unit(a, b, stride=2), Block(b), Block(b))
        self.stage16 = nn.Sequential(conv_unit(b, c, stride=2), Block(c), Block(c, 2), Block(c))
        self.stage32 = nn.Sequential(conv_unit(c, d, stride=2), Block(d))
        self.deep16 = nn.Sequential(Block(c, 2), Block(c, 4), Block(c))
        self.deep32 = nn.Sequential(Block(d), GlobalBlock(d), Block(d, 2), GlobalBlock(d), Block(d))
        self.lateral32, self.merge16 = nn.Conv2d(d, c, 1), Block(c)
        self.lateral16, self.merge8 = nn.Conv2d(c, b, 1), Block(b)
        self.coarse = nn.Conv2d(b, config.DECODER_DIM, 1)
        self.fine = nn.Sequential(nn.Conv2d(a, config.FINE_DIM // 4, 1), nn.PixelUnshuffle(2))
        for block in (*self.deep16, *self.deep32):
            if isinstance(block, Block):
                begin_as_identity(block)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, S, S) normalised RGB as (B, EMBED_DIM, S / STRIDE, S / STRIDE); 32 divides S."""
        x4 = self.stage4(x.contiguous(memory_format=torch.channels_last))
        x8 = self.stage8(x4)
        x16 = self.deep16(self.stage16(x8))
        x32 = self.deep32(self.stage32(x16))
        x16 = self.merge16(x16 + F.interpolate(self.lateral32(x32), scale_factor=2.0, mode="nearest"))
        x8 = self.merge8(x8 + F.interpolate(self.lateral16(x16), scale_factor=2.0, mode="nearest"))
        colour = F.pixel_unshuffle(quantize(F.avg_pool2d(x, 4)), 2)
        return torch.cat([self.coarse(x8), self.fine(x4), colour], 1)


class TinyPromptEncoder(PromptEncoder):
    """Segment Anything's prompt encoder, with prompts drawn as maps and positions in absolute pixels.

    Absolute pixels (always divided by IMAGE_SIZE) give a 128-pixel training crop and a whole image the same unit of
    distance. `image_embedding_size` may be set to the grid of other sizes, and `origin` (x, y in pixels) to
    where a crop lies in its frame.

    The dense embedding has more channels than DECODER_DIM, for the decoder: SEED_MAPS maps of the clicks, and
    MARK_MAPS.
    """

    def __init__(self) -> None:
        size = (config.IMAGE_SIZE, config.IMAGE_SIZE)
        super().__init__(config.DECODER_DIM, (config.GRID_SIZE, config.GRID_SIZE), size, mask_in_chans=16)
        self.origin = (0.0, 0.0)
        self.draw = nn.Sequential(
            nn.Conv2d(MAP_COUNT, 48, 3, padding=1), nn.GELU(), nn.Conv2d(48, config.DECODER_DIM, 1)
        )

    def get_dense_pe(self) -> Tensor:
        """Give the positional encoding of the cells, (1, DECODER_DIM, H, W)."""
        y, x = self._cell_centres()
        grid = torch.stack(torch.broadcast_tensors(x, y), -1)[None]
        encoded = self._encode_positions(grid.flatten(1, 2))
        return encoded.transpose(1, 2).unflatten(2, self.image_embedding_size)

    def forward(self, points: Points | None, boxes: Tensor | None, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Encode a batch of prompts.

        Parameters
        ----------
        points
            (B, N, 2) x, y in pixels of the encoder's square, and (B, N) labels: 1 foreground, 0 background, 2 and 3 the
            corners of a box, -1 none.
        boxes
            (B, 4) x0, y0, x1, y1 in the same pixels.
        masks
            (B, 1, 4 H, 4 W) logits of an earlier answer.

        Returns
        -------
        tuple
            Tokens (B, N', DECODER_DIM) and dense embedding (B, DECODER_DIM + SEED_MAPS + MARK_MAPS, H, W).
        """
        coords, labels = self._gather(points, boxes, masks)
        sparse = self._encode_positions(coords) * (labels >= 0)[..., None]
        kinds = [self.not_a_point_embed, *self.point_embeddings]
        sparse = sparse + torch.cat([kind.weight for kind in kinds])[labels.long() + 1]
        maps = self._draw_maps(coords, labels)
        dense = self.draw(maps)
        if masks is None:
            dense = dense + self.no_mask_embed.weight[..., None, None]
        else:
            dense = dense + self.mask_downscaling((masks / 4).clamp(-8, 8))
        marks = draw_marks(coords, labels, self.image_embedding_size)
        return sparse, torch.cat([dense, maps[:, [0, len(CLICK_SIGMAS)]], marks], 1)

    def _gather(self, points: Points | None, boxes: Tensor | None, masks: Tensor | None) -> Points:
        """Write points and boxes as one list of pixel centres with labels; never empty."""
        count = self._get_batch_size(points, boxes, masks)
        coords = torch.zeros((count, 0, 2), device=self._get_device())
        labels = torch.zeros((count, 0), device=self._get_device())
        if points is not None:
            coords, labels = points[0].to(coords) + 0.5, points[1].to(labels)
        if boxes is not None:
            corners = boxes.to(coords).reshape(-1, 2, 2) + 0.5
            coords = torch.cat([coords, corners], 1)
            labels = torch.cat([labels, labels.new_tensor([2.0, 3.0]).expand(count, 2)], 1)
        else:
            coords, labels = F.pad(coords, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1.0)
        return coords, labels

    def _encode_positions(self, coords: Tensor) -> Tensor:
        moved = coords + coords.new_tensor(self.origin)
        return self.pe_layer.forward_with_coords(moved, self.input_image_size)

    def _cell_centres(self) -> tuple[Tensor, Tensor]:
        """Pixel positions of the cells: y (H, 1) and x (1, W)."""
        height, width = self.image_embedding_size
        y = (torch.arange(height, device=self._get_device()) + 0.5) * config.STRIDE
        x = (torch.arange(width, device=self._get_device()) + 0.5) * config.STRIDE
        return y[:, None], x[None]

    def _draw_maps(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Draw prompts as (B, MAP_COUNT, H, W) maps in 0..1."""
        y, x = self._cell_centres()
        # A Gaussian is a product of one along x and one along y: two rows of exponentials, not a picture of them.
        along_x = [torch.exp((coords[..., 0, None, None] - x) ** 2 / (-2 * sigma**2)) for sigma in CLICK_SIGMAS]
        along_y = [torch.exp((coords[..., 1, None, None] - y) ** 2 / (-2 * sigma**2)) for sigma in CLICK_SIGMAS]
        maps = []
        for wanted in (1, 0):
            here = (labels == wanted)[..., None, None]
            maps += [(fy * here * fx).amax(1) for fy, fx in zip(along_y, along_x, strict=True)]
        return torch.stack(maps + self._draw_box(coords, labels, y, x), 1)

    def _draw_box(self, coords: Tensor, labels: Tensor, y: Tensor, x: Tensor) -> list[Tensor]:
        """Draw the box between the points labelled 2 and 3: its inside, its outline, and whether there is one."""
        first = (coords * (labels == 2)[..., None]).sum(1)[..., None, None]
        last = (coords * (labels == 3)[..., None]).sum(1)[..., None, None]
        present = (labels == 3).any(1).to(coords)[:, None, None]
        depth_x = torch.minimum(x - first[:, 0], last[:, 0] - x)
        depth_y = torch.minimum(y - first[:, 1], last[:, 1] - y)
        depth = torch.minimum(depth_x, depth_y)  # pixels inside the nearest side; negative outside
        inside = torch.sigmoid(depth / 3)
        outline = torch.exp(-(depth**2) / (2 * 8.0**2))
        return [inside * present, outline * present, present.expand_as(inside)]


class LocalBlock(nn.Module):
    """Mix each cell with its neighbours: 7×7 depthwise convolution, then a two-layer perceptron."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.mix = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.ReLU(), nn.Conv2d(2 * channels, channels, 1))
        self.norm = LayerNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)  # three times faster to train through than NCHW
        return x + self.mix(self.norm(self.spread(x)))


def _halve(maps: Tensor) -> Tensor:
    """Means of 2×2; an eighth of the time that pooling takes for so few maps."""
    rows = maps[..., ::2, :] + maps[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


class TinyMaskDecoder(MaskDecoder):
    """Segment Anything's mask decoder with similarity and flood-fill maps, fine detail and mask-based scores.

    Unlike the original it also takes one embedding per prompt, so prompts of many images are decoded in one call.
    """

    def __init__(self) -> None:
        dim = config.DECODER_DIM
        transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=4, mlp_dim=4 * dim)
        super().__init__(transformer_dim=dim, transformer=transformer)
        self.look = nn.Conv2d(dim, SIMILARITY_HEADS * SIMILARITY_DIM, 1)
        self.likeness = nn.Conv2d(SEED_MAPS * SIMILARITY_HEADS, dim, 1)
        self.local = LocalBlock(dim)
        self.detail = nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(config.FINE_DIM // 4, dim // 4, 1))
        self.reach = nn.Conv2d(4 * FILL_MAPS, dim, 1)
        self.reach_detail = nn.Conv2d(FILL_MAPS + config.COLOUR_DIM // 4, dim // 4, 1)
        for parameter in (*self.reach.parameters(), *self.reach_detail.parameters()):
            nn.init.zeros_(parameter)  # older weights, without these layers, keep their results
        self.iou_prediction_head = nn.Sequential(
            nn.Linear(3 * dim + 3 + FILL_MAPS, 128), nn.GELU(), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 1)
        )

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Decode B prompts.

        Parameters
        ----------
        image_embeddings
            (1 or B, EMBED_DIM, H, W).
        image_pe
            (1, DECODER_DIM, H, W).
        sparse_prompt_embeddings, dense_prompt_embeddings
            From `TinyPromptEncoder`.

        Returns
        -------
        tuple
            Mask logits (B, 4, 4 H, 4 W) and scores (B, 4) in 0..1.
        """
        count = sparse_prompt_embeddings.shape[0]
        coarse = image_embeddings[:, : config.DECODER_DIM]
        fine = image_embeddings[:, config.DECODER_DIM : -config.COLOUR_DIM]
        colour = image_embeddings[:, -config.COLOUR_DIM :]
        dense, seeds, marks = dense_prompt_embeddings.split([config.DECODER_DIM, SEED_MAPS, MARK_MAPS], 1)
        fills = flood_fill_maps(colour_levels(colour), marks)
        known = coarse + dense + self.likeness(self._compare(coarse, seeds))
        cells = self.local(known + self.reach(F.pixel_unshuffle(fills, 2)))
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])[None].expand(count, -1, -1)
        tokens = torch.cat([own, sparse_prompt_embeddings], 1)
        states, flat = self.transformer(cells, image_pe.expand(count, -1, -1, -1), tokens)
        cells = flat.transpose(1, 2).unflatten(2, cells.shape[-2:])
        near = torch.cat([fills, F.pixel_shuffle(colour, 2).expand(count, -1, -1, -1)], 1)
        detail = self.detail(fine) + self.reach_detail(near)
        logits = self._draw_masks(cells, detail, states[:, 1 : 1 + self.num_mask_tokens])
        return logits, self.score(logits.detach().float(), cells, states, fills, slice(None))

    def _compare(self, coarse: Tensor, seeds: Tensor) -> Tensor:
        """Similarity of each cell to the clicked ones: (B, SEED_MAPS * SIMILARITY_HEADS, H, W) in -1..1."""
        features = F.normalize(self.look(coarse).unflatten(1, (SIMILARITY_HEADS, SIMILARITY_DIM)), dim=2)
        features = features.expand(seeds.shape[0], -1, -1, -1, -1)
        weight = seeds / (seeds.sum((2, 3), keepdim=True) + 1e-3)
        clicked = torch.einsum("bshw,bkdhw->bskd", weight, features)
        return torch.einsum("bskd,bkdhw->bskhw", clicked, features).flatten(1, 2)

    def _draw_masks(self, cells: Tensor, detail: Tensor, states: Tensor) -> Tensor:
        """Scale cells up to stride 2 with detail at stride 4 mixed in, and compute the mask of each mask token."""
        first, norm, activation, second, last = self.output_upscaling
        upscaled = activation(norm(first(cells) + detail))
        upscaled = last(second(upscaled))
        weights = torch.stack([mlp(states[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], 1)
        return torch.einsum("bmc,bchw->bmhw", weights, upscaled)

    def score(self, logits: Tensor, cells: Tensor, states: Tensor, fills: Tensor, chosen: slice) -> Tensor:
        """Estimate the IoU of masks from their tokens, the cells they cover, how decided they are, and the fills.

        Parameters
        ----------
        logits
            (B, M, 4 H, 4 W), of the `chosen` masks.
        cells
            (B, DECODER_DIM, H, W), as the transformer leaves them.
        states
            (B, T, DECODER_DIM), likewise; the first is the score's token, then come those of the masks.
        fills
            (B, FILL_MAPS, 2 H, 2 W), see `flood_fill_maps`: a mask that equals a fill ends where colours do. Zero maps
            at the end may be left out.
        chosen
            Indices of these masks among the decoder's.
        """
        soft = torch.sigmoid(logits)
        hard, halved = soft.round(), _halve(soft)
        area, overlap, total = hard.sum((2, 3)), (soft * hard).sum((2, 3)), 4 * halved.sum((2, 3))
        expected = overlap / (area + total - overlap + 1e-3)
        inside = overlap / (area + 1e-3)
        area = area / hard[0, 0].numel() * logits.shape[-1] / config.LOW_RES_SIZE  # relative to the shipped size
        coverage = _halve(halved)
        coverage = coverage / (coverage.sum((2, 3), keepdim=True) + 1e-3)
        covered = torch.einsum("bmhw,bchw->bmc", coverage, cells)
        pixels, fills = halved.flatten(2), fills.to(halved).flatten(2)
        common = pixels @ fills.transpose(1, 2)
        agreed = common / (pixels.sum(2, keepdim=True) + fills.sum(2)[:, None] - common + 1e-3)
        agreed = F.pad(agreed, (0, FILL_MAPS - fills.shape[1]))
        own = states[:, 1 : 1 + self.num_mask_tokens][:, chosen]
        tokens = states[:, :1].expand(-1, own.shape[1], -1), own
        features = torch.cat([*tokens, covered, torch.stack([expected, area.sqrt(), inside], -1), agreed], -1)
        return torch.sigmoid(self.iou_prediction_head(features)).squeeze(-1)


def assemble(encoder: TinyImageEncoder, prompts: TinyPromptEncoder, decoder: TinyMaskDecoder) -> Sam:
    """Put the three parts together as a `Sam`."""
    return Sam(encoder, prompts, decoder, list(config.PIXEL_MEAN), list(config.PIXEL_STD))
