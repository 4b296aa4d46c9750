import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samnb.encoding.regions import whole
from samnb.errors import PointOutsideImage, PromptError
from samnb.prompts import Embedding, LazyMasks, Prediction, Prompt

SIZE = (4, 5)

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
        {"points": [(1, 2)], "point_labels": [[1], [1, 0]]},
        {"points": [(1, 2), (10**400, 3)]},
        {"points": [(1, np.inf)]},
        {"points": np.zeros((2, 2, 2))},
        {"box": (1, 2, 3)},
        {"box": (5, 5, 5, 9)},
    ],
)
def test_bad_values_are_refused_with_what_was_expected(bad):
    with pytest.raises(PromptError, match=r"expected|give"):
        Prompt.of(**bad)


@pytest.mark.parametrize("bad", [(1, 2, 5), (1, 2, 0.5), (1, 2, "left"), (1, np.nan, 1), ("here", 2, 1)])
def test_an_added_point_is_checked_as_others(bad):
    x, y, label = bad
    with pytest.raises(PromptError, match="expected"):
        Prompt.of(points=[(3, 4)]).with_point(x, y, label=label)


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


# -- masks that are made on request -------------------------------------------------------------------


class Maker:
    """Mask i has its first i + 1 rows; counts what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, index, out):
        self.asked.append(index)
        out[: index + 1] = True


@pytest.fixture
def maker():
    return Maker()


@pytest.fixture
def prediction(maker):
    scores = np.array([0.1, 0.9, 0.3], np.float32)
    return Prediction(LazyMasks(3, SIZE, maker), scores, np.zeros((3, 2, 2), np.float32), Prompt.of(points=[(1, 1)]))


def test_the_best_mask_needs_no_other(prediction, maker):
    assert prediction.mask.sum() == 10
    assert prediction.mask_of(1) is not None
    assert prediction.mask_of(-2).sum() == 10
    assert maker.asked == [1]
    with pytest.raises(IndexError):
        prediction.mask_of(3)


def test_all_masks_are_an_array_and_each_is_made_once(prediction, maker):
    best = prediction.mask
    masks = prediction.masks
    assert type(masks) is np.ndarray
    assert masks.dtype == bool
    assert masks.shape == (3, *SIZE)
    assert masks.sum(axis=(1, 2)).tolist() == [5, 10, 15]
    assert np.shares_memory(best, masks)
    assert prediction.masks is masks
    assert maker.asked == [1, 0, 2]
    assert "masks" in vars(prediction)


def test_a_changed_copy_makes_nothing_and_shares_what_is_made(prediction, maker):
    named = prediction.but(image="a.png", cache_hit=True)
    assert (named.image, named.cache_hit, named.prompt) == ("a.png", True, prediction.prompt)
    assert maker.asked == []
    assert np.shares_memory(named.mask, prediction.mask)
    assert maker.asked == [1]
    other = named.but(masks=np.ones((1, 2, 2), bool), scores=np.ones(1, np.float32))
    assert other.mask.shape == (2, 2)
    with pytest.raises(TypeError, match="unexpected"):
        prediction.but(colour="red")


def test_whoever_does_not_know_of_it_gets_all(prediction, maker):
    assert dataclasses.replace(prediction, image="a.png").masks.sum() == 30
    for other in (pickle.loads(pickle.dumps(prediction)), copy.deepcopy(prediction)):
        assert np.array_equal(other.masks, prediction.masks)
        assert other.prompt == prediction.prompt
        assert other.mask.sum() == 10
    assert maker.asked == [0, 1, 2]
    with pytest.raises(AttributeError, match="maskz"):
        _ = prediction.maskz


def test_a_failed_making_is_tried_again():
    def fail_once(index, out):
        out[0] = True
        if not failed:
            failed.append(index)
            raise MemoryError("once")

    failed = []
    masks = LazyMasks(1, SIZE, fail_once)
    with pytest.raises(MemoryError):
        masks.one(0)
    assert masks.made == frozenset()
    assert masks.one(0).sum() == 5
    assert masks.made == {0}


def test_many_threads_make_each_mask_once(maker):
    masks = LazyMasks(8, SIZE, maker)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(masks.one, list(range(8)) * 20))
    assert sorted(maker.asked) == list(range(8))


def test_a_regions_prediction_stays_lazy(prediction, maker):
    placed = whole(prediction, (2, 1, 7, 5), (10, 20), Prompt.of(points=[(3, 2)]))
    assert maker.asked == []
    mask = placed.mask
    assert mask.shape == (10, 20)
    assert np.array_equal(mask[1:5, 2:7], prediction.mask)
    assert mask.sum() == 10
    assert placed.region == (2, 1, 7, 5)
    assert maker.asked == [1]


def test_no_masks_at_all():
    assert LazyMasks(0, SIZE, Maker()).all().shape == (0, *SIZE)
