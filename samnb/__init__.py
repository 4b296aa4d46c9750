"""Segment Anything in JupyterLab: every image is encoded once in its life.

Start with `Session`; everything the widgets do with a mouse is a method of it. Nothing heavy is imported
until it is used: ``import samnb`` loads neither torch nor the widgets.

Examples
--------
>>> import samnb
>>> samnb.Prompt.of(points=[(120, 80)])
Prompt(points=((120.0, 80.0),), point_labels=(1,), box=None)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors, models
    from .cache import EmbeddingCache
    from .images.lazy import View
    from .prompts import Prediction, Prompt
    from .session import Session
    from .templates import Template

__version__ = "0.1.0"

__all__ = ["EmbeddingCache", "Prediction", "Prompt", "Session", "Template", "View", "__version__", "errors", "models"]

_HOME = {
    "EmbeddingCache": "cache",
    "Prediction": "prompts",
    "Prompt": "prompts",
    "Session": "session",
    "Template": "templates",
    "View": "images.lazy",
}
_SUBMODULES = (
    *("cache", "catalog", "demo", "errors", "images", "jobs", "masks"),
    *("models", "prompts", "session", "templates", "widgets"),
)
# Modules that moved into a package, still served as attributes of samnb.
_ALIASES = {
    "apply": "templates.apply",
    "baselines": "evaluation.baselines",
    "cache_archive": "store.archive",
    "clicks": "masks.clicks",
    "exports": "exchange.export",
    "matching": "templates.strategies",
    "prewarm": "encoding.prewarm",
    "yardstick": "evaluation.evaluate",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name in _SUBMODULES or name in _ALIASES:
        value = import_module(f"{__name__}.{_ALIASES.get(name, name)}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES, *_ALIASES})
