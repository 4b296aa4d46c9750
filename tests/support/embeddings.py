"""Embeddings of random numbers, and what is done to a folder of them: damage, and processes that share it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import samnb
from samnb.prompts import Embedding
from tests.support.cache_child import key_of

CHILD = Path(__file__).with_name("cache_child.py")
KEY = key_of(0)


def some(shape: tuple[int, ...] = (8, 4, 4), *, seed: int = 0) -> Embedding:
    values = np.random.default_rng(seed).normal(size=shape)
    return Embedding({"image_embedding": values.astype(np.float32)}, (480, 640), (768, 1024))


def same(a: Embedding | None, b: Embedding | None) -> bool:
    assert a is not None
    assert b is not None
    return (
        list(a.tensors) == list(b.tensors)
        and all(np.array_equal(a.tensors[name], b.tensors[name]) for name in a.tensors)
        and (a.original_size, a.input_size) == (b.original_size, b.input_size)
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    """A child process that talks to us over its stdin and stdout."""
    command = [sys.executable, str(CHILD), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(samnb.__file__).parents[1])}
    return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def damage(path: Path, change: Callable[[bytearray], object]) -> None:
    raw = bytearray(path.read_bytes())
    change(raw)
    path.write_bytes(raw)
