"""Memory while pictures are decoded."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageError, ImageUnreadable
from samnb.images import memory, open_picture, read_picture, read_pixels
from samnb.images.memory import (
    BLOCKS_OF_A_PICTURE,
    Room,
    decoding,
    keep_freed_memory,
    return_freed_memory,
)
from tests.support.waiting import wait_until


def test_large_pictures_are_decoded_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_room", Room(1 << 30))
    most, now, lock = [0], [0], threading.Lock()

    def decode() -> None:
        with decoding((10_000, 10_000), "a.png"):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1

    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert most == [1]
    assert memory._room.used == 0


def test_small_pictures_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(1)
    monkeypatch.setattr(memory, "_room", room)
    with decoding((10_000, 10_000), "large.png"), decoding((100, 100), "small.png"):
        assert room.used == 16 * 10**8


def test_a_waiting_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    room, done = Room(100), []

    def take() -> None:
        with room.taken(80):
            done.append(1)

    with room.taken(50):
        thread = threading.Thread(target=take)
        thread.start()
        assert not done
    wait_until("the other has it", lambda: bool(done))
    thread.join(300)


@pytest.mark.parametrize("read", [read_pixels, read_picture])
def test_memory_that_runs_out_is_not_blamed_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: object
) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")

    def no_memory(self: object, *more: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("PIL.PngImagePlugin.PngImageFile.load", no_memory)
        with pytest.raises(ImageError, match="not enough memory to decode 30 x 20") as caught:
            read(tmp_path / "a.png")
        assert not isinstance(caught.value, ImageUnreadable)
    assert read(tmp_path / "a.png") is not None


MEASURE = """
import sys
from pathlib import Path
from samnb.exchange.readers.mask_values import labels_of
from samnb.images import read_picture

def highest():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

for name in sys.argv[1:]:
    read = labels_of if Path(name).name.startswith("mask") else read_picture
    read(Path(name).with_suffix(".small.png"))
    Path("/proc/self/clear_refs").write_text("5")
    before = highest()
    read(Path(name))
    print(Path(name).name, (highest() - before) / 9e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's own count")
def test_reading_takes_no_more_than_is_reserved(tmp_path: Path) -> None:
    for side, suffix in ((30, ".small.png"), (3000, ".png")):
        ramp = np.broadcast_to(np.linspace(0, 60000, side).astype(np.uint16), (side, side))
        colour = np.dstack([ramp, ramp // 2, ramp // 3])
        stripes = (ramp[..., None] // 20000 * np.array([80, 40, 20], np.uint16)).astype(np.uint8)
        pictures = {"deep_12": colour // 20, "deep_alpha": np.dstack([colour, ramp]), "deep_grey": ramp}
        pictures |= {"plain": (colour >> 8).astype(np.uint8), "mask_colour": stripes}
        for name, values in pictures.items():
            cv2.imwrite(str(tmp_path / f"{name}{suffix}"), values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    names = [str(tmp_path / f"{name}.png") for name in pictures]
    done = subprocess.run([sys.executable, "-c", MEASURE, *names], capture_output=True, text=True, check=True)
    for name, size in (line.split() for line in done.stdout.splitlines()):
        reserved = memory.DEEP_BYTES_PER_PIXEL if name.startswith("deep") else memory.BYTES_PER_PIXEL
        assert 3 < float(size) <= reserved, name


def test_more_is_reserved_for_deep_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(1)
    monkeypatch.setattr(memory, "_room", room)
    monkeypatch.setattr(memory, "_SMALL", 0)
    grey = np.zeros((10, 10), np.uint16)
    for name, values in {
        "grey.png": grey,
        "colour.png": np.dstack([grey] * 3),
        "plain.png": grey.astype(np.uint8),
    }.items():
        cv2.imwrite(str(tmp_path / name), values)
        with open_picture(tmp_path / name):
            assert room.used == 100 * (16 if name == "plain.png" else 36)


_FREES_ON_THREADS = """
import threading
from samnb.images.memory import return_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def work():  # blocks of a size that the C library keeps, and small ones between them that stay
    blocks = [bytes(100_000 if n % 10 else 1000) for n in range(1000)]
    kept.append(blocks[::10])

kept = []
for _ in range(2):
    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
before = resident()
return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is on Linux")
def test_freed_memory_goes_back_to_the_system() -> None:
    found = subprocess.run([sys.executable, "-c", _FREES_ON_THREADS], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 50_000_000


_HEAPS = """
import ctypes, os, sys, threading
import samnb.images.memory

many = 2 * os.cpu_count() + 6
all_there = threading.Barrier(many)

def work():
    kept.append(bytes(1000))
    all_there.wait(300)

kept = []
threads = [threading.Thread(target=work) for _ in range(many)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[1]).read().count("<heap nr=") / max(2, os.cpu_count()))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="only glibc has heaps for threads")
def test_threads_share_as_many_heaps_as_there_are_cores(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HEAPS, str(tmp_path / "heaps.xml")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    assert 0 < float(found.stdout) <= 1


def test_pictures_use_the_memory_of_those_that_are_gone_until_it_is_given_back() -> None:
    before = Image.core.get_blocks_max()
    keep_freed_memory(2)
    assert Image.core.get_blocks_max() >= 2 * BLOCKS_OF_A_PICTURE
    Image.new("RGB", (4000, 3000))  # and is gone
    reused = Image.core.get_stats()["reused_blocks"]
    Image.new("RGB", (4000, 3000))
    assert Image.core.get_stats()["reused_blocks"] > reused
    return_freed_memory()
    assert Image.core.get_blocks_max() == before
    assert Image.core.get_stats()["blocks_cached"] <= before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has mallopt")
def test_large_arrays_of_a_thread_are_not_cleared_anew_by_the_system() -> None:
    import resource

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(20):
            np.ones(2_500_000)  # 20 MB, 4,900 pages
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    found: list[int] = []
    keep_freed_memory(1)
    thread = threading.Thread(target=lambda: found.append(faults()))
    thread.start()
    thread.join()
    return_freed_memory()
    assert found[0] < 3 * 4_900
