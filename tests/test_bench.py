"""`samnb bench`: both sides do the same work, and what is told is what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import samnb.bench
from samnb.bench import BenchReport, Comparison, bench
from samnb.cli import main
from samnb.errors import CheckpointMissing, UnknownName
from tests.support.earlier_tiny import EARLIER_TINY


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LARGE_HW": (300, 400), "SIZE_HW": (150, 200), "PROMPTS": 3}.items():
        monkeypatch.setattr(samnb.bench, name, value)
    monkeypatch.setattr(samnb.bench._pictures, "__defaults__", ((150, 200),))


@pytest.mark.slow
def test_the_earlier_tiny_beside_the_reference(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "tiny", "--checkpoint", str(EARLIER_TINY), "--rounds", "1", "--pictures", "2"]) == 0
    told = capsys.readouterr().out
    report = json.loads((tmp_path / "samnb-bench-tiny.json").read_text())
    assert len(report["comparisons"]) == 5
    for one in report["comparisons"]:
        assert one["name"] in told
        assert one["samnb_ms"] > 0
        assert one["ratio"] == pytest.approx(one["reference_ms"] / one["samnb_ms"])  # of one round
    encode, *decodes, prewarm = report["comparisons"]
    assert float(encode["agreement"].removeprefix("largest difference ")) < 1e-3
    assert all(float(one["agreement"].removeprefix("mask IoU ≥ ")) > 0.99 for one in decodes)
    assert prewarm["agreement"] == ""
    assert report["notes"][0].startswith("limit: the encoder's ")
    assert len(report["weights"]) == 64


def test_times_are_medians_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    ours, theirs = iter([9.0, 1.0, 2.0, 3.0]), iter([90.0, 10.0, 40.0, 30.0])

    def takes(seconds: object) -> None:
        clock[0] += next(seconds)  # type: ignore[call-overload]

    monkeypatch.setattr(samnb.bench, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    found = samnb.bench._in_turns("work", lambda: takes(ours), lambda: takes(theirs), 3, each=2)
    assert found == Comparison("work", 1000.0, 15000.0, 10.0)


def test_what_a_report_says() -> None:
    report = BenchReport(
        "tiny", "random", {"threads": "2"}, (Comparison("a click", 10, 25, 2.5, "mask IoU ≥ 1"),), ("n",)
    )
    assert "a click" in repr(report)
    assert "2.50×  mask IoU ≥ 1" in repr(report)
    assert report.as_dict()["comparisons"] == (
        {"name": "a click", "samnb_ms": 10, "reference_ms": 25, "ratio": 2.5, "agreement": "mask IoU ≥ 1"},
    )


def test_random_weights_are_the_same_model_and_are_gone_afterwards() -> None:
    with samnb.bench._weights("mobile_sam", "random") as path:
        assert path is not None
        from samnb.models import load_model

        model = load_model("mobile_sam", checkpoint=path)
        assert model.fingerprint.startswith("mobile_sam-")
        assert samnb.bench._reference(model).transform.target_length == 1024  # type: ignore[arg-type]
    assert not Path(path).exists()


def test_what_cannot_be_measured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path))
    with pytest.raises(UnknownName, match="random weights"):
        bench("tiny", checkpoint="random")
    with pytest.raises(UnknownName, match=r"SamPredictor.*'tiny'"):
        bench("tiny")
    with pytest.raises(UnknownName, match="model 'nothing'"):
        bench("nothing")
    with pytest.raises(CheckpointMissing):
        bench("vit_b", checkpoint=tmp_path / "none.pth")
