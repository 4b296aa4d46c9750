"""A model that gives features only: meaning without masks. Quick, deterministic, and it counts."""

from __future__ import annotations

from samnb.prompts import Embedding
from tests.support.numpy_model import NumpyModel


class FeaturesModel:
    """Embeds a picture as its colours on an 8 x 8 grid, as the map called "semantic"."""

    embedding_spec = "meaning/1"
    device = "cpu"
    encoder_built = True

    def __init__(self, name="meaning", fingerprint="meaning-1", fail_on_encode=None):
        self.name, self.fingerprint, self.fail_on_encode = name, fingerprint, fail_on_encode
        self.encodes = 0

    def encode(self, pixels):
        self.encodes += 1
        if self.encodes == self.fail_on_encode:
            raise RuntimeError("out of memory")
        grid = NumpyModel.embed(pixels).tensors["image_embedding"]
        return Embedding({"semantic": grid.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4))}, pixels.shape[:2], (32, 32))
