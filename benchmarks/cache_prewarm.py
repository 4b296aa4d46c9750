"""A prewarm of images that are cached already, in a new process; and the memory that a long prewarm takes.

    python benchmarks/cache_prewarm.py [--images 1000] [--encoded 300]

The first part skips `--images` images and says at how many a second, and that torch was not imported. The second one
"encodes" `--encoded` images with a model that takes no time and gives embeddings of a ViT's size, into a store whose
memory may take 1 GiB, and says how much the process grew. (2,000 of them write 4 GB and take some minutes.)
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from samnb.encoding.encoder import Encoder
from samnb.prompts import Embedding
from samnb.session import Session

SIZE = (256, 64, 64)


def fill(folder: Path, images: int) -> None:
    """A session whose images are all cached; a skip reads no tensors, so small ones stand in for them."""
    small = Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, (24, 32), (24, 32))
    with Session(folder) as session:
        session.add([np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8) for i in range(images)])
        for image in session.images():
            task = session._encoder.task(image)
            session.cache.put(task.key, small, about=task.metadata)


def skip(folder: str) -> None:
    """In a process of its own: prewarm, and say how it went."""
    began = time.perf_counter()
    with Session(folder) as session:
        opened = time.perf_counter()
        last = list(session.prewarm_stream())[-1]
        done = time.perf_counter()
    assert last["computed"] == 0, last
    rate = last["total"] / (done - opened)
    print(
        f"  {last['skipped']:,} images skipped in {done - opened:.3f} s: {rate:,.0f} images/s "
        f"(opening the session: {opened - began:.2f} s); torch imported: {'torch' in sys.modules}"
    )


class ModelOfNoTime:
    """Gives an embedding of a ViT's size at once."""

    name, fingerprint, embedding_spec, device, encodes = "no-time", "no-time-0", "no-time/1", "cpu", 0

    def encode(self, pixels: np.ndarray) -> Embedding:
        self.encodes += 1
        values = np.random.default_rng(int(pixels.sum())).random(SIZE, np.float32)
        return Embedding({"image_embedding": values}, pixels.shape[:2], (768, 1024))


def grow(folder: str, images: str) -> None:
    """In a process of its own: encode, and say how much memory that took."""
    with Session(folder, cache={"disk_bytes": 4 << 30, "memory_bytes": 1 << 30, "min_free_bytes": 1 << 30}) as session:
        session.add([np.full((8, 8, 3), i % 256, np.uint8) + np.uint8([i // 256, 0, 0]) for i in range(int(images))])
        encoder = Encoder(ModelOfNoTime(), session.cache, session.catalog, checkpoint="", device="cpu")
        session._encoder = encoder
        before = peak()
        began = time.perf_counter()
        last = list(session.prewarm_stream())[-1]
        took, held = time.perf_counter() - began, session.cache.stats()
    print(
        f"  {last['computed']:,} images encoded in {took:.1f} s; memory tier {held.memory_bytes / 2**20:,.0f} MiB, "
        f"disk {held.bytes / 2**20:,.0f} MiB; the process grew from {before:,.0f} to {peak():,.0f} MiB"
    )


def peak() -> float:
    """MiB this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    if sys.argv[1:2] == ["skip"]:
        skip(sys.argv[2])
    elif sys.argv[1:2] == ["grow"]:
        grow(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--images", type=int, default=1000)
        parser.add_argument("--encoded", type=int, default=300)
        arguments = parser.parse_args()
        with tempfile.TemporaryDirectory() as folder:
            print("cached images, three new processes")
            fill(Path(folder) / "session", arguments.images)
            for _ in range(3):
                subprocess.run([sys.executable, __file__, "skip", f"{folder}/session"], check=True)
        with tempfile.TemporaryDirectory() as folder:
            print("new images, embeddings of a ViT's size")
            subprocess.run([sys.executable, __file__, "grow", f"{folder}/session", str(arguments.encoded)], check=True)
