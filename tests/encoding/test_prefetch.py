import re
import threading

import numpy as np
import pytest

import samnb.session
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import calls_of, wait_until


class GatedModel(NumpyModel):
    """Encodes one picture for each time the gate is opened, and says which."""

    def __init__(self):
        super().__init__()
        self.gate, self.begun, self.order = threading.Semaphore(0), threading.Semaphore(0), []

    def encode(self, pixels):
        self.order.append(int(pixels[0, 0, 0]))
        self.begun.release()
        if not self.gate.acquire(timeout=300):
            raise TimeoutError("the test never opened the gate")
        return super().encode(pixels)


@pytest.fixture
def model():
    return GatedModel()


@pytest.fixture
def session(tmp_path, monkeypatch, model):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        session.add([np.full((20, 30, 3), number, np.uint8) for number in range(8)])
        yield session
        model.gate.release(100)


def begun(model):
    assert model.begun.acquire(timeout=300)


def test_the_image_comes_first_and_its_neighbours_after(session, model):
    images = session.images()
    model.gate.release(3)
    session.look_at(images[4], neighbours=[images[5], images[3]])
    session._prefetcher.wait()
    assert model.order == [4, 5, 3]
    assert [session.lamp(image) for image in images[3:6]] == ["cached"] * 3
    assert session.lamp(images[0]) == "unknown"
    assert session.image(images[4].id).embedding_cached


def test_what_was_not_begun_is_forgotten_for_what_is_looked_at_now(session, model):
    images = session.images()
    session.look_at(images[0], neighbours=images[1:4])
    begun(model)
    assert [session.lamp(image) for image in images[:2]] == ["encoding", "waiting"]
    session.look_at(images[6])
    assert session.lamp(images[1]) == "unknown"
    model.gate.release(100)
    session._prefetcher.wait()
    assert model.order == [0, 6]


def test_it_jumps_the_queue_of_a_running_prewarm(session, model):
    images = session.images()
    job = session.prewarm(show=False)
    begun(model)  # the prewarm has the first in hand
    session.look_at(images[7], neighbours=[images[6]])
    model.gate.release(100)
    job.wait()
    assert model.order[:3] == [0, 7, 6]
    assert sorted(model.order) == list(range(8))  # each once


def test_an_open_annotator_counts_what_a_prewarm_encodes(session, model):
    annotator = session.annotate()
    annotator.wait()
    model.gate.release(100)
    session._prefetcher.wait()
    session.prewarm(show=False).wait()
    annotator.wait()
    assert "8 cached" in re.sub(r"<[^>]*>", "", annotator._layout._header.value)
    annotator.close()


def test_a_prewarm_that_gives_way_can_be_cancelled(session, model, monkeypatch):
    with session._encoder.priority():
        asked = calls_of(monkeypatch, session._encoder, "priority_lock_prefixes")
        job = session.prewarm(show=False)
        wait_until("the prewarm has asked whether it may begin", lambda: len(asked) > 1)
        assert model.order == []
        job.cancel()
        assert job.wait()["cancelled"]


def test_a_failure_is_told_and_the_rest_goes_on(session, model, tmp_path):
    images = session.images()
    (session.folder / "images" / images[2].filename).unlink()
    told = []
    session._prefetcher.changes.subscribe(lambda image, lamp: told.append((image.id, lamp)))
    model.gate.release(100)
    session.look_at(images[2], neighbours=[images[3]])
    session._prefetcher.wait()
    assert session.lamp(images[2]) == "failed"
    assert session.lamp(images[3]) == "cached"
    assert told[-1] == (images[3].id, "cached")
    assert (images[2].id, "failed") in told


def test_a_listener_that_fails_stops_nothing(session, model, caplog):
    def listener(image, lamp):
        raise RuntimeError("no")

    session._prefetcher.changes.subscribe(listener)
    model.gate.release(100)
    session.look_at(session.images()[0])
    session._prefetcher.wait()
    assert session.lamp(session.images()[0]) == "cached"
    assert "a listener failed" in caplog.text


def test_a_closed_session_waits_for_the_one_in_hand_and_begins_no_other(session, model):
    images = session.images()
    session.look_at(images[0], neighbours=images[1:])
    begun(model)

    def release() -> None:
        wait_until("the session closes", lambda: session._prefetcher._closed)
        model.gate.release()

    thread = threading.Thread(target=release)
    thread.start()
    session.close()
    thread.join()
    assert model.order == [0]
    session.look_at(images[3])
    assert model.order == [0]


def test_a_store_that_does_not_answer_ends_this_round_only(session, model, monkeypatch):
    images, has = session.images(), session._encoder.has
    asked = []

    def broken(image):
        asked.append(image)
        if len(asked) == 2:  # in the thread, after it was found missing
            raise OSError("stale file handle")
        return has(image)

    monkeypatch.setattr(session._encoder, "has", broken)
    session._prefetcher.prefetch(images[0])
    session._prefetcher.wait(300)
    model.gate.release(10)
    monkeypatch.setattr(session._encoder, "has", has)
    session.look_at(images[1])
    session._prefetcher.wait(300)
    assert session.lamp(images[1]) == "cached"
