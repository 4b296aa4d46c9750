"""The one door to ``segment_anything``, the reference implementation whose classes samnb builds on.

``segment_anything`` imports torchvision, and torchvision fails to import beside a torch it was not built for: the usual
case is a CUDA build of torchvision next to a CPU build of torch, whose compiled operators then never load. Nothing
samnb does needs those operators, so in exactly that case their names are declared and the import is tried again.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch forgets the declared operators as soon as the Library object is collected.
_declared: list[Any] = []


def import_segment_anything() -> ModuleType:
    """Import ``segment_anything`` and return it.

    Takes about 2.5 s the first time (torch and torchvision come along), so call it late.

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
    try:
        return importlib.import_module("segment_anything")
    except RuntimeError as error:
        if not is_missing_nms(error):
            raise
    _forget_half_imported()
    _declare_missing_operators()
    return importlib.import_module("segment_anything")


def is_missing_nms(error: BaseException) -> bool:
    """Tell whether `error` is the one torchvision raises beside a torch it was not built for."""
    return "operator torchvision::nms does not exist" in str(error)


def _forget_half_imported() -> None:
    """Drop the modules that the failed import left behind: a second import would take them for whole."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("torchvision", "segment_anything"):
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
