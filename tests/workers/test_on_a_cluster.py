"""A session on a real Dask cluster: nothing is lost, doubled or left running."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.errors import UnknownOption, WorkersLost
from samnb.session import Session
from samnb.workers.dask_pool import DaskPool
from tests.support.waiting import calls_of, wait_until
from tests.workers.conftest import Cluster, pictures


def open_session(folder: Path, model: str = "counting") -> Session:
    return Session(folder / "session", model=model)


def test_every_image_is_encoded_once_and_the_catalog_knows(cluster: Cluster, tmp_path: Path) -> None:
    with open_session(tmp_path) as session:
        folder = pictures(tmp_path / "pictures", 60)
        (folder / "copy.png").write_bytes((folder / "0001.png").read_bytes())
        (folder / "damaged.png").write_bytes((folder / "0002.png").read_bytes())
        session.add(folder, show=False)
        (folder / "damaged.png").write_bytes(b"no picture any more")
        job = session.prewarm(on=cluster.client, show=False)
        last = job.wait(300)
        counts = last["computed"], last["skipped"], last["failed"]
        # One of two equal pictures is waited for; of the damaged one, the whole copy was encoded.
        assert sum(event.images for event in job.events) == 62
        assert sum(counts) == 62
        assert set(cluster.encodes().values()) == {1}
        assert len(cluster.encodes()) == 60
        assert session.status().cached == 62
        assert sum(image.embedding_cached for image in session.images()) == 62
        assert session.model.encodes == 0
        assert any("2 workers" in event.details.get("pace", "") for event in job.events)
        # Again: nothing is given to a worker.
        again = session.prewarm(on=cluster.client, show=False).wait(300)
        assert (again["computed"], again["skipped"]) == (0, 62)
        assert sum(cluster.encodes().values()) == 60


def test_an_address_and_the_executor_of_a_client_are_the_same_cluster(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_session(tmp_path) as session:
        session.add(pictures(tmp_path / "pictures", 6), show=False)
        monkeypatch.setattr("samnb.workers.dask_pool.CONNECT", 120)
        first = session.prewarm(images=["0000.png"], on=cluster.client.scheduler.address, show=False).wait(300)
        second = session.prewarm(executor=cluster.client.get_executor(), show=False).wait(300)
        assert (first["computed"], second["computed"], second["skipped"]) == (1, 5, 1)
        job = session.prewarm(on=17, show=False)
        with pytest.raises(UnknownOption, match=r"on=…"):
            job.wait(300)
        session.add(pictures(tmp_path / "more", 1, start=100), show=False)
        monkeypatch.setattr("samnb.workers.dask_pool.CONNECT", 2)
        job = session.prewarm(on="tcp://127.0.0.1:9", show=False)
        with pytest.raises(WorkersLost, match="no scheduler answers"):
            job.wait(300)


@pytest.mark.slow
def test_killed_workers_cost_only_what_they_had_in_hand(cluster: Cluster, tmp_path: Path) -> None:
    rng, ended = random.Random(0), threading.Event()
    kills = 0
    with open_session(tmp_path) as session:
        session.add(pictures(tmp_path / "pictures", 400), show=False)
        job = session.prewarm(on=cluster.client, show=False)
        wait_until("some are done", lambda: sum(event.images for event in job.events) > 20)
        while job.state == "running" and kills < 3:
            for pid in rng.sample(cluster.pids(), min(1, len(cluster.pids()))):
                os.kill(pid, signal.SIGKILL)
                kills += 1
            ended.wait(0.7)
        last = job.wait(300)
        assert last["failed"] == 0, [event for event in job.events if event.status == "failed"]
        assert sum(event.images for event in job.events) == 400
        assert session.status().cached == 400
        assert len(cluster.encodes()) == 400
        # Twice only what a killed worker had begun and not yet written.
        twice = [mark for mark, count in cluster.encodes().items() if count > 1]
        assert len(twice) <= 10 * kills
        assert session.cache.check().damaged == ()


@pytest.mark.slow
def test_a_picture_that_ends_its_worker_is_found_alone(cluster: Cluster, tmp_path: Path) -> None:
    with open_session(tmp_path, "killing") as session:
        folder = pictures(tmp_path / "pictures", 120)
        deadly = np.random.default_rng(999).integers(0, 256, (24, 32, 3), np.uint8)
        deadly[0, 0] = (255, 0, 0)
        Image.fromarray(deadly).save(folder / "0050b.png")
        session.add(folder, show=False)
        job = session.prewarm(on=cluster.client, show=False)
        last = job.wait(300)
        assert (last["computed"] + last["skipped"], last["failed"]) == (120, 1)
        [failed] = [event for event in job.events if event.status == "failed"]
        assert failed.filename == "0050b.png"
        assert "ended 3 workers" in failed["error"]
        lost = max(int(e["pace"].split(", ")[1].split()[0]) for e in job.events if "lost" in e.details.get("pace", ""))
        assert lost <= 6


def test_cancel_leaves_nothing_running_and_a_pause_begins_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late this process comes to it: workers encode so many, and wait until they were told to stop."""
    monkeypatch.setattr("samnb.workers.coordinator._LAST_RESULTS", 300)
    told = calls_of(monkeypatch, DaskPool, "stop")
    cluster.limit.write_text("100")
    with open_session(tmp_path) as session:
        session.add(pictures(tmp_path / "pictures", 400), show=False)
        job = session.prewarm(on=cluster.client, show=False)
        wait_until("some are done", lambda: sum(event.images for event in job.events) > 5)
        job.pause()
        wait_until("workers are told", lambda: len(told) == 1)
        time.sleep(0.1)
        cluster.limit.unlink()
        for _ in range(2):
            time.sleep(0.5)
            wait_until("what was sent is done", lambda: not any(cluster.client.processing().values()))
        encoded = sum(cluster.encodes().values())
        time.sleep(0.5)
        assert sum(cluster.encodes().values()) == encoded < 400
        cluster.limit.write_text(str(encoded + 20))
        job.resume()
        wait_until("more are done", lambda: sum(cluster.encodes().values()) > encoded)
        job.cancel()
        wait_until("workers are told", lambda: len(told) == 2)
        time.sleep(0.1)
        cluster.limit.unlink()
        last = job.wait(300)
        assert last["cancelled"]
        wait_until("no task is left", lambda: not any(cluster.client.processing().values()))
        encoded = sum(cluster.encodes().values())
        assert encoded < 400
        # What workers had finished is in the store and in the catalog, and the next call does the rest.
        assert last["computed"] == session.status().cached
        rest = session.prewarm(on=cluster.client, show=False).wait(300)
        assert rest["failed"] == 0
        assert set(cluster.encodes().values()) == {1}


