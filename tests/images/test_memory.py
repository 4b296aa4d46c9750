"""Memory while pictures are decoded."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageError, ImageUnreadable
from samnb.images import memory, read_picture, read_pixels
from samnb.images.memory import Room, decoding
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
        thread.join(20)
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
    thread.join(5)


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
