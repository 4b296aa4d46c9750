"""Import of ``segment_anything``, the reference implementation whose classes samnb builds on.

Its nets need torch alone, and can be imported alone: see `import_modeling`. The whole package imports torchvision, and
that fails beside a torch it was not built for: usually a CUDA build of torchvision next to a CPU build of torch, whose
compiled operators then never load. samnb does not need those operators, so in exactly that case their names are
declared and the import is tried again.
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

# The package while it is created but not executed.
_deferred: list[ModuleType] = []

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch forgets the declared operators as soon as the Library object is collected.
_declared: list[Any] = []


def import_modeling() -> ModuleType:
    """Import ``segment_anything.modeling``, the nets, without the torchvision that the package imports too.

    torchvision imports torch's compiler, which takes as long as torch itself, and only the package's predictors use it.
    These are imported when one of them is read from the package.

    Raises
    ------
    ImportError
        If the package (or torch) is not installed.
    """
    with _importing:
        if _PACKAGE not in sys.modules:
            sys.modules[_PACKAGE] = _deferred_package()
    return importlib.import_module(f"{_PACKAGE}.modeling")


def import_segment_anything() -> ModuleType:
    """Import the whole of ``segment_anything`` and return it.

    Takes about 2.5 s the first time (with torch and torchvision): where the nets suffice, call `import_modeling`.

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


def _deferred_package() -> ModuleType:
    """Create the package without executing it; reading one of its names executes it (PEP 562)."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}: pip install segment-anything", name=_PACKAGE)
    package = importlib.util.module_from_spec(spec)

    def get(name: str) -> Any:
        # Tools read dunder names of every module; `import *` reads `__all__`, and then all names.
        if not name.startswith("__") or name == "__all__":
            _complete(package)
            if name in vars(package):
                return vars(package)[name]
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")

    vars(package)["__getattr__"] = get
    _deferred.append(package)
    return package


def _complete(package: ModuleType) -> None:
    """Execute the package, if it was deferred; other threads wait meanwhile."""
    with _importing:
        if package not in _deferred:
            return
        _deferred.remove(package)  # its own modules read names from it meanwhile
        assert package.__spec__ is not None
        loader: Any = package.__spec__.loader
        try:
            try:
                loader.exec_module(package)
            except RuntimeError as error:
                if not is_missing_nms(error):
                    raise
                _remove_partial_import()
                _declare_missing_operators()
                loader.exec_module(package)
        except BaseException:
            _deferred.append(package)
            raise


def is_missing_nms(error: BaseException) -> bool:
    """Whether `error` is the one torchvision raises beside a torch it was not built for."""
    return "operator torchvision::nms does not exist" in str(error)


def _remove_partial_import() -> None:
    """Remove the modules that the failed import left behind: a second import would take them for complete."""
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
