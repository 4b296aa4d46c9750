"""`Embedding`: what an image encoder makes of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Embedding:
    """The output of an image encoder for one image: named tensors and the sizes they belong to.

    Parameters
    ----------
    tensors : mapping of str to array
        Ordered, without the batch axis; segment-anything has one, ``{"image_embedding": (C, h, w)}``.
    original_size : (H, W)
        Of the upright picture, in pixels.
    input_size : (H, W)
        Of the resized picture inside the model's square input, before padding.
    """

    tensors: Mapping[str, NDArray[Any]]
    original_size: tuple[int, int]
    input_size: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        nbytes = getattr(self.tensors, "nbytes", None)  # of mappings that create their tensors on demand
        return sum(tensor.nbytes for tensor in self.tensors.values()) if nbytes is None else nbytes
