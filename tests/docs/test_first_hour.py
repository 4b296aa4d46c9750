"""The code of docs/first-hour.md runs as it stands there, with clicks where the page says that a person clicks."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from samnb.demo import COIN_POINTS
from tests.test_readme import python_blocks, run

PAGE = Path(__file__).parents[2] / "docs" / "first-hour.md"


def test_the_code_of_the_first_hour_runs(tmp_path, demo_folder, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo_folder / "monday", tmp_path / "path" / "to" / "photographs")
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(PAGE)
    clicks = f"""
for point in {COIN_POINTS}:
    session.accept(session.predict("coins_1.png", points=[point]), category="mug")
"""
    place = next(number for number, (_, _, code) in enumerate(blocks) if "session.annotate" in code)
    blocks.insert(place + 1, (PAGE, 0, clicks))

    names = asyncio.run(run(blocks))

    labels = list((tmp_path / "for_training" / "labels").glob("*/*.txt"))
    assert len(labels) == 6
    assert (tmp_path / "for_training" / "data.yaml").exists()
    assert sum(len(file.read_text().splitlines()) for file in labels) > 12  # more than were clicked
    assert names["session"].model.encodes == 0  # tomorrow computes nothing
