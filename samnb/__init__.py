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

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from . import errors, models
    from .cache import EmbeddingCache
    from .images.lazy import View
    from .prompts import Prediction, Prompt
    from .session import Session
    from .templates import Template

__version__ = "0.2.0"

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
# Modules that moved into a package, still served by their earlier names.
_ALIASES = {
    "apply": "templates.apply",
    "baselines": "evaluation.baselines",
    "cache_archive": "store.archive",
    "case_files": "evaluation.file_cases",
    "clicks": "masks.clicks",
    "exports": "exchange.export",
    "matching": "templates.strategies",
    "migrations": "catalog.migrations",
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


class _MovedModules:
    """Finder and loader for ``import samnb.<earlier name>``: gives the module itself, not a copy of it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        parent, _, last = name.rpartition(".")
        moved = parent == __name__ and last in _ALIASES
        return ModuleSpec(name, _MovedModules()) if moved else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(f"{__name__}.{_ALIASES[spec.name.rpartition('.')[2]]}")
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put that of the earlier name here


sys.meta_path.append(_MovedModules)
