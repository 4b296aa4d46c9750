"""The embedded model: EfficientNet-Lite0, a small pyramid, and a decoder that looks at an object twice.

It answers at once, on a CPU, without a download. ``weights/MODEL_CARD.md`` says what it was trained on and where it
fails. Importing this module is cheap: it imports no torch.
"""

from __future__ import annotations

from pathlib import Path

from ..weights.checkpoints import ModelInfo

WEIGHTS = Path(__file__).with_name("weights") / "tiny.safetensors"
"""They ship with the package."""

FAMILY = "tiny_lite0"
"""The first part of its fingerprints: "tiny" is that of the earlier net, whose embeddings are others."""

MODEL = ModelInfo(
    name="tiny",
    family=FAMILY,
    file_name=WEIGHTS.name,
    size_bytes=None,
    sha256=None,
    bundled=True,
    description="Ships with samnb and answers at once on a CPU. Good on compact things; weak on scenes and thin parts.",
)
