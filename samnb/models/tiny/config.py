"""Sizes of the embedded net with a pretrained backbone. Imports nothing, so that everything else may import it.

An entry holds six tensors of one image, which know nothing of any prompt. Sizes are for a frame of `FRAME` pixels:

==========  ==============  ======  ================================================
name        shape           stride  what
==========  ==============  ======  ================================================
semantic    (96, 24, 24)        16  what belongs together
middle      (56, 48, 48)         8  where objects are
fine        (24, 96, 96)         4  where their outlines are
colours     (3, 192, 192)        2  mean colours, which flood fills run on
backbone8   (40, 48, 48)         8  what things look like; templates compare it, the decoder does not read it
backbone16  (112, 24, 24)       16  what things are; the same
==========  ==============  ======  ================================================
"""

from __future__ import annotations

FRAME = 384
"""Side of the square that the backbone sees, in pixels: an image's longer side is scaled to it, the rest is padded."""

SEMANTIC_DIM, MIDDLE_DIM, FINE_DIM = 96, 56, 24
"""Channels of the entry's maps at strides 16, 8 and 4."""

BACKBONE_DIMS = (24, 40, 112, 320)
"""Channels of the backbone's maps at strides 4, 8, 16 and 32."""

PIXEL_MEAN, PIXEL_SCALE = 127.0, 128.0
"""The backbone sees (x - PIXEL_MEAN) / PIXEL_SCALE of RGB values 0..255."""

ENTRY_VERSION = 2
"""Part of the key of an entry. Since 2 it holds the backbone's maps."""

SHADES = 104
"""Whole shades in a unit of normalised colour: about one for each grey level, and no more than an int8 has numbers."""

LOGIT_STRIDE = 2
"""Pixels of the frame per mask logit, per side."""

TRUNK_DIM, DRAW_DIM, CROP_DIM = 96, 48, 40
"""Channels of the decoder at stride 16, at stride 8, and in the crop."""

LOOK_HEADS, LOOK_DIM = 4, 16
"""In how many ways, and by how many channels each, cells are compared with the clicked ones."""

CROP_CELLS = 48
"""Side of the crop that the second pass looks at, in cells; a cell gives 2x2 logits."""

MASKS = 4
"""The single answer, and three candidates for an ambiguous prompt."""
