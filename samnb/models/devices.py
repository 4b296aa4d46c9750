"""Which processor a model runs on: ``"auto"`` is cuda, else mps, else cpu."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ModelError, UnknownName

__all__ = ["check_device", "on_threads", "resolve_device"]

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