def test_two_calls_at_once_share_the_work(cluster: Cluster, tmp_path: Path) -> None:
    with open_session(tmp_path) as session:
        session.add(pictures(tmp_path / "pictures", 100), show=False)
        jobs = [session.prewarm(on=cluster.client, show=False) for _ in range(2)]
        lasts = [job.wait(300) for job in jobs]
        assert [sum(event.images for event in job.events) for job in jobs] == [100, 100]
        assert sum(last["computed"] for last in lasts) == 100
        assert set(cluster.encodes().values()) == {1}


def test_apply_finds_what_one_process_finds(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(24):
        pixels = np.full((160, 160, 3), 120, np.uint8)
        x, y = 5 + 4 * number, 90 - 3 * number
        pixels[y : y + 50, x : x + 50] = (220, 30, 30)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    found = []
    for name, on in (("here", None), ("there", cluster.client)):
        with Session(tmp_path / name, model="counting") as session:
            session.add(folder, show=False)
            for picture, x, y in (("00.png", 20, 110), ("05.png", 50, 100)):
                session.accept(session.predict(picture, points=[(x, y)]), category="red")
            template = session.template("red")
            job = session.apply(template, on=on, show=False)
            last = job.wait(300)
            assert (last["computed"], last["failed"]) == (24, 0), job.events
            names = {image.id: image.filename for image in session.images()}
            records = [one.record for one in session.annotations() if one.source != "hand"]
            found.append({(names[one.image_id], one.category, str(one.rle), one.score) for one in records})
            again = session.apply(template, on=on, show=False).wait(300)
            assert (again["computed"], again["skipped"]) == (0, 24)
    assert len(found[0]) == 22  # all but the examples: what has an annotation gets no second one
    assert found[0] == found[1]
