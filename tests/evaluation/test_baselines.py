"""The old methods under the new clicks: what they do on plain pictures, and that every click is heard."""

from __future__ import annotations

import numpy as np
import pytest

from samnb.errors import PackageMissing, PromptError, UnknownName
from samnb.evaluation import baselines
from samnb.evaluation.baselines import BASELINES, make_baseline
from samnb.evaluation.cases import Case
from samnb.evaluation.evaluate import evaluate
from samnb.masks import mask_iou
from samnb.models import Model
from samnb.prompts import Prompt

pytestmark = pytest.mark.slow


@pytest.fixture(params=sorted(BASELINES))
def baseline(request):
    if request.param == "random_walker":
        pytest.importorskip("skimage", reason="the random walker is scikit-image's")
    return make_baseline(request.param)


def disc(size_hw, centre_xy, radius):
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    return (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 < radius**2


def picture(masks, size_hw=(120, 160), levels=(60, 180)):
    """Bright objects on a dark, slightly noisy ground."""
    pixels = np.random.default_rng(0).integers(0, 12, (*size_hw, 3)) + levels[0]
    for mask in masks:
        pixels[mask] += levels[1] - levels[0]
    return pixels.astype(np.uint8)


def answer(baseline, pixels, points, labels=None, previous=None):
    embedding = baseline.encode(pixels)
    prompt = Prompt.of(points=points, point_labels=labels)
    return baseline.decode(embedding, prompt, mask_input=None if previous is None else previous.low_res_logits[0])


def test_it_is_a_model_to_whoever_asks(baseline):
    assert isinstance(baseline, Model)
    assert baseline.fingerprint == f"baseline-{baseline.name}/1"


def test_one_click_finds_a_bright_disc(baseline):
    wanted = disc((120, 160), (70, 60), 25)
    found = answer(baseline, picture([wanted]), [(70, 60)])
    assert found.masks.shape == (1, 120, 160)
    assert found.masks.dtype == np.bool_
    assert np.isnan(found.scores).all()
    assert mask_iou(found.mask, wanted) > 0.9


def test_only_the_part_that_was_clicked_is_kept(baseline):
    wanted, other = disc((120, 160), (40, 60), 22), disc((120, 160), (120, 60), 22)
    found = answer(baseline, picture([wanted, other]), [(40, 60)])
    assert found.mask[60, 40]
    assert not found.mask[60, 120]
    both = answer(baseline, picture([wanted, other]), [(40, 60), (120, 60)], previous=found)
    assert both.mask[60, 120]
    assert mask_iou(both.mask, wanted | other) > 0.85


def test_a_negative_click_is_never_inside_the_answer(baseline):
    # Two touching halves of nearly the same grey: one click takes both, the second says where it has to stop.
    left, right = np.zeros((2, 120, 160), bool)
    left[30:90, 30:80] = right[30:90, 80:130] = True
    pixels = picture([left | right])
    pixels[right] -= 14
    first = answer(baseline, pixels, [(55, 60)])
    second = answer(baseline, pixels, [(55, 60), (105, 60)], [1, 0], previous=first)
    assert second.mask[60, 55]
    assert not second.mask[60, 105]
    assert mask_iou(second.mask, left) > 0.6


def test_large_pictures_are_scaled_down_and_the_mask_comes_back_in_full(baseline):
    wanted = disc((900, 1200), (500, 400), 200)
    embedding = baseline.encode(picture([wanted], (900, 1200)))
    assert max(embedding.tensors["pixels"].shape) == baseline.longest_side
    found = baseline.decode(embedding, Prompt.of(points=[(500, 400)]))
    assert found.masks.shape == (1, 900, 1200)
    assert mask_iou(found.mask, wanted) > 0.9


def test_the_same_clicks_give_the_same_mask(baseline):
    pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    one, two = (answer(baseline, pixels, [(30, 30), (60, 40)], [1, 0]) for _ in range(2))
    np.testing.assert_array_equal(one.masks, two.masks)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (2, 2), (3, 40)])
def test_tiny_and_empty_pictures_have_an_answer(baseline, size_hw):
    found = answer(baseline, np.zeros((*size_hw, 3), np.uint8), [(0.5, 0.5)])
    assert found.masks.shape == (1, *size_hw)


def test_a_click_on_the_far_edge_is_inside(baseline):
    assert answer(baseline, picture([]), [(160, 120)]).masks.shape == (1, 120, 160)


@pytest.mark.parametrize(
    "prompt", [Prompt.of(box=(1, 1, 9, 9)), Prompt.of(points=[(3, 3)], point_labels=[0])], ids=["box", "negative"]
)
def test_prompts_it_cannot_answer_are_refused(baseline, prompt):
    with pytest.raises(PromptError, match="clicks alone, at least one of them positive"):
        baseline.decode(baseline.encode(picture([])), prompt)


def test_flood_fill_fills_holes_unless_one_is_clicked_away():
    ring = disc((120, 160), (80, 60), 40) & ~disc((120, 160), (80, 60), 12)
    flood, pixels = make_baseline("flood_fill"), picture([ring])
    assert answer(flood, pixels, [(80, 30)]).mask[60, 80]
    clicked = answer(flood, pixels, [(80, 30), (80, 60)], [1, 0])
    assert not clicked.mask[60, 80]
    assert mask_iou(clicked.mask, ring) > 0.9


def test_all_of_them_run_beside_a_model():
    pytest.importorskip("skimage", reason="the random walker is scikit-image's")
    wanted = disc((120, 160), (70, 60), 25)
    first, *others = (make_baseline(name) for name in BASELINES)
    report = evaluate(first, [Case("disc.png", picture([wanted]), wanted)], baselines=others, max_clicks=3)
    assert [other.model for other in report.baselines] == ["flood_fill", "random_walker"]
    assert all(r.overall.iou_3 > 0.9 for r in (report, *report.baselines))


def test_an_unknown_baseline_is_named():
    with pytest.raises(UnknownName, match="Did you mean 'grabcut'"):
        make_baseline("grab_cut")


def test_without_scikit_image_only_the_random_walker_is_missing(monkeypatch):
    monkeypatch.setattr(baselines, "find_spec", lambda name: None if name == "skimage" else object())
    with pytest.raises(PackageMissing, match=r'samnb\[demo\]".*flood_fill'):
        make_baseline("random_walker")
    assert make_baseline("grabcut").name == "grabcut"
