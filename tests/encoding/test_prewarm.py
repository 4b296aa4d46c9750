import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.encoding.pipeline
import samnb.session
from samnb.cache import EmbeddingCache
from samnb.encoding.pipeline import Pipeline
from samnb.encoding.prewarm import prewarm_events
from samnb.jobs import JobControl
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import wait_until

CHILD = Path(__file__).parents[1] / "support" / "prewarm_child.py"
KILLS = 20


@pytest.fixture
def open_session(tmp_path, monkeypatch):
    """Opens the session of this test with a model that has no network."""
    sessions = []

    def open_with(model=None):
        model = model or NumpyModel()
        monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
        sessions.append(Session(tmp_path / "session"))
        return sessions[-1]

    yield open_with
    for session in sessions:
        session.close()


def pictures(folder, count):
    folder.mkdir(exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


@pytest.mark.slow
def test_twenty_kills_lose_nothing_that_was_finished(open_session, tmp_path):
    log = tmp_path / "log"
    with open_session() as session:
        session.add(pictures(tmp_path / "pictures", 60))
    rng = random.Random(0)
    for _ in range(KILLS):
        kill_at_a_random_moment(session.folder, log, rng)
    subprocess.run([sys.executable, CHILD, session.folder, log, "0"], check=True)

    lines = log.read_text().splitlines()
    assert lines[-1] == "done"
    finished = set()
    for line in lines:
        said, _, picture = line.partition(" ")
        assert not (said == "encode" and picture in finished), f"{picture} was encoded again"
        if said == "finished":
            finished.add(picture)
    assert len(finished) == 60
    assert lines.count("ready") == KILLS + 1  # every child was killed after it had begun

    with open_session() as session:
        assert session.status().cached == 60
        report = session.cache.check(fix=True)
        assert (report.entries, report.damaged) == (60, ())
        for image in session.images():
            served, hit = session.embedding(image)
            fresh = NumpyModel.embed(session.pixels(image)).tensors["image_embedding"]
            assert hit
            np.testing.assert_array_equal(served.tensors["image_embedding"], fresh.astype(np.float16))


def kill_at_a_random_moment(folder, log, rng):
    before = log.read_text().count("ready") if log.exists() else 0
    child = subprocess.Popen([sys.executable, CHILD, folder, log, "0.01"])
    wait_until("it is ready", lambda: log.exists() and log.read_text().count("ready") > before, every=0.002)
    time.sleep(rng.random() * 0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_failures_are_counted_and_the_rest_goes_on(open_session, tmp_path):
    session = open_session(NumpyModel(fail_on_encode=2))
    session.add(pictures(tmp_path / "pictures", 4))
    events = list(session.prewarm_stream())
    assert [e.status for e in events[:-1]] == ["computed", "failed", "computed", "computed"]
    assert events[1]["error"] == "out of memory"
    assert (events[-1]["computed"], events[-1]["failed"], events[-1]["cache_size"]) == (3, 1, 3)
    assert [e.status for e in session.prewarm_stream()][1] == "computed"  # next time it works


def test_cancel_keeps_what_is_in_hand_and_begins_nothing_more(open_session, tmp_path, monkeypatch):
    # Else more images are finished before the event of the second one is told.
    monkeypatch.setattr(samnb.encoding.pipeline, "_RECORD_EVERY", 0.0)
    session = open_session()
    session.add(pictures(tmp_path / "pictures", 30))
    tasks = [session._encoder.task(image) for image in session.images()]
    control = JobControl()
    events = []
    for event in prewarm_events(tasks, encoder=session._encoder, control=control):
        events.append(event)
        if event.index == 2:
            control.cancel()
    finished = len(events) - 1
    assert 2 <= finished <= 2 + Pipeline(tasks, session._encoder, control).window
    assert [e.index for e in events[:-1]] == list(range(1, finished + 1))
    assert events[-1].as_dict() == {
        "done": True, "total": 30, "computed": finished, "skipped": 0, "failed": 0, "cache_size": finished,
        "cancelled": True,
    }  # fmt: skip
    assert session.model.encodes == len(session.cache) == finished
    assert sum(image.embedding_cached for image in session.images()) == finished


def test_an_executor_gives_every_image_one_event(open_session, tmp_path, monkeypatch):
    session = open_session()
    monkeypatch.setattr("samnb.encoding.on_workers.load_model", lambda *args, **options: session.model)
    session.add(pictures(tmp_path / "pictures", 12))
    session.prewarm(images=["003.png", "004.png"], show=False).wait(300)
    with ThreadPoolExecutor(max_workers=2) as pool:
        events = list(session.prewarm_stream(executor=pool))
    assert sum(e.images for e in events) == 12
    assert sorted(e.index for e in events if e.status == "computed") == [1, 2, 3, *range(6, 13)]
    assert (events[-1]["computed"], events[-1]["skipped"]) == (10, 2)
    assert session.model.encodes == 12


def test_equal_pictures_in_one_run_are_encoded_once(open_session, tmp_path):
    session = open_session()
    folder = pictures(tmp_path / "pictures", 2)
    for i in range(3):
        (folder / f"copy{i}.png").write_bytes((folder / "000.png").read_bytes())
    session.add(folder)
    last = list(session.prewarm_stream())[-1]
    assert (last["computed"], last["skipped"]) == (2, 3)
    assert session.model.encodes == 2


def test_what_a_remote_tier_has_and_the_disk_has_no_room_for_is_there_for_workers(tmp_path, monkeypatch):
    for module in ("samnb.session", "samnb.encoding.on_workers"):
        monkeypatch.setattr(f"{module}.load_model", lambda *args, **options: NumpyModel())
    (tmp_path / "share").mkdir()
    remote = [(tmp_path / "share").as_uri()]
    with Session(tmp_path / "one", cache={"remote": remote}) as one:
        one.add(pictures(tmp_path / "pictures", 3))
        one.prewarm(show=False).wait(300)
    with Session(tmp_path / "two", cache={"remote": remote, "disk_bytes": 10}) as two:
        two.add(tmp_path / "pictures")
        here = list(two.prewarm_stream())
        with ThreadPoolExecutor(max_workers=2) as pool:
            on_workers = list(two.prewarm_stream(executor=pool))
    assert [e.status for e in here] == ["failed"] * 3 + ["done"]
    assert "raise the budget" in here[0]["error"]
    assert [e.status for e in on_workers] == ["skipped"] * 3 + ["done"]


def test_what_another_process_evicts_at_once_was_encoded(open_session, tmp_path, monkeypatch):
    session = open_session()
    images = session.add(pictures(tmp_path / "pictures", 3), show=False).images
    real = EmbeddingCache.get_or_compute

    def evicted_at_once(cache, key, compute, *, about):
        found = real(cache, key, compute, about=about)
        with closing(EmbeddingCache(cache.folder)) as of_another_process:
            of_another_process.remove(key)
        return found

    monkeypatch.setattr(EmbeddingCache, "get_or_compute", evicted_at_once)
    events = list(session.prewarm_stream())
    assert [event.status for event in events] == ["computed"] * 3 + ["done"]
    assert not any(map(session.is_cached, images))
    assert not any(image.embedding_cached for image in session.images())
