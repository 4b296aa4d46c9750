"""The repository's own measurement: it runs on the evaluation set, and its figures survive JSON."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("skimage", reason="the evaluation set's pictures come with scikit-image")

from benchmarks import evaluate_model
from samnb.evaluation.jitter import evaluate_jittered
from samnb.models import load_model


def test_two_coins_beside_a_baseline():
    sets = evaluate_model.load_sets(["coins"])
    assert list(sets) == ["coins"]
    assert len(sets["coins"]) == 24
    assert sets["coins"][0].pixels is sets["coins"][23].pixels  # encoded once
    chosen = {"coins": sets["coins"][:2]}
    reports = evaluate_model.evaluate_sets(load_model("tiny"), chosen, ["flood_fill"], max_clicks=6)
    figures = json.loads(json.dumps(evaluate_model.as_json(reports, 0.1), allow_nan=False))["sets"]["coins"]
    assert figures["overall"]["cases"] == 2
    assert figures["overall"]["iou_1"] > 0.7
    assert figures["baselines"][0]["max_clicks"] == evaluate_model.BASELINE_CLICKS
    assert len(figures["worst"]) == 2


def test_an_unknown_set_is_named():
    with pytest.raises(SystemExit, match="No set coin"):
        evaluate_model.load_sets(["coin"])


def test_jittered_clicks_stand_in_the_figures():
    sets = {"coins": evaluate_model.load_sets(["coins"])["coins"][:2]}
    model = load_model("tiny")
    reports = evaluate_model.evaluate_sets(model, sets, max_clicks=1)
    jitter = {"coins": evaluate_jittered(model, sets["coins"], seeds=2)}
    figures = json.loads(json.dumps(evaluate_model.as_json(reports, 0.1, jitter)))["sets"]["coins"]["jitter"]
    assert (figures["cases"], figures["seeds"]) == (2, 2)
    assert figures["iou_1"] > 0.6
    assert "jitter" not in evaluate_model.as_json(reports, 0.1)["sets"]["coins"]
