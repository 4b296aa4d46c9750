"""Devices, precisions and thread counts of models: ``"auto"`` is cuda, else mps, else cpu."""

from __future__ import annotations

import os
import platform
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ..errors import ModelError, UnknownName

PRECISIONS = ("auto", "float32", "float16", "bfloat16")

TORCH_BYTES = 1 << 30
"""Addresses for torch for a CPU, its threads and the first pictures: with 760 MB they were sometimes too few."""

_usual_threads = 0
_temporary_counts: set[int] = set()  # all that were ever set by `on_threads`
_counts_lock = threading.Lock()
_thread = threading.local()


def check_device(device: str) -> str:
    """Return `device` if it can name one; whether this machine has it is checked when it is used.

    >>> check_device("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(device)):
        raise UnknownName("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"])
    return str(device)


def resolve_device(device: str) -> str:
    """Resolve ``"auto"`` to a device of this machine; raise `ModelError` for one that it lacks. Imports torch."""
    check_room_for_torch()
    import torch

    mps = torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    kind, _, index = device.partition(":")
    count = {"cpu": 1, "mps": int(mps), "cuda": torch.cuda.device_count()}[kind]
    if int(index or 0) >= count:
        raise ModelError(
            f"device={device!r}: this machine has {count} of kind {kind!r} that torch {torch.__version__} can use. "
            "Use device='auto', or install a torch built for it."
        )
    return device


def check_room_for_torch() -> None:
    """Raise `ModelError` where this process may not take the memory into which torch is loaded.

    Of libraries that are loaded in part, nothing works and nothing is given back: each later call fails in another way,
    or waits for ever.

    >>> check_room_for_torch()
    """
    if "torch" in sys.modules or os.name != "posix":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux
        return
    if limit - used < TORCH_BYTES:
        raise ModelError(
            f"Not enough memory to load torch: this process may take {limit >> 20:,} MiB of addresses and has "
            f"{used >> 20:,}; torch needs {TORCH_BYTES >> 20:,} more. Raise the limit (ulimit -v unlimited, or that of "
            "the batch system) and start again. What needs no model works on."
        )


def check_precision(precision: str) -> str:
    """Return `precision` if it is one of `PRECISIONS`, else raise `UnknownName`.

    >>> check_precision("bfloat16")
    'bfloat16'
    """
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    return precision


def decide_precision(precision: str, device: str) -> str:
    """Resolve ``"auto"`` for a device: float16 on cuda, float32 anywhere else.

    float16 and not bfloat16: any GPU of the last ten years has it, it keeps three more bits, and the cache stores it.
    torch is imported only if an NVIDIA driver is installed, so that computing a key costs no import elsewhere.

    >>> decide_precision("auto", "cpu"), decide_precision("auto", "cuda:1"), decide_precision("bfloat16", "cpu")
    ('float32', 'float16', 'bfloat16')
    """
    if check_precision(precision) != "auto":
        return precision
    if device == "auto" and _has_nvidia_driver():
        device = resolve_device(device)
    return "float16" if device.startswith("cuda") else "float32"


def _has_nvidia_driver() -> bool:
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll").exists()
    return any(Path(place).exists() for place in ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"))


@lru_cache(maxsize=1)
def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16: AVX-512 BF16 or AMX. Only Linux tells it, without torch."""
    flags = _cpu_field("flags").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """What the processor calls itself, such as "AMD EPYC 9554"."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system than Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


@contextmanager
def computing_as(precision: str, device: str) -> Iterator[None]:
    """Make torch multiply matrices in this precision within the context; float32 changes nothing."""
    if precision == "float32":
        yield
        return
    import torch

    with torch.autocast(device.partition(":")[0], dtype=getattr(torch, precision)):
        yield


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Make torch use `count` processor threads within the context; None changes nothing.

    Afterwards the calling thread has its earlier count again. torch keeps a count for each thread, and a new thread
    starts with the count that was set last by any thread. So a thread that enters for the first time with a count that
    another thread set temporarily gets the usual count of the process afterwards. A count that other code sets within
    the context stays.
    """
    if count is None:
        yield
        return
    import torch

    global _usual_threads
    own = torch.get_num_threads()
    with _counts_lock:
        if own in _temporary_counts and not hasattr(_thread, "entered"):
            own = _usual_threads
        elif not getattr(_thread, "depth", 0):
            _usual_threads = own
        _temporary_counts.add(count)
    _thread.entered, _thread.depth = True, getattr(_thread, "depth", 0) + 1
    torch.set_num_threads(count)
    try:
        yield
    finally:
        _thread.depth -= 1
        if torch.get_num_threads() == count:
            torch.set_num_threads(own)
