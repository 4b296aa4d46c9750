"""The comparison of two states of samnb: here of this one with itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import compare_versions
from benchmarks.compare_versions import summary

TREE = Path(__file__).parents[2]


def test_the_ratio_is_the_median_of_the_turns():
    row = summary({"click": {"wall": {"old": [0.010, 0.030, 0.020], "new": [0.011, 0.030, 0.018]}}})["click"]["wall"]
    assert (row["old_ms"], row["new_ms"], row["ratio"]) == (20.0, 18.0, 1.0)
    assert (row["lowest"], row["highest"], row["ratio_of_fastest"]) == (0.9, 1.1, 1.1)


@pytest.mark.slow
def test_both_sides_do_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compare_versions, "IMPORTS", 1)
    compare_versions.main([str(TREE), str(TREE), "--rounds", "1", "--images", "5", "--json", str(tmp_path / "f.json")])
    figures = json.loads((tmp_path / "f.json").read_text())
    assert len(figures["measures"]) == 5
    rows = [row for clocks in figures["measures"].values() for row in clocks.values()]
    assert len(rows) == 10
    assert all(row["old_ms"] > 0 and row["new_ms"] > 0 for row in rows)
    assert figures["machine"]["processor"] in capsys.readouterr().out
