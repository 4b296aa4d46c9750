"""Templates and how their objects are found, with a model whose embedding is colour: what is right is known."""

import numpy as np
import pytest

import samnb.templates.strategies
import samnb.templates.template
from samnb.errors import UnknownName, UnknownOption
from samnb.masks import mask_iou
from samnb.prompts import Prompt
from samnb.templates import STRATEGY_NAMES, CategoryExamples, Template, make_template
from samnb.templates.features import make_example, prototype, similarity_map
from samnb.templates.match import Match
from samnb.templates.strategies import STRATEGIES, add_strategy, find_objects
from tests.support.numpy_model import NumpyModel

RED, GREEN, GREY = (220, 30, 30), (30, 200, 40), (120, 120, 120)
MODEL = NumpyModel()


def scene(boxes, size_hw=(160, 160)):
    """Coloured squares on grey; boxes are (x, y, side, colour) on the 10-pixel grid of the model's cells."""
    pixels = np.full((*size_hw, 3), GREY, np.uint8)
    for x, y, side, color in boxes:
        pixels[y : y + side, x : x + side] = color
    return pixels


def example_of(pixels, x, y):
    prompt = Prompt.of(points=[(x, y)])
    embedding = MODEL.embed(pixels)
    mask = MODEL.decode(embedding, prompt).mask
    return make_example("0" * 64, prompt, mask, embedding)


def red_template(strategy, **parameters):
    example = example_of(scene([(40, 40, 40, RED), (100, 100, 40, GREEN)]), 60, 60)
    return make_template("red", strategy, [CategoryExamples("red", (example,))], model="m", parameters=parameters)


def found(template, pixels):
    return find_objects(template, MODEL.embed(pixels), MODEL.decode)


def truth(pixels, color):
    return (pixels == np.array(color, np.uint8)).all(axis=2)


def test_match_finds_the_object_where_it_went():
    pixels = scene([(100, 20, 40, RED), (20, 100, 40, GREEN)])
    (match,) = found(red_template("match"), pixels)
    assert mask_iou(match.mask, truth(pixels, RED)) > 0.9
    assert match.score > 0.8


def test_match_all_finds_every_instance_once_and_nothing_else():
    squares = [(10, 10, 30, RED), (100, 20, 40, RED), (50, 100, 40, RED), (110, 110, 30, GREEN)]
    pixels = scene(squares)
    matches = found(red_template("match_all", max_area_ratio=10), pixels)
    # One colour is one mask for this model: all red squares together, found once.
    assert len(matches) == 1
    assert mask_iou(matches[0].mask, truth(pixels, RED)) > 0.9
    assert not (matches[0].mask & truth(pixels, GREEN)).any()


def test_an_absent_object_is_not_found():
    assert found(red_template("match_all"), scene([(40, 40, 40, GREEN)])) == []


def test_a_mask_of_another_size_is_not_taken():
    pixels = scene([(0, 0, 150, RED)])
    assert found(red_template("match", max_area_ratio=2), pixels) == []


def test_fixed_asks_at_the_same_relative_place_whatever_the_size():
    pixels = scene([(80, 80, 80, RED), (200, 200, 80, GREEN)], (320, 320))
    (match,) = found(red_template("fixed"), pixels)
    assert match.prompt.points == ((120.0, 120.0),)
    assert mask_iou(match.mask, truth(pixels, RED)) > 0.9


def test_an_object_smaller_than_a_cell_has_a_prototype():
    pixels = scene([(40, 40, 40, RED)])
    mask = np.zeros((160, 160), bool)
    mask[45, 45] = True
    vector = prototype(MODEL.embed(pixels), mask)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert vector @ prototype(MODEL.embed(pixels), truth(pixels, RED)) > 0.99


def test_similarity_leaves_the_padding_out():
    pixels = scene([(0, 0, 40, RED)], (80, 160))
    embedding = MODEL.embed(pixels)
    from samnb.prompts import Embedding

    padded = Embedding(embedding.tensors, (80, 160), (32, 64))
    examples = CategoryExamples("red", (example_of(scene([(40, 40, 40, RED)]), 60, 60),))
    assert similarity_map(padded, examples).shape == (8, 16)


def test_a_template_survives_json():
    template = red_template("match_all", min_score=0.2)
    back = Template.from_dict(template.as_dict(), version=3)
    assert back.version == 3
    assert back.as_dict() == template.as_dict()
    assert back.source == "template:red@3"


def test_mistakes_are_named():
    with pytest.raises(UnknownName, match="match_all"):
        red_template("match_everything")
    with pytest.raises(UnknownOption, match="min_score"):
        red_template("match", min_scor=1)
    with pytest.raises(UnknownOption, match="min_score"):
        red_template("match").with_parameters(minscore=1)
    assert red_template("match").with_parameters(min_score=0.9).parameters["min_score"] == 0.9


def test_a_strategy_of_others_is_one_of_a_templates(monkeypatch):
    def whole_image(template, examples, features, decoder):
        height, width = features.embedding.original_size
        return [Match(examples.category, np.ones((height, width), bool), 1.0, Prompt.of(points=[(1, 1)]))]

    monkeypatch.setattr(samnb.templates.strategies, "STRATEGIES", dict(STRATEGIES))
    monkeypatch.setattr(samnb.templates.strategies, "STRATEGY_NAMES", list(STRATEGY_NAMES))
    monkeypatch.setattr(samnb.templates.template, "STRATEGY_NAMES", samnb.templates.strategies.STRATEGY_NAMES)
    with pytest.raises(UnknownName, match="strategy"):
        red_template("whole_image")
    add_strategy("whole_image", whole_image)
    template = red_template("whole_image")
    assert found(template, scene([]))[0].mask.all()
    assert found(Template.from_dict(template.as_dict()), scene([]))[0].score == 1
    monkeypatch.delitem(samnb.templates.strategies.STRATEGIES, "whole_image")
    with pytest.raises(UnknownName, match="whole_image"):  # a file from where it is known
        found(template, scene([]))
