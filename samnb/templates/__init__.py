"""Templates: objects tuned on a few images and found in many."""

from .examples import CategoryExamples, Example, ImageExemplars
from .parameters import DEFAULT_PARAMETERS
from .template import STRATEGY_NAMES, Template, make_template

__all__ = [
    "DEFAULT_PARAMETERS",
    "STRATEGY_NAMES",
    "CategoryExamples",
    "Example",
    "ImageExemplars",
    "Template",
    "make_template",
]
