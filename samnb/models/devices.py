"""The device and the precision of a model: ``"auto"`` is cuda, else mps, else cpu."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ModelError, UnknownName

__all__ = [
    "PRECISIONS",
    "check_device",
    "check_precision",
    "computing_as",
    "decide_precision",
    "on_threads",
    "resolve_device",
]

PRECISIONS = ("auto", "float32", "float16", "bfloat16")

_usual_threads = 0
_lent: set[int] = set()  # all that were ever set here
_lending = threading.Lock()
_seen = threading.local()


def check_device(device: str) -> str:
    """Return `device` if the name is valid; whether it exists is checked on use.

    >>> check_device("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(device)):
        raise UnknownName("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"])
    return str(device)


def resolve_device(wanted: str) -> str:
    """Resolve ``"auto"`` to an available device; raise `ModelError` for a missing one; imports torch."""
    import torch

    mps = torch.backends.mps.is_available()
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    kind, _, index = wanted.partition(":")
    count = {"cpu": 1, "mps": int(mps), "cuda": torch.cuda.device_count()}[kind]
    if int(index or 0) >= count:
        raise ModelError(
            f"device={wanted!r}: this machine has {count} of kind {kind!r} that torch {torch.__version__} can use. "
            "Use device='auto', or install a torch built for it."
        )
    return wanted


def check_precision(precision: str) -> str:
    """Return `precision` if it is one of `PRECISIONS`, else raise `UnknownName`.

    >>> check_precision("bfloat16")
    'bfloat16'
    """
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    return precision


def decide_precision(wanted: str, device: str) -> str:
    """The precision for ``"auto"`` on a device: float16 on cuda, float32 anywhere else.

    float16 and not bfloat16: any GPU of the last ten years has it, it keeps three more bits, and the cache stores it.
    torch is imported only if there is an NVIDIA driver, so that a key on other machines needs no import.

    >>> decide_precision("auto", "cpu"), decide_precision("auto", "cuda:1"), decide_precision("bfloat16", "cpu")
    ('float32', 'float16', 'bfloat16')
    """
    if check_precision(wanted) != "auto":
        return wanted
    if device == "auto" and _has_nvidia_driver():
        device = resolve_device(device)
    return "float16" if device.startswith("cuda") else "float32"


def _has_nvidia_driver() -> bool:
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll").exists()
    return any(Path(place).exists() for place in ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"))


@contextmanager
def computing_as(precision: str, device: str) -> Iterator[None]:
    """Let torch multiply matrices in this precision here; float32 changes nothing."""
    if precision == "float32":
        yield
        return
    import torch

    with torch.autocast(device.partition(":")[0], dtype=getattr(torch, precision)):
        yield


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Let torch use that many processor threads here, and this thread's own number afterwards; None changes nothing.

    torch keeps a number for each thread, and a new thread starts with the one that was set last, in any thread. So a
    thread that comes here for the first time with a number that was set here for another one gets the usual number of
    the process afterwards. A number that other code sets inside the block stays.
    """
    if count is None:
        yield
        return
    import torch

    global _usual_threads
    own = torch.get_num_threads()
    with _lending:
        if own in _lent and not hasattr(_seen, "before"):
            own = _usual_threads
        elif not getattr(_seen, "depth", 0):
            _usual_threads = own
        _lent.add(count)
    _seen.before, _seen.depth = True, getattr(_seen, "depth", 0) + 1
    torch.set_num_threads(count)
    try:
        yield
    finally:
        _seen.depth -= 1
        if torch.get_num_threads() == count:
            torch.set_num_threads(own)
