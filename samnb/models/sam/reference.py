"""The one door to ``segment_anything``, the reference implementation whose classes samnb builds on.

Its nets need torch alone, and come alone: see `import_modeling`. The whole package imports torchvision, and torchvision
fails to import beside a torch it was not built for: the usual case is a CUDA build of torchvision next to a CPU build
of torch, whose compiled operators then never load. Nothing samnb does needs those operators, so in exactly that case
their names are declared and the import is tried again.
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

# The package, begun and not run yet.
_waiting: list[ModuleType] = []

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch forgets the declared operators as soon as the Library object is collected.
_declared: list[Any] = []


def import_modeling() -> ModuleType:
    """``segment_anything.modeling``: the nets, without the torchvision that the package imports beside them.

    torchvision brings torch's compiler along, which takes as long to import as torch itself, and only the package's
    predictors use it. They come when somebody asks the package for them.

    Raises
    ------
    ImportError
        Where the package (or torch) is not installed.
    """
    with _importing:
        if _PACKAGE not in sys.modules:
            sys.modules[_PACKAGE] = _begun()
    return importlib.import_module(f"{_PACKAGE}.modeling")


def import_segment_anything() -> ModuleType:
    """Import the whole of ``segment_anything`` and return it.

    Takes about 2.5 s the first time (torch and torchvision come along): where the nets do, call `import_modeling`.

    Returns
    -------
    module
        The imported ``segment_anything``; its submodule ``segment_anything.modeling`` is loaded too.

    Raises
    ------
    ImportError
        Where the package (or torch) is not installed.
    RuntimeError
        Where torchvision fails for any other reason than its missing ``nms`` operator.
    """
    import_modeling()
    package = sys.modules[_PACKAGE]
    _complete(package)
    return package


def _begun() -> ModuleType:
    """The package with nothing run of it, which is run when one of its names is asked for (PEP 562)."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}: pip install segment-anything", name=_PACKAGE)
    package = importlib.util.module_from_spec(spec)

    def asked(name: str) -> Any:
        # Tools look at every module for such names; `import *` asks for this one, and then takes what is there.
        if not name.startswith("__") or name == "__all__":
            _complete(package)
            if name in vars(package):
                return vars(package)[name]
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")

    vars(package)["__getattr__"] = asked
    _waiting.append(package)
    return package


def _complete(package: ModuleType) -> None:
    """Run the package, if it was only begun; another thread that asks meanwhile waits."""
    with _importing:
        if package not in _waiting:
            return
        _waiting.remove(package)  # its own modules ask it for names while it runs
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
    """Tell whether `error` is the one torchvision raises beside a torch it was not built for."""
    return "operator torchvision::nms does not exist" in str(error)


def _forget_half_imported() -> None:
    """Drop the modules that the failed import left behind: a second import would take them for whole."""
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
