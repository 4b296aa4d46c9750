"""Masks are made when they are asked for, once, and a prediction made of them is one like any other."""

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from samnb.encoding.regions import whole
from samnb.lazy_masks import LazyMasks
from samnb.prompts import Prediction, Prompt

SIZE = (4, 5)


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
