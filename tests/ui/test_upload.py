"""The upload widget: what a browser would send, and what is shown."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import samnb.session
from samnb.errors import StoreError
from samnb.images import encode_png
from samnb.session import Session
from samnb.ui.upload import Upload
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        yield session


def png(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8))


def sent(**files: bytes) -> tuple[dict[str, Any], ...]:
    """What the browser sends, as the widget holds it."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return tuple(
        {
            "name": name.replace("_", "."),
            "type": "",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": when,
        }
        for name, content in files.items()
    )


def choose(upload: Upload, *, of: tuple[dict[str, Any], ...]) -> None:
    async def browser() -> None:
        upload._files.value = of
        assert upload.job is not None
        at_work = upload.job.state == "running"
        assert upload._files.disabled or not at_work, "no second choice while the first is at work"
        await asyncio.wait_for(upload.job, 300)
        await asyncio.sleep(0)

    asyncio.run(browser())


def shown(upload: Upload) -> str:
    [progress] = upload._news.children
    return f"{progress.title} {progress._details.value} {progress._error_line.text} {upload._error_line.text}"


def test_files_are_added_and_the_report_is_shown(session: Session) -> None:
    upload = session.upload(dataset="monday")
    choose(upload, of=sent(a_png=png(1), b_png=png(2)))
    assert [i.filename for i in session.images("monday")] == ["a.png", "b.png"]
    assert "2 images in 'monday' · 2 new" in shown(upload)
    assert upload.report is not None
    assert upload.report.added == 2
    assert (upload._files.value, upload._files.disabled) == ((), False)
    choose(upload, of=sent(a_png=png(1), c_png=png(3)))
    assert "2 images in 'monday' · 1 new" in shown(upload)
    assert len(session.images()) == 3


def test_a_zip_file_and_a_bad_file(session: Session) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("in.png", png(1))
        file.writestr("../out.png", png(2))
    upload = session.upload()
    choose(upload, of=sent(photos_zip=buffer.getvalue(), text_jpg=b"<b>no picture</b>"))
    assert [i.filename for i in session.images()] == ["in.png"]
    told = shown(upload)
    assert "1 image in 'default' · 1 new · 2 failed" in told
    assert "its name leads out of the archive" in told
    assert "text.jpg" in told
    assert "<b>no" not in told, "escaped"


def test_an_error_is_shown_in_place_and_the_next_choice_works(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = session.upload()

    def broken(*args: object, **options: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(session.catalog, "add_images", broken)
    with pytest.raises(StoreError):
        choose(upload, of=sent(a_png=png(1)))
    assert "disk full" in shown(upload)
    monkeypatch.undo()
    monkeypatch.setattr(session, "add_job", broken)
    upload.add(("a.png", png(1)))
    assert upload._error_line.text == "These files were not added: disk full"
    assert not upload._files.disabled
    monkeypatch.undo()
    upload._ended()
    choose(upload, of=sent(a_png=png(1)))
    assert upload._error_line.text == ""
    assert len(session.images()) == 1


def test_it_can_be_used_without_seeing_it(session: Session) -> None:
    upload = session.upload(dataset="monday")
    assert upload._files.description == "Choose pictures or zip files"
    assert "monday" in upload._files.tooltip
    assert {".png", ".jpg", ".zip"} <= set(upload._files.accept.split(","))
    choose(upload, of=sent(a_png=png(1)))
    [progress] = upload._news.children
    assert 'role="progressbar"' in progress._bar.value
    assert 'aria-valuenow="1"' in progress._bar.value
    assert 'aria-label="' in progress._bar.value


def test_closing_closes_every_widget(session: Session) -> None:
    from ipywidgets.widgets import widget

    session.upload().close()
    before = set(widget._instances)
    for seed in range(3):
        upload = session.upload()
        choose(upload, of=sent(a_png=png(seed)))
        choose(upload, of=sent(b_png=png(seed)))
        upload.close()
    # Those of earlier tests may end meanwhile.
    assert set(widget._instances) <= before
