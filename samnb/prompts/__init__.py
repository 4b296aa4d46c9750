"""The values that packages pass to each other: `Prompt`, `Embedding`, `Prediction`. All are frozen."""

from __future__ import annotations

from .embedding import Embedding
from .lazy_masks import LazyMasks
from .prediction import Prediction
from .prompt import BACKGROUND, FOREGROUND, Box, Point, Prompt, one_prompt

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "Box",
    "Embedding",
    "LazyMasks",
    "Point",
    "Prediction",
    "Prompt",
    "one_prompt",
]
