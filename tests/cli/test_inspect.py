"""`samnb status`, `samnb duplicates` and `samnb hash`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.cli import main
from samnb.duplicates.near import THRESHOLD
from samnb.images import read_picture
from samnb.session import Session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs: one also re-saved and as a thumbnail; and a grey surface."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(noise).resize((400, 300)).save(folder / f"{number}.png")
    Image.open(folder / "0.png").save(folder / "copy.bmp")
    Image.open(folder / "0.png").resize((100, 75)).save(folder / "small.jpg")
    Image.new("RGB", (90, 60), "grey").save(folder / "grey.png")
    return folder


@pytest.fixture
def session(tmp_path: Path, folder: Path) -> str:
    with Session(tmp_path / "session") as session:
        session.add(folder, dataset="monday")
        session.add(folder / "1.png", dataset="tuesday")
    return str(tmp_path / "session")


def printed(capsys: pytest.CaptureFixture[str], *command: str, status: int = 0) -> str:
    assert main(list(command)) == status
    return capsys.readouterr().out


def test_status_as_text_and_json(session: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "6 in 2 datasets" in printed(capsys, "status", session)
    status = json.loads(printed(capsys, "status", session, "--json"))
    assert (status["images"], status["unique_images"], status["duplicate_groups"]) == (6, 4, 2)
    with Session(session) as opened:
        assert status == opened.status().as_dict()


def test_duplicates_by_pixels(session: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, "duplicates", session).splitlines()
    several = "1 file in several datasets, each counted once: monday/1.png = tuesday/1.png"
    assert told == ["monday/0.png = monday/copy.bmp", several]
    assert len(printed(capsys, "duplicates", session, "--dataset", "monday").splitlines()) == 1
    [group] = json.loads(printed(capsys, "duplicates", session, "--dataset", "monday", "--json"))
    assert [image["filename"] for image in group] == ["0.png", "copy.bmp"]
    assert "No duplicates." in printed(capsys, "duplicates", session, "--dataset", "tuesday")
    assert main(["duplicates", session, "--dataset", "wednesday"]) == 1
    assert "Unknown dataset 'wednesday'" in capsys.readouterr().err


def test_duplicates_by_looks(session: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, "duplicates", session, "--near")
    assert "monday/0.png ≈ monday/small.jpg" in told
    assert "1 too flat to compare" in told
    near = json.loads(printed(capsys, "duplicates", session, "--near", "--json"))
    assert (near["threshold"], near["compared"], near["flat"], near["exact"]) == (THRESHOLD, 3, 1, True)
    [group] = near["groups"]
    [other] = group["others"]
    assert (group["representative"]["filename"], other["filename"], other["same"]) == ("0.png", "small.jpg", False)
    assert 0 < other["distance"] <= THRESHOLD
    few = json.loads(printed(capsys, "duplicates", session, "--near", "--json", "--threshold", "0"))
    assert (few["threshold"], few["groups"]) == (0, [])


@pytest.mark.parametrize("wrong", [["--threshold", "3"], ["--near", "--threshold", "256"]])
def test_a_threshold_that_means_nothing_is_wrong_usage(
    session: str, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["duplicates", session, *wrong])
    assert stop.value.code == 2
    assert "--near" in capsys.readouterr().err


def test_the_three_hashes_of_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(folder / name) for name in ("0.png", "copy.bmp", "grey.png")]
    hashes = json.loads(printed(capsys, "hash", *names, "--json"))
    assert [found["path"] for found in hashes] == names
    assert hashes[0]["content_hash"] == hashlib.sha256((folder / "0.png").read_bytes()).hexdigest()
    assert hashes[0]["content_hash"] != hashes[1]["content_hash"]
    assert hashes[0]["pixel_hash"] == hashes[1]["pixel_hash"] == read_picture(names[0]).pixel_hash
    assert [found["flat"] for found in hashes] == [False, False, True]
    lines = printed(capsys, "hash", *names).splitlines()
    assert lines[0] == names[0]
    assert lines[3] == f"  perceptual  {hashes[0]['perceptual_hash']}"
    assert "too flat to compare" in lines[-1]


def test_a_file_without_hashes_is_named_and_the_others_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.png").write_bytes(b"no picture")
    assert main(["hash", str(folder / "bad.png"), str(folder / "0.png"), str(folder / "gone.png")]) == 1
    told = capsys.readouterr()
    assert told.out.startswith(str(folder / "0.png"))
    assert [line.split(":")[0] for line in told.err.splitlines() if line] == ["samnb", "samnb"]
    assert "bad.png" in told.err
    assert "gone.png" in told.err
