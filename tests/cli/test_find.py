"""`samnb find`: proposals from a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from samnb import Session, cli
from samnb.jobs import Event, Job
from tests.templates.test_strategies import GREEN, RED, scene, truth


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Two pictures with a red square each; the first one's is annotated under id 1."""
    first, second = scene([(40, 40, 50, RED)]), scene([(90, 20, 50, RED), (20, 90, 50, GREEN)])
    for name, pixels in (("a.png", first), ("b.png", second)):
        Image.fromarray(pixels).save(tmp_path / name)
    with Session(tmp_path / "session") as session:
        session.add([tmp_path / "a.png", tmp_path / "b.png"], show=False)
        session.accept_mask("a.png", truth(first, RED), category="red")
    return str(tmp_path / "session")


def test_everything_is_found_kept_and_exported(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["find", folder, "--everything", "--set", "points_per_side=4"]
    assert cli.main(command) == 0
    told = capsys.readouterr().out
    assert "on 2 images, 0 searched before" in told
    with Session(folder) as session:
        offered = len(session.proposals())
        assert offered > 0
    assert cli.main([*command, "--export", "coco", str(tmp_path / "all.json")]) == 0
    assert "on 0 images, 2 searched before" in capsys.readouterr().out
    coco = json.loads((tmp_path / "all.json").read_text())
    assert len(coco["annotations"]) == offered + 1


def test_objects_like_an_annotation(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["find", folder, "--like", "1", "--set", "min_score=0.2"]) == 0
    assert "on 2 images" in capsys.readouterr().out
    with Session(folder) as session:
        assert {one.kind for one in session.proposals(annotated=True)} == {"like"}


def test_what_was_stopped_is_not_accepted(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = Job.wait

    def interrupted(job: Job, timeout: float | None = None) -> Event:
        monkeypatch.setattr(Job, "wait", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "wait", interrupted)
    exported = tmp_path / "some.json"
    command = ["find", folder, "--everything", "--set", "points_per_side=4"]
    assert cli.main([*command, "--accept", "thing", "--export", "coco", str(exported)]) == 130
    assert "goes on from there" in capsys.readouterr().err
    assert not exported.exists()
    with Session(folder) as session:
        assert [one.category for one in session.annotations()] == ["red"]


@pytest.mark.parametrize(
    ("more", "told"),
    [(["--like", "99"], "annotation"), (["--everything", "--set", "point_per_side=4"], "points_per_side")],
)
def test_what_is_wrong_is_named(folder: str, more: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["find", folder, *more]) == 1
    assert told in capsys.readouterr().err


def test_something_must_be_asked(folder: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["find", folder])
