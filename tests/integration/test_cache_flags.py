"""`embedding_cached` in the catalog says what the store holds, whatever happened to the store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.cache import EmbeddingCache
from samnb.session import Session
from samnb.store.entry import serialize
from tests.support.numpy_model import NumpyModel

Open = Callable[..., Session]


@pytest.fixture
def open_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    sessions = []

    def open_with(cache: object = None) -> Session:
        sessions.append(Session(tmp_path / "session", cache=cache))
        return sessions[-1]

    yield open_with
    for session in sessions:
        session.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def flags(session: Session) -> list[int]:
    """Numbers of the images that the catalog says are cached; the store is not asked."""
    return [int(image.filename[0]) for image in session.images() if image.embedding_cached]


def truth(session: Session) -> list[int]:
    return [int(image.filename[0]) for image in session.images() if session.is_cached(image)]


def path_of(session: Session, name: str) -> Path:
    return session.cache.path_of(session._encoder.key(session.image(name).pixel_hash))


def entry_size(session: Session) -> int:
    record = session.images()[0]
    embedding = NumpyModel.embed(session.pixels(record))
    task = session._encoder.task(record)
    return len(serialize(task.key, embedding, dtype="float16", metadata=task.metadata))


def test_evicted_images_lose_their_flag_at_once(open_session: Open, pictures: Path) -> None:
    first = open_session()
    first.add(pictures)
    room = entry_size(first)
    session = open_session({"disk_bytes": 5 * room + room // 2, "min_free_bytes": 0})
    last = list(session.prewarm_stream())[-1]
    session.cache._evictor.wait(300)
    assert (last["computed"], last["failed"]) == (8, 0)
    assert 0 < len(truth(session)) <= 5
    assert flags(session) == truth(session)
    assert session.cache.stats().evicted == 8 - len(truth(session))
    again = list(session.prewarm_stream())[-1]
    assert again["skipped"] + again["computed"] == 8
    session.cache._evictor.wait(300)
    assert flags(session) == truth(session)
    session.cache.collect(to_bytes=0)
    assert flags(session) == truth(session) == []


def test_removed_and_damaged_entries_lose_their_flag_at_once(open_session: Open, pictures: Path) -> None:
    session = open_session()
    session.add(pictures)
    session.prewarm(show=False).wait()
    session.cache.remove(session._encoder.key(session.image("1.png").pixel_hash))
    assert flags(session) == truth(session) == [0, 2, 3, 4, 5, 6, 7]
    raw = bytearray(path_of(session, "2.png").read_bytes())
    raw[-1] ^= 1
    path_of(session, "2.png").write_bytes(raw)
    session.cache.clear_memory()
    assert session.cache.get(session._encoder.key(session.image("2.png").pixel_hash)) is None
    assert flags(session) == truth(session) == [0, 3, 4, 5, 6, 7]
    assert session.predict("2.png", points=[(3, 3)]).cache_hit is False
    assert flags(session) == truth(session) == [0, 2, 3, 4, 5, 6, 7]


def test_a_check_drops_ghosts_and_adopts_orphans(open_session: Open, pictures: Path, tmp_path: Path) -> None:
    session = open_session()
    session.add(pictures)
    session.prewarm(show=False).wait()
    kept = tmp_path / "kept.safetensors"
    shutil.move(path_of(session, "0.png"), kept)  # by hand: nobody is told
    path_of(session, "1.png").unlink()
    assert flags(session) == list(range(8))
    report = session.cache.check()
    assert (report.ok, report.entries, report.flags) == (False, 6, 2)
    assert flags(session) == list(range(8))  # looking changes nothing
    report = session.cache.check(fix=True)
    assert (report.ok, report.flags) == (True, 2)
    assert flags(session) == truth(session) == [2, 3, 4, 5, 6, 7]
    assert "wrong flags" in str(report)

    shutil.move(kept, path_of(session, "0.png"))  # put back
    assert session.cache.check(fix=True).flags == 1
    assert flags(session) == truth(session) == [0, 2, 3, 4, 5, 6, 7]
    assert session.cache.check() == type(report)(entries=7)


def test_a_new_catalog_learns_what_the_store_holds(open_session: Open, pictures: Path) -> None:
    with open_session() as session:
        session.add(pictures)
        session.prewarm(show=False).wait()
    for left in session.folder.glob("catalog.db*"):
        left.unlink()
    with open_session() as session:
        assert session.add(pictures).duplicates_found == 8
        assert flags(session) == list(range(8))
        assert list(session.prewarm_stream())[-1]["computed"] == 0


def test_eviction_by_somebody_else_shows_when_the_session_looks(open_session: Open, pictures: Path) -> None:
    session = open_session()
    session.add(pictures)
    session.prewarm(show=False).wait()
    other = EmbeddingCache(session.cache.folder)
    for path in (path_of(session, "3.png"), path_of(session, "4.png")):
        os.utime(path, (time.time() - 9999,) * 2)
    size = path_of(session, "3.png").stat().st_size
    other.collect(to_bytes=6 * size + size // 2)
    assert session.status().cached == 6
    assert flags(session) == truth(session) == [0, 1, 2, 5, 6, 7]


def test_a_closed_session_is_told_no_more(open_session: Open, pictures: Path) -> None:
    cache = EmbeddingCache(None)
    session = open_session(cache)
    session.add(pictures)
    session.prewarm(show=False).wait()
    session.close()
    cache.clear_memory()
    assert cache.check(fix=True).flags == 0


def test_images_in_hand_are_not_evicted(open_session: Open, pictures: Path) -> None:
    session = open_session()
    session.add(pictures)
    session.predict("6.png", points=[(3, 3)])
    session.prewarm(show=False).wait()
    EmbeddingCache(session.cache.folder).collect(to_bytes=0)
    assert truth(session) == [6]
    session.close()
    EmbeddingCache(session.cache.folder).collect(to_bytes=0)
    assert len(session.cache) == 0


def test_what_finds_no_room_fails_its_prewarm_and_says_why(open_session: Open, pictures: Path) -> None:
    session = open_session({"disk_bytes": 10})
    session.add(pictures)
    events = list(session.prewarm_stream())
    assert [event.status for event in events[:-1]] == ["failed"] * 8
    assert "raise the budget" in events[0]["error"]
    assert flags(session) == []
    assert session.predict("0.png", points=[(3, 3)]).cache_hit is True  # from memory
    assert session.model.encodes == 8


def test_an_image_that_is_used_again_is_in_hand_again(open_session: Open, pictures: Path) -> None:
    for index in (8, 9):
        Image.new("RGB", (32, 24), (index, 0, 0)).save(pictures / f"{index}.png")
    session = open_session()
    session.add(pictures)
    for index in (*range(8), 0, 8):
        session.predict(f"{index}.png", points=[(3, 3)])
    EmbeddingCache(session.cache.folder).collect(to_bytes=0)
    assert truth(session) == [0, *range(2, 9)]


def test_a_session_goes_on_when_somebody_deletes_all_embeddings(open_session: Open, pictures: Path) -> None:
    for index in (8, 9):
        Image.new("RGB", (32, 24), (index, 0, 0)).save(pictures / f"{index}.png")
    session = open_session()
    session.add(pictures)
    for index in range(8):
        session.predict(f"{index}.png", points=[(3, 3)])
    shutil.rmtree(session.cache.folder)
    for index in (8, 9, 0):
        session.predict(f"{index}.png", points=[(3, 3)])
    assert truth(session) == [0, 8, 9]
