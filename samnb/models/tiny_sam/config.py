"""The sizes of the earlier embedded model; imports nothing of the package."""

from __future__ import annotations

IMAGE_SIZE = 384
"""Side of the square the encoder sees, in pixels: an image's longest side is resized to it, the rest is padded."""

STRIDE = 8
"""Pixels of that square per cell of the embedding, per side."""

GRID_SIZE = IMAGE_SIZE // STRIDE
"""Side of the embedding, in cells."""

LOW_RES_SIZE = 4 * GRID_SIZE
"""Side of the mask logits before they are scaled up, and of a mask given as prompt."""

DECODER_DIM = 96
"""Channels of tokens and cells inside the decoder."""

FINE_DIM = 32
"""Channels of the embedding that hold stride-4 detail, packed 2×2 into each cell."""

COLOUR_DIM = 12
"""Channels of the embedding that hold the mean colours of 4×4 pixels, packed 2×2 into each cell."""

EMBED_DIM = DECODER_DIM + FINE_DIM + COLOUR_DIM
"""Channels of the embedding: an embedding is (EMBED_DIM, GRID_SIZE, GRID_SIZE) float32."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Mean and deviation per RGB channel, 0..255, the ones of ``segment_anything``: padding is zero after normalisation."""
