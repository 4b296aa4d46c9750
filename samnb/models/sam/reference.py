"""Imports ``segment_anything``, the reference implementation whose classes samnb builds on.

Its networks need only torch, and are imported alone: see `import_modeling`. The whole package imports torchvision, and
torchvision fails to import beside a torch it was not built for. The usual case is a CUDA build of torchvision next to a
CPU build of torch, whose compiled operators then never load. samnb does not need those operators, so in exactly that
case their names are declared and the import is tried again.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from threading import RLock
from types import ModuleType
from typing import Any

_PACKAGE = "segment_anything"

_importing = RLock()

# The package, created and not executed yet.
_waiting: list[ModuleType] = []

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch forgets the declared operators as soon as the Library object is collected.
_declared: list[Any] = []


def import_modeling() -> ModuleType:
    """``segment_anything.modeling``: the networks, without torchvision, which the package imports too.

    torchvision imports torch's compiler, which takes as long to import as torch itself, and only the package's
    predictors use it. They are imported on first access.

    Raises
    ------
    ImportError
        If the package (or torch) is not installed.
    """
    with _importing:
        if _PACKAGE not in sys.modules:
            sys.modules[_PACKAGE] = _begun()
    return importlib.import_module(f"{_PACKAGE}.modeling")


def import_segment_anything() -> ModuleType:
    """Import the whole of ``segment_anything`` and return it.

    Takes about 2.5 s the first time (imports torch and torchvision). For the networks alone, call `import_modeling`.

    Returns
    -------
    module
        The imported ``segment_anything``; its submodule ``segment_anything.modeling`` is loaded too.

    Raises
    ------
    ImportError
        If the package (or torch) is not installed.
    RuntimeError
        If torchvision fails for any other reason than its missing ``nms`` operator.
    """
    import_modeling()
    package = sys.modules[_PACKAGE]
    _complete(package)
    return package


def _begun() -> ModuleType:
    """The package, not executed yet; it is executed when one of its names is accessed (PEP 562)."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}: pip install segment-anything", name=_PACKAGE)
    package = importlib.util.module_from_spec(spec)

    def asked(name: str) -> Any:
        # Tools check every module for such names; `import *` reads this one, and then takes the existing names.
        if not name.startswith("__") or name == "__all__":
            _complete(package)
            if name in vars(package):
                return vars(package)[name]
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")

    vars(package)["__getattr__"] = asked
    _waiting.append(package)
    return package


def _complete(package: ModuleType) -> None:
    """Execute the package if it was only created; other threads wait meanwhile."""
    with _importing:
        if package not in _waiting:
            return
        _waiting.remove(package)  # its own modules access its names while it runs
        assert package.__spec__ is not None
        loader: Any = package.__spec__.loader
        try:
            try:
                loader.exec_module(package)
            except RuntimeError as error:
                if not is_missing_nms(error):
                    raise
                _forget_half_imported()
                _declare_missing_operators()
                loader.exec_module(package)
        except BaseException:
            _waiting.append(package)
            raise


def is_missing_nms(error: BaseException) -> bool:
    """Whether `error` is the one torchvision raises beside a torch it was not built for."""
    return "operator torchvision::nms does not exist" in str(error)


def _forget_half_imported() -> None:
    """Remove the modules that the failed import left: a second import would use them as complete."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "torchvision":
            del sys.modules[name]


def _declare_missing_operators() -> None:
    """Declare (not define) the operators torchvision registers fake kernels for while it is imported."""
    if _declared:
        return
    torch = importlib.import_module("torch")
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + _NMS_SCHEMA)
    _declared.append(library)
