"""Pictures that were added without reading them: whatever works on many images reads them as a part of its job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samnb.encoding.on_workers
import samnb.encoding.tasks
import samnb.images.pixel_cache
import samnb.ingest.unread
import samnb.session
from samnb.ingest.reading import Read
from samnb.jobs import Job
from samnb.proposals import Everything
from samnb.records import NewAnnotation
from samnb.session import Session
from tests.support.numpy_model import NumpyModel

BATCH, COUNT = 4, 12


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Its pictures are in the catalog and unread, but for one with an annotation."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    monkeypatch.setattr(samnb.encoding.on_workers, "load_model", lambda *args, **options: NumpyModel())
    monkeypatch.setattr(samnb.ingest.unread, "BATCH", BATCH)
    with Session(tmp_path / "session") as made:
        Image.new("RGB", (32, 24), (220, 30, 30)).save(tmp_path / "example.png")
        made.add(tmp_path / "example.png", show=False)
        mask = np.zeros((24, 32), bool)
        mask[5:15, 5:20] = True
        made.accept_mask("example.png", mask, category="red")
        made.template("red")
        made.add(pictures(tmp_path / "pictures", COUNT), hash="later", show=False)
        yield made


WORKS: dict[str, Callable[[Session, Any], Job]] = {
    "apply": lambda session, on: session.apply("red", on=on, show=False),
    "prewarm": lambda session, on: session.prewarm(features=(), on=on, show=False),
    "propose": lambda session, on: session.propose(Everything(points_per_side=2), show=False),
}


@pytest.mark.parametrize("name", WORKS)
def test_reading_is_a_part_of_the_job_is_told_and_is_cancelled(
    name: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go_on, reached = samnb.ingest.unread.read_one, threading.Event(), threading.Event()

    def read(path: str, overviews: Any) -> Read:
        if Path(path).name >= f"{BATCH:03}.png":
            reached.set()
            go_on.wait(300)
        return real(path, overviews)

    monkeypatch.setattr(samnb.ingest.unread, "read_one", read)
    job = WORKS[name](session, None)
    assert reached.wait(300)
    job.cancel()
    go_on.set()
    last = job.wait(300)
    assert last["cancelled"]
    assert last["computed"] == 0
    told = [event for event in job.events if event.status == "found"]
    assert [(event.index, event["to_read"]) for event in told] == [(BATCH, COUNT), (2 * BATCH, COUNT)]
    assert sum(image.is_read for image in session.images()) == 2 * BATCH + 1
    # The next call does the rest.
    last = WORKS[name](session, None).wait(300)
    assert last["failed"] == 0
    assert all(image.is_read for image in session.images())


@pytest.mark.parametrize("name", ["apply", "prewarm"])
def test_workers_read_what_they_work_on(name: str, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    real, threads = samnb.ingest.unread.HashWork.__call__, set()

    def read(self: Any, items: Any, control: Any) -> Any:
        threads.add(threading.current_thread().name.partition("_")[0])
        return real(self, items, control)

    monkeypatch.setattr(samnb.ingest.unread.HashWork, "__call__", read)
    with ThreadPoolExecutor(2, thread_name_prefix="worker") as workers:
        WORKS[name](session, workers).wait(300)
    assert threads == {"worker"}
    assert all(image.is_read for image in session.images())


@pytest.mark.parametrize("on_workers", [False, True])
@pytest.mark.parametrize("name", WORKS)
def test_a_picture_that_cannot_be_read_is_tried_once_and_has_failed(
    name: str, on_workers: bool, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    (session.folder.parent / "pictures" / "003.png").write_bytes(b"no picture")
    (session.folder.parent / "pictures" / "008.png").unlink()
    real, tried = samnb.ingest.unread.read_one, []

    def read(path: str, overviews: Any) -> Read:
        tried.append(Path(path).name)
        return real(path, overviews)

    monkeypatch.setattr(samnb.ingest.unread, "read_one", read)
    opened = []
    for module in (samnb.encoding.tasks, samnb.images.pixel_cache):
        was = module.read_known
        monkeypatch.setattr(
            module, "read_known", lambda path, *a, was=was, **k: opened.append(Path(path).name) or was(path, *a, **k)
        )
    with ThreadPoolExecutor(2) as workers:
        job = WORKS[name](session, workers if on_workers else None)
        last = job.wait(300)
    assert sorted(tried) == [f"{number:03}.png" for number in range(COUNT)]
    assert not {"003.png", "008.png"} & set(opened)
    failed = {event.filename: event["error"] for event in job.events if event.status == "failed"}
    assert sorted(failed) == ["003.png", "008.png"]
    assert "003.png" in failed["003.png"]
    assert (last["failed"], last["computed"] + last["skipped"], last["total"]) == (2, COUNT - 1, COUNT + 1)
    ended = [event for event in job.events if event.status in ("computed", "skipped", "failed")]
    assert sorted(event.index for event in ended) == list(range(1, COUNT + 2))
    assert {event.total for event in ended} == {COUNT + 1}


def test_looking_at_proposals_reads_nothing(session: Session) -> None:
    assert session.proposals() == []
    assert sum(image.is_read for image in session.images()) == 1


def test_large_pictures_that_were_not_read_are_encoded_in_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMNB_TILED_ABOVE", "1000000")
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    pixels = np.random.default_rng(0).integers(0, 256, (1100, 1300, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    with Session(tmp_path / "later") as later, Session(tmp_path / "now") as now:
        now.add(tmp_path / "large.png", show=False)
        later.add(tmp_path / "large.png", hash="later", show=False)
        expected = now.prewarm(tiles="all", show=False).wait(300)
        job = later.prewarm(tiles="all", show=False)
        assert job.wait(300)["computed"] == expected["computed"] > 1
        names = [event.filename for event in job.events if event.status == "computed"]
        assert names[0].startswith("large.png (")
        assert not later.prewarm(tiles="all", show=False).wait(300)["computed"]


@pytest.mark.parametrize("meanwhile", ["removed", "annotated"])
def test_a_row_that_changes_while_workers_read_is_reported_alone(
    meanwhile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    folder = pictures(tmp_path / "pictures", 6)
    (folder / "003.png").write_bytes(b"no picture")
    real = samnb.ingest.unread.read_one
    with Session(tmp_path / "session") as session, ThreadPoolExecutor(1) as workers:

        def read(path: str, overviews: Any) -> Read:
            found = real(path, overviews)
            if Path(path).name == "003.png":
                if meanwhile == "removed":
                    session.catalog.remove_image(session.image("003.png").id)
                    session.catalog.remove_image(session.image("004.png").id)
                else:
                    rle = {"size": [1, 1], "counts": [0, 1]}
                    image_id = session.image("003.png").id
                    one = NewAnnotation(image_id, "red", rle, (0, 0, 1, 1), 1, 1.0, "prompt", {}, "")
                    session.catalog.add_annotations([one])
            return found

        monkeypatch.setattr(samnb.ingest.unread, "read_one", read)
        report = session.add(folder, on=workers, show=False)
        names = [image.filename for image in session.images()]
        assert [image.filename for image in report.images] == names
        reasons = {Path(failure.path).name: failure.reason for failure in report.failed}
        if meanwhile == "removed":
            assert names == ["000.png", "001.png", "002.png", "005.png"]
            assert sorted(reasons) == ["003.png", "004.png"]
            assert "removed" in reasons["004.png"]
        else:
            assert names == [f"00{number}.png" for number in range(6)]
            assert list(reasons) == ["003.png"]
            assert "1 annotation meanwhile" in reasons["003.png"]
