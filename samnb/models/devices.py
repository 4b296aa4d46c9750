"""Which processor a model runs on, and in which precision: ``"auto"`` is cuda, else mps, else cpu."""

from __future__ import annotations

import os
import re
import sys
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


def check_device(device: str) -> str:
    """Give `device` back if it can name one; whether it is there is seen when it is used.

    >>> check_device("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(device)):
        raise UnknownName("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"])
    return str(device)


def resolve_device(wanted: str) -> str:
    """Turn ``"auto"`` into a device that is here, and raise `ModelError` for one that is not; imports torch."""
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
    """Give `precision` back if it is one of `PRECISIONS`, else raise `UnknownName`.

    >>> check_precision("bfloat16")
    'bfloat16'
    """
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    return precision


def decide_precision(wanted: str, device: str) -> str:
    """What ``"auto"`` means on a device: float16 on cuda, float32 anywhere else.

    float16 and not bfloat16: any GPU of the last ten years has it, it keeps three more bits, and the cache stores it.
    torch is imported only where an NVIDIA driver is at home, so that a key on other machines costs no import.

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
    """Let torch use that many processor threads here, and its usual number afterwards; None changes nothing.

    The usual number is remembered for the process: a thread that starts while another one is in here is born with
    that one's number, and would otherwise hand it on for good.
    """
    if count is None:
        yield
        return
    import torch

    global _usual_threads
    now = torch.get_num_threads()
    if now != count or not _usual_threads:
        _usual_threads = now
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(_usual_threads)
