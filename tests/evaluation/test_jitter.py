"""The first click at random places: inside the object, the same for the same seed, and summed up rightly."""

from __future__ import annotations

import numpy as np
import pytest

from samnb.errors import ModelError, PromptError
from samnb.evaluation.cases import Case
from samnb.evaluation.evaluate import evaluate
from samnb.evaluation.jitter import Jitter, evaluate_jittered, jittered_click
from samnb.prompts import Embedding, Prediction

SIZE = (40, 60)
LEFT, WANTED = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
WANTED[10:30, 10:50] = True
LEFT[10:30, 10:30] = True


class Halves:
    """Answers with the half of the rectangle that was clicked: an IoU of 0.5; later clicks give the whole."""

    name, fingerprint, embedding_spec, device, encoder_built = "halves", "halves-0", "halves/1", "cpu", True

    def __init__(self):
        self.encodes, self.first = 0, []

    def encode(self, pixels):
        self.encodes += 1
        return Embedding({"pixels": pixels}, pixels.shape[:2], pixels.shape[:2])

    def decode(self, embedding, prompt, *, multimask=True, mask_input=None):
        if embedding.tensors["pixels"].any():
            raise ModelError("too bright")
        mask = WANTED
        if len(prompt.points) == 1:
            x, y = prompt.points[0]
            self.first.append((x, y))
            mask = LEFT if x < 30 else WANTED
        return Prediction(mask[None], np.array([0.9], np.float32), np.zeros((1, 1, 1), np.float32), prompt)


def case(value: int = 0) -> Case:
    return Case("a.png", np.full((*SIZE, 3), value, np.uint8), WANTED, "rectangle")


def test_clicks_lie_inside_spread_and_stay_off_the_edge():
    rng = np.random.default_rng(1)
    clicks = np.array([jittered_click(WANTED, rng) for _ in range(300)])
    columns, rows = clicks.T.astype(int)
    assert WANTED[rows, columns].all()
    assert columns.min() >= 12  # the middle is 10 deep; nobody clicks on the outermost two
    assert rows.min() >= 12
    assert np.ptp(columns) > 30
    assert np.ptp(rows) > 12


def test_the_smallest_object_can_be_clicked_and_an_empty_one_not():
    mask = np.zeros((3, 3), bool)
    with pytest.raises(PromptError, match="empty mask"):
        jittered_click(mask, np.random.default_rng(0))
    mask[1, 2] = True
    assert jittered_click(mask, np.random.default_rng(0)) == (2.5, 1.5)


def test_the_same_seeds_give_the_same_clicks_and_a_picture_is_encoded_once():
    model, again = Halves(), Halves()
    cases = [case()] * 3
    assert evaluate_jittered(model, cases, seeds=4) == evaluate_jittered(again, cases, seeds=4)
    assert model.first == again.first
    assert len(set(model.first)) > 6
    assert model.encodes == 1


def test_means_and_spreads_are_those_of_the_clicks():
    model = Halves()
    found = evaluate_jittered(model, [case(), case()], seeds=6)
    ious = np.array([0.5 if x < 30 else 1.0 for x, _ in model.first]).reshape(6, 2)
    assert 0.5 < ious.mean() < 1
    assert found.iou_1 == pytest.approx(ious.mean(axis=1))
    assert found.iou_5 == (1.0,) * 6
    assert found.case_spread == pytest.approx(ious.std(axis=0).mean())
    told = found.as_dict()
    assert (told["cases"], told["seeds"], told["iou_5_spread"]) == (2, 6, 0)
    assert told["iou_1"] == pytest.approx(ious.mean())
    assert told["iou_1_spread"] == pytest.approx(ious.mean(axis=1).std())


def test_what_cannot_be_decoded_is_left_out():
    assert evaluate_jittered(Halves(), [case(), case(9)], seeds=2).cases == 1
    with pytest.raises(PromptError, match="no case"):
        evaluate_jittered(Halves(), [case(9)], seeds=2)
    with pytest.raises(PromptError, match="at least 1"):
        evaluate_jittered(Halves(), [case()], seeds=0)


def test_the_first_click_of_an_evaluation_may_be_chosen():
    model = Halves()
    assert evaluate(model, [case()], max_clicks=1, first=lambda mask: (11.5, 12.5)).overall.iou_1 == 0.5
    assert evaluate(model, [case()], max_clicks=1).overall.iou_1 == 0.5  # the middle: of equally deep ones the leftmost
    assert model.first == [(11.5, 12.5), (19.5, 19.5)]


def test_the_text_says_what_varies():
    told = str(Jitter(3, (0.4, 0.6), (0.9, 0.9), 0.25))
    assert told == (
        "first click at random, 2 seeds: 0.500 ± 0.100 after 1 click, 0.900 ± 0.000 after 5; one case varies by 0.250"
    )


def test_a_case_that_some_first_clicks_cannot_decode_is_left_out_for_all_seeds():
    class Refuses(Halves):
        def decode(self, embedding, prompt, **options):
            if embedding.tensors["pixels"].max() == 1:
                if prompt.points[0][0] < 30:
                    raise ModelError("not on the left")
                embedding = Embedding({"pixels": np.zeros(SIZE)}, SIZE, SIZE)
            return super().decode(embedding, prompt, **options)

    both = evaluate_jittered(Refuses(), [case(0), case(1)], seeds=6)
    assert (both.cases, len(both.iou_1)) == (1, 6)
