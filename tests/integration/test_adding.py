"""Adding as work that takes its time: shown, cancelled, interrupted, broken off, and taken up again."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samnb.images
import samnb.ingest.add
import samnb.ingest.reading
import samnb.jobs
import samnb.progress
import samnb.session
from samnb import cli
from samnb.catalog import Catalog
from samnb.errors import ImageNotFound, StoreError
from samnb.jobs import Job
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import wait_until

FILES = 60


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A test run that a shell put into the background ignores Ctrl+C, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        yield session


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(FILES):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


class Reading:
    """Counts the files that are read, and does something at the n-th."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.at: dict[int, object] = {}
        self._lock = threading.Lock()
        monkeypatch.setattr(samnb.ingest.reading, "read_picture", self)

    def __call__(self, path: Path) -> object:
        with self._lock:
            self.names.append(Path(path).name)
            act = self.at.get(len(self.names))
        if callable(act):
            act()
        return samnb.images.read_picture(path)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    return Reading(monkeypatch)


# -- what it says --------------------------------------------------------------------------------------


def test_a_job_tells_of_every_picture_and_ends_with_the_report(session: Session, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    job = session.add_job(photos, dataset="monday", show=False)
    last = job.wait(300)
    assert last is job.events[-1]
    assert job.report is not None
    assert job.report is last["report"]
    assert (job.report.added, len(job.report.failed)) == (FILES, 1)
    assert [i.filename for i in job.report.images] == [f"{n}.png" for n in range(FILES)]
    statuses = [event.status for event in job.events]
    assert (statuses.count("computed"), statuses.count("failed")) == (FILES, 1)
    failed = next(e for e in job.events if e.status == "failed")
    assert (failed["filename"], "not a picture" in failed["error"]) == ("bad.png", True)
    assert (job.total, job.state) == (FILES + 1, "done")
    assert {name: last[name] for name in ("computed", "skipped", "failed")} == {
        "computed": FILES,
        "skipped": 0,
        "failed": 1,
    }
    assert samnb.jobs.summary_text(last) == f"{FILES} images in 'monday' · {FILES} new · 1 failed"


def test_unchanged_files_are_one_event(session: Session, photos: Path) -> None:
    session.add(photos)
    job = session.add_job(photos, show=False)
    job.wait(300)
    [event] = [e for e in job.events if e.status != "done"]
    assert (event.status, event["images"], event.index, event.total) == ("skipped", FILES, FILES, FILES)
    assert repr(job) == f"<Job add 'default': done, {FILES}/{FILES}>"


def test_a_job_can_be_awaited(session: Session, photos: Path) -> None:
    async def main() -> int:
        job = session.add_job(photos, show=False)
        await asyncio.wait_for(job, 300)
        assert job.report is not None
        return job.report.added

    assert asyncio.run(main()) == FILES


def test_looking_for_files_shows_life_and_can_be_cancelled(
    session: Session, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samnb.ingest.add, "_REPORT_EVERY", -1.0)
    job = session.add_job(photos, show=False)
    job.wait(300)
    assert [e.index for e in job.events if e.status == "found"] == list(range(1, FILES + 1))
    assert job.report is not None
    gate = threading.Event()

    def slowly() -> Iterator[Path]:
        yield photos / "0.png"
        gate.wait(300)
        yield from sorted(photos.iterdir())

    job = session.add_job(slowly(), dataset="never", show=False)
    job.cancel()
    gate.set()
    last = job.wait(300)
    assert (last["cancelled"], job.report.images if job.report else None) == (True, ())
    assert "never" not in [d.name for d in session.datasets()]


def test_what_leads_nowhere_ends_the_job_with_its_error(session: Session, tmp_path: Path) -> None:
    job = session.add_job(tmp_path / "gone", show=False)
    with pytest.raises(ImageNotFound, match="gone"):
        job.wait(300)
    assert (job.state, job.report) == ("failed", None)
    with pytest.raises(ImageNotFound, match="gone"):
        session.add(tmp_path / "gone")
    assert session.datasets() == []


# -- what it shows -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_what_takes_long_is_shown(session: Session, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Job] = []
    monkeypatch.setattr(samnb.progress, "show_job", shown.append)
    real = samnb.progress.run_shown
    monkeypatch.setattr("samnb.session_methods.datasets.run_shown", lambda job, show: real(job, show=show, after=600))
    session.add(photos)
    assert shown == []
    monkeypatch.setattr("samnb.session_methods.datasets.run_shown", lambda job, show: real(job, show=show, after=-1.0))
    session.add(photos, dataset="b")
    session.add(photos, dataset="c", show=False)
    assert [job.name for job in shown] == ["add 'b'"]


def test_a_bar_in_a_terminal(session: Session, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(samnb.ingest.add, "_REPORT_EVERY", -1.0)
    session.add_job(photos).wait(300)
    assert f"{FILES}/{FILES}" in terminal.getvalue()
    assert f"{FILES} images in 'default'" in terminal.getvalue()


def test_the_widget_follows_work_that_blocks_the_kernel(
    session: Session, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from samnb.ui.progress import Progress

    monkeypatch.setattr("samnb.ui.progress._DRAW_EVERY", -1.0)
    titles: list[str] = []

    async def cell() -> Progress:
        job = samnb.ingest.add.IngestJob(
            session.catalog, session.folder, photos, dataset="monday", is_cached=lambda _: False, start=False
        )
        progress = Progress(job)
        progress._title.observe(lambda change: titles.append(change["new"]), "value")
        job.run()
        return progress

    progress = asyncio.run(cell())
    assert len(titles) > 1, "nothing was drawn while it ran"
    assert progress.title == f"{FILES} images in 'monday' · {FILES} new"
    assert progress._line.value.count(f"{FILES} read") == 1
    assert progress._pause.layout.display == "none"


def press_ctrl_c() -> None:
    """To the process, as a terminal does it; the main thread gets it, and leaves the next one to Python."""
    os.kill(os.getpid(), signal.SIGINT)
    wait_until("it is handled", lambda: signal.getsignal(signal.SIGINT) is signal.default_int_handler)


# -- stopped, and taken up again -----------------------------------------------------------------------


def test_a_cancelled_job_keeps_what_it_has_and_the_next_goes_on(
    session: Session, photos: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samnb.ingest.add, "threads", lambda *_: 1)
    started = threading.Event()
    reading.at = {20: lambda: (started.wait(300), job.cancel())}
    job = session.add_job(photos, show=False)
    started.set()
    last = job.wait(300)
    assert job.report is not None
    assert (last["cancelled"], job.state, last["left"]) == (True, "cancelled", FILES - 20)
    assert [i.filename for i in job.report.images] == [f"{n}.png" for n in range(20)]
    assert session.images() == list(job.report.images)
    assert samnb.jobs.summary_text(last).startswith("Stopped: 20 images in 'default'")
    again = session.add(photos)
    assert (again.added, len(again.images)) == (FILES - 20, FILES)
    assert sorted(reading.names) == sorted(p.name for p in photos.iterdir())
    assert [i.position for i in session.images()] == list(range(FILES))


def test_cancelled_in_the_first_block_nothing_of_the_next_is_added(
    session: Session, photos: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.add(photos, dataset="elsewhere")  # so that the second block is known without being read
    known = {f"{n}.png" for n in range(20, FILES)}
    for n in range(20):
        os.utime(photos / f"{n}.png", (1, 1))
    monkeypatch.setattr(samnb.ingest.add, "BATCH", 20)
    monkeypatch.setattr(samnb.ingest.add, "threads", lambda *_: 1)
    started = threading.Event()
    reading.names.clear()
    reading.at = {5: lambda: (started.wait(300), job.cancel())}
    job = session.add_job(photos, show=False)
    started.set()
    last = job.wait(300)
    assert job.report is not None
    assert last["cancelled"]
    assert not known & {image.filename for image in session.images("default")}
    assert [i.filename for i in job.report.images] == [f"{n}.png" for n in range(5)]


def test_ctrl_c_finishes_the_image_in_hand_and_the_same_call_goes_on(
    session: Session, photos: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samnb.ingest.add, "threads", lambda *_: 1)
    reading.at = {30: press_ctrl_c}
    with pytest.raises(
        KeyboardInterrupt, match="Stopped: 30 images in 'default' · 30 new · the same call goes on from"
    ):
        session.add(photos)
    assert [i.filename for i in session.images()] == [f"{n}.png" for n in range(30)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert session.add(photos).added == FILES - 30
    assert len(reading.names) == FILES


def test_a_second_ctrl_c_breaks_off_and_leaves_nothing_half_written(
    session: Session, photos: Path, reading: Reading
) -> None:
    reading.at = {20: lambda: (press_ctrl_c(), press_ctrl_c())}
    with pytest.raises(KeyboardInterrupt) as stopped:
        session.add(photos)
    assert str(stopped.value) == ""
    kept = session.images()
    assert [i.position for i in kept] == list(range(len(kept)))
    assert all(i.is_read for i in kept)
    assert session.add(photos).added == FILES - len(kept)


def test_work_in_another_thread_leaves_signals_alone(session: Session, photos: Path) -> None:
    reports: list[object] = []
    thread = threading.Thread(target=lambda: reports.append(session.add(photos)))
    thread.start()
    thread.join(300)
    assert len(reports) == 1


def test_the_command_ends_politely(
    session: Session, photos: Path, reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(session.folder)
    session.close()
    reading.at = {10: press_ctrl_c}
    assert cli.main(["add", folder, str(photos)]) == 130
    told = capsys.readouterr()
    assert "Stopped: " in told.err
    assert "the same call goes on from there" in told.err
    assert "Traceback" not in told.err
    assert cli.main(["add", folder, str(photos)]) == 0
    assert f"{FILES} images in 'default'" in capsys.readouterr().out
    assert len(reading.names) == FILES


def test_what_was_written_before_an_error_stays_and_is_whole(
    session: Session, photos: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samnb.ingest.add, "WRITE_EVERY", -1.0)
    add_images, calls = Catalog.add_images, []

    def failing(self: Catalog, dataset: str, pictures: list[object], **options: Any) -> object:
        calls.append(len(pictures))
        if len(calls) == 11:
            raise StoreError("disk full")
        return add_images(self, dataset, pictures, **options)

    monkeypatch.setattr(Catalog, "add_images", failing)
    with pytest.raises(StoreError, match="disk full"):
        session.add(photos)
    assert calls == [1] * 11
    assert [i.filename for i in session.images()] == [f"{n}.png" for n in range(10)]
    monkeypatch.undo()
    assert session.add(photos).added == FILES - 10
