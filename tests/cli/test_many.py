"""A whole job in a terminal: shards, templates, review figures, exit statuses."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.cli import main
from samnb.jobs import Job
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import calls_of, wait_until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session with ten pictures of a red square, one of them annotated."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel(seconds=0.01))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(10):
        pixels = np.full((160, 160, 3), 120, np.uint8)
        pixels[20 + number : 70 + number, 20 + 5 * number : 70 + 5 * number] = (220, 30, 30)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    with Session(tmp_path / "session") as session:
        session.add(pictures, show=False)
        session.accept(session.predict("0.png", points=[(45, 45)]), category="red")
    return str(tmp_path / "session")


def test_the_shards_of_an_array_job_do_all_and_each_its_own(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["template", "make", folder, "red", "--set", "min_score=0.3"]) == 0
    assert main(["template", "list", folder]) == 0
    assert "red v1: match_all" in capsys.readouterr().out
    images = []
    for index in range(3):
        monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(index))
        monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_SIZE", "3")
        assert main(["prewarm", folder, "--shard", "auto"]) == 0
        assert main(["apply", folder, "red", "--shard", "auto"]) == 0
        encoded, applied = capsys.readouterr().out.splitlines()
        assert encoded.startswith(f"samnb prewarm shard {index}/3 done: ")
        assert applied.startswith(f"samnb apply shard {index}/3 done: ")
        assert "0 failed" in encoded
        images.append(int(encoded.split(": ")[1].split()[0]))
    assert sum(images) == 10
    assert main(["template", "apply", folder, "red"]) == 0
    assert "0 computed, 10 skipped" in capsys.readouterr().out
    assert main(["review", folder, "--template", "red", "--json"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["categories"]["red"].values()) == 9
    with Session(folder) as session:
        session.reject(next(one for one in session.annotations() if one.source != "hand"))
    assert main(["review", folder]) == 0
    assert "1 rejected" in capsys.readouterr().out


def test_images_called_done_are_applied_to_only_when_asked(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["template", "make", folder, "red"]) == 0
    with Session(folder) as session:
        for name in ("1.png", "2.png"):
            session.mark_image(name, "done")
    capsys.readouterr()
    assert main(["apply", folder, "red", "--shard", "0/1"]) == 0
    assert "8 images, 8 computed, 0 skipped, 0 failed, 7 masks, 2 left out" in capsys.readouterr().out
    assert main(["template", "apply", folder, "red", "--all-states"]) == 0
    assert "10 images, 2 computed, 8 skipped, 0 failed, 2 masks;" in capsys.readouterr().out


def test_a_template_travels_as_a_file(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["template", "make", folder, "red", "--category", "red", "--strategy", "match"])
    assert main(["template", "save", folder, "red", str(tmp_path / "red.json")]) == 0
    other = str(tmp_path / "other")
    Session(other).close()
    capsys.readouterr()
    assert main(["template", "list", other]) == 0
    assert "No templates" in capsys.readouterr().out
    assert main(["template", "load", other, str(tmp_path / "red.json")]) == 0
    assert "red v1: match," in capsys.readouterr().out
    assert main(["apply", other, "blue"]) == 1


def test_a_failed_image_and_a_wrong_shard_have_their_status(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    next(Path(folder).parent.glob("pictures/7.png")).write_bytes(b"no picture")
    assert main(["prewarm", folder]) == 1
    written = capsys.readouterr()
    assert "7.png" in written.err
    assert "1 failed" in written.out
    with pytest.raises(SystemExit) as ended:
        main(["prewarm", folder, "--shard", "9/9"])
    assert ended.value.code == 2
    assert "expected 0/9 to 8/9" in capsys.readouterr().err


def test_sigterm_ends_it_and_keeps_what_was_done(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = calls_of(monkeypatch, Job, "cancel")

    class Terminating(NumpyModel):
        def encode(self, pixels):
            if self.encodes == 1:
                wait_until("the signal is expected", lambda: signal.getsignal(signal.SIGTERM) != signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTERM)
                wait_until("the job is cancelled", lambda: bool(cancelled))
            return super().encode(pixels)

    model = Terminating()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    assert main(["prewarm", folder]) == 130
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("samnb prewarm stopped: 10 images")
    done = int(line.partition("images, ")[2].partition(" computed")[0])
    assert main(["prewarm", folder]) == 0
    # The example was encoded before.
    assert f"{9 - done} computed, {1 + done} skipped" in capsys.readouterr().out
