import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samnb.errors import PointOutsideImage, PromptError
from samnb.prompts import Embedding, Prediction, Prompt

finite = st.floats(0, 1000, allow_nan=False, allow_subnormal=False)
prompts = st.builds(
    lambda points, labels, box: Prompt(
        tuple(points), tuple(labels[: len(points)]), (box[0], box[1], box[0] + 1 + box[2], box[1] + 1 + box[3])
    ),
    st.lists(st.tuples(finite, finite), min_size=1, max_size=5),
    st.lists(st.sampled_from([0, 1]), min_size=5, max_size=5),
    st.tuples(finite, finite, finite, finite),
)


@given(prompts)
def test_a_prompt_survives_json(prompt):
    assert Prompt.from_dict(prompt.as_dict()) == prompt


@given(prompts)
def test_scaled_there_and_back_is_the_same(prompt):
    back = prompt.scaled(0.25, 4).scaled(4, 0.25)
    np.testing.assert_allclose(back.points, prompt.points, atol=1e-9)
    np.testing.assert_allclose(back.box, prompt.box, atol=1e-9)


def test_labels_left_out_mean_foreground_and_one_point_needs_no_list():
    assert Prompt.of(points=(3, 4)) == Prompt(((3.0, 4.0),), (1,))
    assert Prompt.of(points=np.array([[1, 2], [3, 4]])).point_labels == (1, 1)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"points": []},
        {"points": "here"},
        {"points": [(1, 2)], "point_labels": [1, 0]},
        {"points": [(1, 2)], "point_labels": [3]},
        {"points": [(1, np.inf)]},
        {"points": np.zeros((2, 2, 2))},
        {"box": (1, 2, 3)},
        {"box": (5, 5, 5, 9)},
    ],
)
def test_bad_values_are_refused_with_what_was_expected(bad):
    with pytest.raises(PromptError, match=r"expected|give"):
        Prompt.of(**bad)


def test_points_and_corners_outside_are_named():
    Prompt.of(points=[(0, 0), (20, 10)]).check_inside((10, 20))
    with pytest.raises(PointOutsideImage, match=r"\(21, 5\).*20 wide and 10 high"):
        Prompt.of(points=[(21, 5)]).check_inside((10, 20))
    with pytest.raises(PointOutsideImage, match=r"\(30, 9\)"):
        Prompt.of(box=(0, 0, 30, 9)).check_inside((10, 20))


def test_values_are_frozen():
    prompt = Prompt.of(points=[(1, 2)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        prompt.box = (0, 0, 1, 1)


def test_a_prediction_knows_its_best_mask():
    masks = np.zeros((3, 4, 5), bool)
    masks[1] = True
    scores = np.array([0.1, 0.8, 0.3], np.float32)
    prediction = Prediction(masks, scores, np.zeros((3, 2, 2), np.float32), Prompt.of(points=[(1, 1)]), image="a.png")
    assert prediction.best == 1
    assert prediction.mask.all()
    assert prediction.score == pytest.approx(0.8)
    assert "a.png" in repr(prediction)


def test_nbytes_of_an_embedding_counts_all_tensors():
    embedding = Embedding({"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float16)}, (1, 1), (1, 1))
    assert embedding.nbytes == 2 * 3 * 4 + 4 * 2


def test_the_automatic_choice_satisfies_the_prompts_before_the_score():
    small, large = np.zeros((10, 10), bool), np.ones((10, 10), bool)
    small[2:5, 2:5] = True
    scores, logits = np.array([0.5, 0.9], np.float32), np.zeros((2, 4, 4), np.float32)
    prediction = Prediction(np.stack([small, large]), scores, logits, Prompt())
    assert prediction.best_for(Prompt.of(points=[(3, 3)])) == 1
    assert prediction.best_for(Prompt.of(points=[(3, 3), (8, 8)], point_labels=[1, 0])) == 0
    assert prediction.best_for(Prompt.of(points=[(3, 3), (10, 10)])) == 1
    assert prediction.best_for(Prompt.of(box=(0, 0, 5, 5))) == 1
