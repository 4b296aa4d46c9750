"""The comparison of two states of samnb: here of this one with itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks import compare_versions
from benchmarks.compare_versions import in_turns, summary

TREE = Path(__file__).parents[2]


def test_the_ratio_is_the_median_over_all_pairs():
    pairs = [
        [([0.010, 0.010, 0.01], [0.011, 0.009, 0.01]), ([0.030, 0.030, 0.03], [0.030, 0.027, 0.03])],
        [([0.020, 0.020, 0.02], [0.018, 0.018, 0.04])],
    ]
    clocks = summary({"click": pairs})["click"]
    assert clocks["wall"] == {"old_ms": 20.0, "new_ms": 18.0, "ratio": 1.0, "lowest": 0.9, "highest": 1.05}
    assert clocks["no fsync"]["ratio"] == 0.9
    assert clocks["cpu"]["highest"] == 2


def test_waiting_for_the_disk_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_versions.os, "fsync", lambda file: time.sleep(0.05))
    monkeypatch.setattr(compare_versions.Clocks, "waited", 0.0)
    compare_versions.watch_fsync()
    clocks = compare_versions.Clocks()
    with open(tmp_path / "file", "wb") as file:
        compare_versions.os.fsync(file)
    wall, without, _ = clocks.read()
    assert wall - without >= 0.05


def test_the_sides_take_turns():
    order: list[str] = []
    calls = [lambda side=side: (order.append(side), [ord(side), 0.0])[1] for side in "ab"]
    assert in_turns(calls, 2) == [([97, 0.0], [98, 0.0])] * 2
    assert "".join(order) == "baabba"


@pytest.mark.slow
def test_both_sides_do_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compare_versions, "IMPORTS", 1)
    monkeypatch.setattr(compare_versions, "REPEATS", dict.fromkeys(compare_versions.REPEATS, 1))
    compare_versions.main([str(TREE), str(TREE), "--rounds", "1", "--images", "5", "--json", str(tmp_path / "f.json")])
    figures = json.loads((tmp_path / "f.json").read_text())
    assert len(figures["measures"]) == 7
    rows = [row for clocks in figures["measures"].values() for row in clocks.values()]
    assert len(rows) == 21
    assert all(row["old_ms"] > 0 and row["new_ms"] > 0 for row in rows)
    assert figures["machine"]["processor"] in capsys.readouterr().out
