"""The yardstick, with predictors whose answers are known beforehand: every figure is worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from samnb.errors import ImageError, ModelError, PromptError
from samnb.evaluation.cases import Case, CaseList, CaseSource
from samnb.evaluation.evaluate import evaluate
from samnb.evaluation.metrics import CaseResult, summarise
from samnb.models import Model
from samnb.prompts import Embedding, Prediction
from samnb.records import Failure

SIZE = (20, 20)
WANTED = np.zeros(SIZE, bool)
WANTED[5:15, 5:15] = True  # 100 pixels


def part(pixels: int) -> np.ndarray:
    """The first pixels of the wanted mask: their IoU with it is their number in percent."""
    mask = np.zeros(SIZE, bool)
    mask.flat[np.flatnonzero(WANTED)[:pixels]] = True
    return mask


class Scripted:
    """Answers the n-th click of every case with the n-th entry of a list of (percent, score) candidates."""

    name, fingerprint, embedding_spec, device, encoder_built = "scripted", "scripted-0", "scripted/1", "cpu", True

    def __init__(self, *answers):
        self.answers, self.encodes, self.asked = answers, 0, []

    def encode(self, pixels):
        self.encodes += 1
        return Embedding({"pixels": pixels}, pixels.shape[:2], pixels.shape[:2])

    def decode(self, embedding, prompt, *, multimask=True, mask_input=None):
        self.asked.append((prompt, multimask, mask_input))
        candidates = self.answers[min(len(prompt.points), len(self.answers)) - 1]
        masks = np.stack([part(percent) for percent, _ in candidates])
        scores = np.array([score for _, score in candidates], np.float32)
        low = np.array([percent for percent, _ in candidates], np.float32)[:, None, None]
        return Prediction(masks, scores, low, prompt)


def case(name="a.png", group="", mask=WANTED, pixels=None) -> Case:
    return Case(name, np.zeros((*mask.shape, 3), np.uint8) if pixels is None else pixels, mask, "square", group)


def test_the_scripted_predictor_is_a_model():
    assert isinstance(Scripted(), Model)


# -- one case -------------------------------------------------------------------------------------


def test_every_figure_of_one_case():
    model = Scripted([(40, 0.2), (60, 0.9), (80, 0.5)], [(70, 0.8)], [(86, 0.8)], [(50, 0.8)], [(88, 0.8)], [(91, 0.8)])
    report = evaluate(model, [case()])
    found = report.overall
    assert report.cases[0].ious == pytest.approx((0.60, 0.70, 0.86, 0.50, 0.88, 0.91))
    assert (found.iou_1, found.iou_1_best, found.iou_3, found.iou_5) == pytest.approx((0.60, 0.80, 0.86, 0.88))
    assert (found.noc_85, found.noc_90, found.nof_85, found.nof_90) == (3, 6, 0, 0)
    # Scores 0.2, 0.9, 0.5 against IoUs 0.4, 0.6, 0.8.
    assert found.score_error == pytest.approx((0.2 + 0.3 + 0.3) / 3)
    assert found.score_gap == pytest.approx(0.20)
    assert found.score_correlation == pytest.approx(np.corrcoef([0.2, 0.9, 0.5], [0.4, 0.6, 0.8])[0, 1])


def test_a_case_that_never_gets_there_counts_as_the_cap_and_is_told_apart():
    report = evaluate(Scripted([(50, 0.5)]), [case()], max_clicks=7)
    assert len(report.cases[0].ious) == 7
    assert (report.overall.noc_85, report.overall.noc_90) == (7, 7)
    assert (report.overall.nof_85, report.overall.nof_90) == (1, 1)
    assert report.cases[0].as_dict()["noc_90"] is None


def test_clicks_stop_at_five_when_the_goal_is_reached_and_when_nothing_is_wrong():
    reached = Scripted([(95, 0.9)])
    assert len(evaluate(reached, [case()]).cases[0].ious) == 5
    perfect = Scripted([(70, 0.9)], [(100, 0.9)])
    report = evaluate(perfect, [case()])
    assert len(perfect.asked) == 2
    assert (report.overall.iou_3, report.overall.iou_5) == (1.0, 1.0)


def test_means_that_need_more_clicks_than_were_allowed_cannot_be_said():
    report = evaluate(Scripted([(50, 0.5)]), [case()], max_clicks=3)
    assert report.overall.iou_3 == 0.5
    assert np.isnan(report.overall.iou_5)
    assert report.as_dict()["overall"]["iou_5"] is None
    assert "–" in str(report)


def test_refining_clicks_hand_back_the_logits_of_the_shown_mask():
    model = Scripted([(40, 0.2), (60, 0.9), (80, 0.5)], [(65, 0.3), (70, 0.8)], [(90, 0.5)])
    evaluate(model, [case()], max_clicks=3)
    prompts, multimask, inputs = zip(*model.asked, strict=True)
    assert [len(prompt.points) for prompt in prompts] == [1, 2, 3]
    assert inputs[0] is None
    assert [float(low.item()) for low in inputs[1:]] == [60, 70]
    assert multimask == (True, True, True)
    # What is missed lies below: the click says "this too", in the middle of what is wrong.
    assert prompts[1].point_labels == (1, 1)
    assert not part(60)[int(prompts[1].points[1][1]), int(prompts[1].points[1][0])]


def test_refining_clicks_can_ask_for_the_single_mask():
    model = Scripted([(60, 0.9)])
    evaluate(model, [case()], max_clicks=3, multimask=False)
    assert [multimask for _, multimask, _ in model.asked] == [True, False, False]


def test_less_than_one_click_is_refused():
    with pytest.raises(PromptError, match="at least 1"):
        evaluate(Scripted([(60, 0.9)]), [case()], max_clicks=0)


# -- several --------------------------------------------------------------------------------------


def test_cases_of_one_picture_are_encoded_once():
    model = Scripted([(95, 0.9)])
    pixels = np.zeros((*SIZE, 3), np.uint8)
    evaluate(model, [case(pixels=pixels), case(pixels=pixels), case("b.png")])
    assert model.encodes == 2


def test_an_embedding_may_come_from_elsewhere():
    model, asked = Scripted([(95, 0.9)]), []

    def embed(wanted):
        asked.append(wanted.image)
        return Embedding({}, SIZE, SIZE), True

    report = evaluate(model, [case()], embed=embed)
    assert (asked, model.encodes, report.encode_ms) == (["a.png"], 0, None)


def test_groups_are_summed_up_apart():
    class ByPicture(Scripted):
        def decode(self, embedding, prompt, **options):
            bright = embedding.tensors["pixels"].any()
            self.answers = ([(90, 0.9)],) if bright else ([(50, 0.5)],)
            return super().decode(embedding, prompt, **options)

    bright = np.full((*SIZE, 3), 255, np.uint8)
    report = evaluate(ByPicture(), [case(group="dark"), case("b.png", "bright", pixels=bright), case(group="dark")])
    assert {name: (f.cases, round(f.iou_1, 3)) for name, f in report.groups.items()} == {
        "dark": (2, 0.5),
        "bright": (1, 0.9),
    }
    assert report.overall.iou_1 == pytest.approx((0.5 + 0.9 + 0.5) / 3)
    assert [c.image for c in report.worst(2)] == ["a.png", "a.png"]


def test_one_group_is_not_told_twice():
    assert evaluate(Scripted([(95, 0.9)]), [case(group="x"), case(group="x")]).groups == {}


def test_what_cannot_be_read_or_decoded_is_named_and_the_rest_goes_on():
    class Failing(Scripted):
        def encode(self, pixels):
            if pixels.any():
                raise ModelError("out of memory")
            return super().encode(pixels)

    bright = np.full((*SIZE, 3), 255, np.uint8)
    cases = [case("bad.png", pixels=bright), case("bad.png", pixels=bright), Failure("torn.png", "is torn"), case()]
    report = evaluate(Failing([(95, 0.9)]), cases)
    assert report.overall.cases == 1
    assert [(f.path, f.reason) for f in report.failed] == [
        ("bad.png", "scripted: out of memory"),  # once: its second case has nothing new to tell
        ("torn.png", "is torn"),
    ]
    assert "torn.png: is torn" in str(report)


def test_no_case_at_all_is_a_report_without_figures():
    report = evaluate(Scripted([(95, 0.9)]), [])
    assert report.overall.cases == 0
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["overall"]["iou_1"] is None
    assert "0 cases" in str(report)


# -- uncertainty ----------------------------------------------------------------------------------


def result(iou: float, **about) -> CaseResult:
    return CaseResult("a.png", "", "", 100, (iou,), (iou,), (about.get("score", iou),), 1)


def test_intervals_are_the_same_for_the_same_seed_and_others_for_another():
    rows = [result(iou) for iou in np.linspace(0.2, 0.9, 40)]
    assert summarise(rows, seed=3).as_dict() == summarise(rows, seed=3).as_dict()
    assert summarise(rows, seed=3).intervals["iou_1"] != summarise(rows, seed=4).intervals["iou_1"]


def test_an_interval_is_about_two_standard_errors_to_either_side():
    ious = np.random.default_rng(0).uniform(0, 1, 400)
    found = summarise([result(iou) for iou in ious])
    low, high = found.intervals["iou_1"]
    standard_error = ious.std() / 20
    assert low == pytest.approx(ious.mean() - 1.96 * standard_error, abs=0.15 * standard_error)
    assert high == pytest.approx(ious.mean() + 1.96 * standard_error, abs=0.15 * standard_error)


def test_equal_cases_leave_no_doubt():
    assert summarise([result(0.7)] * 9).intervals["iou_1"] == pytest.approx((0.7, 0.7))


def test_scores_that_are_not_given_cannot_be_right_or_wrong():
    found = summarise([result(0.7, score=float("nan")), result(0.5, score=float("nan"))])
    assert np.isnan(found.score_error)
    assert np.isnan(found.score_correlation)
    assert "score_error" not in found.intervals
    assert found.iou_1 == pytest.approx(0.6)


# -- what the report shows ------------------------------------------------------------------------


@pytest.fixture
def report():
    model, weak = Scripted([(40, 0.2), (92, 0.9)]), Scripted([(30, float("nan"))])
    weak.name = "weak"
    cases = [case(group="one"), case("b <i>.png", group="two")]
    return evaluate(model, cases, baselines=[weak], max_clicks=6, baseline_clicks=5)


def test_the_text_has_the_model_beside_the_baselines(report):
    told = str(report)
    assert "scripted on cpu · 2 cases on 2 images · at most 6 clicks" in told
    head, *lines = told.split("\n\n")[1].splitlines()
    assert head.split() == ["mean", "IoU", "(95", "%)", "after", "scripted", "weak"]
    rows = {line[:24].strip(): line[24:].split() for line in lines}
    assert rows["1 click"][0] == "0.920"
    assert rows["1 click"][2] == "0.300"
    assert rows["clicks at most"] == ["6", "5"]
    assert rows["score error"][-1] == "–"
    # The weak one was given five clicks instead of six, and never got there.
    assert rows["clicks to 0.85"] == ["1.00", "(1.00–1.00)", "≥", "5.00"]


def test_the_card_is_escaped_html(report):
    shown = report._repr_html_()
    assert "b &lt;i&gt;.png" in shown
    assert "<i>" not in shown
    assert "0.920" in shown


def test_the_dictionary_survives_json(report):
    again = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert again["overall"]["iou_1"] == pytest.approx(0.92)
    assert again["overall"]["intervals"]["iou_1"] == pytest.approx([0.92, 0.92])
    assert again["baselines"][0]["model"] == "weak"
    assert again["baselines"][0]["overall"]["score_error"] is None
    assert [row["image"] for row in again["cases"]] == ["a.png", "b <i>.png"]


def test_the_table_has_a_row_for_each_case_and_method(report):
    table = report.to_dataframe()
    assert table.groupby("model")["iou_1"].mean().round(2).to_dict() == {"scripted": 0.92, "weak": 0.3}
    assert len(table) == 4


def test_notes_stand_in_text_and_json(report):
    noted = report.with_notes("made with this very model")
    assert "note: made with this very model" in str(noted)
    assert noted.as_dict()["notes"] == ["made with this very model"]


# -- cases ----------------------------------------------------------------------------------------


def test_a_case_needs_a_mask_of_its_pictures_size_with_something_in_it():
    with pytest.raises(ImageError, match=r"a\.png: the mask is \(5, 5\), the picture \(20, 20\)"):
        Case("a.png", np.zeros((*SIZE, 3), np.uint8), np.ones((5, 5), bool))
    with pytest.raises(ImageError, match="an empty mask of coin"):
        Case("a.png", np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, bool), "coin")


def listed(count: int = 6) -> tuple[CaseList, list[str]]:
    opened: list[str] = []

    def read(name: str) -> np.ndarray:
        opened.append(name)
        if name == "1.png":
            raise ImageError("1.png: is torn")
        return np.zeros((*SIZE, 3), np.uint8)

    def source(number: int) -> CaseSource:
        name, mask = f"{number // 2}.png", np.zeros(SIZE, bool) if number == 4 else WANTED
        return CaseSource(name, f"mask {number}", lambda: read(name), lambda: mask)

    return CaseList([source(number) for number in range(count)], (Failure("x.png", "no picture"),)), opened


def test_a_list_reads_each_picture_once_and_reports_what_it_cannot_read():
    cases, opened = listed()
    assert opened == []
    found = list(cases)
    assert opened == ["0.png", "1.png", "2.png"]
    assert [f.path for f in found if isinstance(f, Failure)] == ["x.png", "1.png", "mask 4"]
    good = [c for c in found if isinstance(c, Case)]
    assert [c.image for c in good] == ["0.png", "0.png", "2.png"]
    assert good[0].pixels is good[1].pixels


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_the_order():
    cases, _ = listed(40)
    places = [source.place for source in cases.sampled(10, seed=1).sources]
    assert len(places) == 10
    assert places == [source.place for source in cases.sampled(10, seed=1).sources]
    assert places != [source.place for source in cases.sampled(10, seed=2).sources]
    assert places == sorted(places, key=lambda place: int(place.split()[1]))
    assert cases.sampled(None) is cases
    assert cases.sampled(99) is cases


def test_numbers_that_mean_nothing_are_refused_before_the_first_click():
    model = Scripted([(50, 0.5)])
    with pytest.raises(PromptError, match="seed: expected 0 or more; got -1"):
        evaluate(model, [case()], max_clicks=3, seed=-1)
    cases = CaseList([])
    for limit in (0, -2):
        with pytest.raises(PromptError, match="limit: expected at least 1"):
            cases.sampled(limit)
    with pytest.raises(PromptError, match="seed"):
        cases.sampled(None, seed=-1)
