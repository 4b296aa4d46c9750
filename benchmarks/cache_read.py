"""How long the embedding cache takes for one embedding of a ViT model, beside numpy's own files and zarr's.

    python benchmarks/cache_read.py [--rounds 200]

Files are in the system's page cache. Times are medians, in milliseconds. An entry is verified each time it is read; its
tensors become float32 when they are looked at. zarr is measured where version 3 of it is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from samnb.cache import EmbeddingCache, make_key
from samnb.prompts import Embedding
from samnb.store.entry import deserialize

KEY = make_key("pixels", "weights", "recipe")


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Median time of one call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def zarr_reader(values: np.ndarray, folder: Path) -> Callable[[], object] | None:
    """Reads the array as zarr writes it unless told otherwise; None where there is no zarr 3."""
    try:
        import zarr
    except ImportError:
        return None
    if not zarr.__version__.startswith("3"):
        return None
    path = str(folder / "embedding.zarr")
    zarr.create_array(store=path, data=values)
    return lambda: zarr.open_array(path, mode="r")[...]


def measure(dtype: str, folder: Path, rounds: int) -> None:
    """Print one table."""
    values = np.random.default_rng(0).normal(size=(256, 64, 64)).astype(dtype)
    embedding = Embedding({"image_embedding": values.astype(np.float32)}, (480, 640), (768, 1024))
    npy = folder / "embedding.npy"
    np.save(npy, values)
    cold, warm = EmbeddingCache(folder, dtype=dtype, memory_bytes=0), EmbeddingCache(folder, dtype=dtype)
    cold.put(KEY, embedding, about={"filename": "coins.jpg"})
    raw = cold.path_of(KEY).read_bytes()
    assert cold.get(KEY) is not None
    assert warm.get(KEY) is not None
    zarr = zarr_reader(values, folder)
    rows = {
        "np.load": lambda: np.load(npy),
        "zarr 3, as it comes": zarr,
        "get from disk: read and verify": lambda: cold.get(KEY),
        "  of which verify": lambda: deserialize(raw, KEY),
        "get from disk, and look: float32": lambda: cold.get(KEY).tensors["image_embedding"],
        "get from memory": lambda: warm.get(KEY),
        "key in cache": lambda: KEY in cold,
    }
    print(f"\n{dtype}, {values.nbytes / 2**20:g} MiB")
    base = milliseconds(rows["np.load"], rounds)
    for name, call in rows.items():
        if call is None:
            print(f"  {name:42s}  not installed")
            continue
        took = milliseconds(call, rounds)
        print(f"  {name:42s} {took:8.3f} ms   {took / base:6.2f} x np.load")
    took = milliseconds(lambda: cold.put(KEY, embedding, about={}), max(10, rounds // 10))
    print(f"  {'put: convert, checksum, fsync, rename':42s} {took:8.3f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    for dtype in ("float16", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            measure(dtype, Path(folder), rounds)
