import json
import tracemalloc

import cv2
import numpy as np
import pytest

from samnb.masks import mask_iou
from samnb.prompts import Embedding, Prompt
from samnb.templates import CategoryExamples, Template, make_template
from samnb.templates.features import (
    ImageFeatures,
    cells_at,
    make_example,
    place_of,
    prototype,
    shift_of,
    similarity_map,
)
from samnb.templates.image_features import cells_of
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, GREY, MODEL, RED, example_of, found, scene, truth

ORANGE = (200, 60, 40)


def noisy(size_hw=(160, 160), seed=0):
    """Blotches of 10 pixels, so that every place looks different."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (size_hw[0] // 10 + 8, size_hw[1] // 10 + 8, 3))
    return np.kron(cells, np.ones((10, 10, 1))).astype(np.uint8)


def window(pixels, dx, dy):
    return np.ascontiguousarray(pixels[40 + dy : 200 + dy, 40 + dx : 200 + dx])


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (20, 0), (0, -20), (-10, 30), (30, 30)])
def test_a_place_is_found_again_where_it_went(dx, dy):
    pixels = noisy((240, 240))
    mask = np.zeros((160, 160), bool)
    mask[60:100, 60:110] = True
    place = place_of(ImageFeatures(MODEL.embed(window(pixels, 0, 0))), mask)
    moved = shift_of(ImageFeatures(MODEL.embed(window(pixels, dx, dy))), place, 0.25)
    assert np.allclose(np.array(moved) * 10, (-dx, -dy), atol=2.5)


def test_a_place_is_not_sought_farther_than_told():
    pixels = noisy((240, 240))
    mask = np.zeros((160, 160), bool)
    mask[60:100, 60:100] = True
    place = place_of(ImageFeatures(MODEL.embed(window(pixels, 0, 0))), mask)
    moved = shift_of(ImageFeatures(MODEL.embed(window(pixels, 30, 30))), place, 0.05)
    assert max(map(abs, moved)) <= 0.05 * 16 + 0.25


def test_fixed_follows_an_object_that_moved_a_little():
    first, second = (scene([(x, 50, 40, RED), (20, 110, 30, GREEN)]) for x in (50, 70))
    embedding = MODEL.embed(first)
    prompt = Prompt.of(points=[(55, 70)])
    example = make_example("0" * 64, prompt, truth(first, RED), embedding, place=True)
    options = {"model": "m", "parameters": {"max_shift": 0.2}}
    template = make_template("red", "fixed", [CategoryExamples("red", (example,))], **options)
    (match,) = found(template, second)
    assert mask_iou(match.mask, truth(second, RED)) > 0.9
    assert found(template.with_parameters(max_shift=0), second) == []  # grey under the click there


def test_what_looks_like_the_background_scores_less_and_the_object_is_still_found():
    pixels = scene([(20, 20, 40, RED), (100, 20, 40, ORANGE), (20, 110, 30, GREEN)])
    example = example_of(pixels, 40, 40)

    def scores(template: Template) -> tuple[float, float]:
        """Of the red one and of the orange one; 0 for what is not found."""
        matches = found(template, pixels)
        return tuple(max((m.score for m in matches if m.mask[40, x]), default=0.0) for x in (40, 120))

    alone = make_template("red", "match_all", [CategoryExamples("red", (example,))], model="m")
    orange = cells_at(MODEL.embed(pixels), [(120, 40)])
    beside = make_template("red", "match_all", [CategoryExamples("red", (example,), orange)], model="m")
    red, orange_red = scores(beside)
    assert red > beside.parameters["review_score"] > 0.4
    assert orange_red < red
    assert red / orange_red > np.divide(*scores(alone))
    similarity = similarity_map(MODEL.embed(pixels), beside.categories[0])
    assert similarity[4, 12] < similarity[4, 4]
    weightless = similarity_map(MODEL.embed(pixels), beside.categories[0], background_weight=0)
    assert weightless[4, 12] > 0.8


def test_of_two_categories_with_the_same_mask_the_better_one_stays():
    pixels = scene([(20, 20, 40, RED), (100, 100, 40, GREEN)])
    red, orange = example_of(pixels, 40, 40), example_of(scene([(20, 20, 40, ORANGE), (100, 100, 40, GREEN)]), 40, 40)
    categories = [CategoryExamples("orange", (orange,)), CategoryExamples("red", (red,))]
    template = make_template("both", "match_all", categories, model="m")
    assert [match.category for match in found(template, pixels)] == ["red"]
    assert len(found(template.with_parameters(max_iou_between=1), pixels)) == 2


def test_a_template_is_the_same_after_json():
    pixels = scene([(20, 20, 40, RED), (100, 100, 40, GREEN)])
    example = make_example("0" * 64, Prompt.of(points=[(40, 40)]), truth(pixels, RED), MODEL.embed(pixels), place=True)
    background = cells_at(MODEL.embed(pixels), [(120, 120), (5, 150)])
    template = make_template("red", "fixed", [CategoryExamples("red", (example,), background)], model="m")
    again = Template.from_dict(json.loads(json.dumps(template.as_dict())))
    assert again.as_dict() == template.as_dict()
    old, new = template.categories[0], again.categories[0]
    np.testing.assert_allclose(new.examples[0].place.patch, old.examples[0].place.patch, atol=1e-3)
    np.testing.assert_allclose(new.background, old.background, atol=1e-5)
    assert new.examples[0].rle == old.examples[0].rle


def test_a_template_of_an_older_version_is_read():
    pixels = scene([(20, 20, 40, RED)])
    values = make_template(
        "red", "fixed", [CategoryExamples("red", (example_of(pixels, 40, 40),))], model="m"
    ).as_dict()
    for name in ("rle", "place"):
        del values["categories"][0]["examples"][0][name]
    del values["categories"][0]["background"], values["parameters"]["max_shift"]
    template = Template.from_dict(values)
    assert template.parameters["max_shift"] == 0
    (match,) = found(template, pixels)
    assert mask_iou(match.mask, truth(pixels, RED)) > 0.9


def test_an_object_smaller_than_a_cell_has_a_look():
    pixels = np.full((160, 160, 3), GREY, np.uint8)
    pixels[52:55, 52:55] = RED
    mask = np.zeros((160, 160), bool)
    mask[52:55, 52:55] = True
    assert np.linalg.norm(prototype(NumpyModel.embed(pixels), mask)) == pytest.approx(1)


def several_maps(pixels):
    """The colours three times: coarse as "backbone16", finer and darker as "backbone8", coarse as "semantic"."""
    grid = MODEL.embed(pixels).tensors["image_embedding"]
    coarse = grid.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4))
    maps = {"fine": grid * 0, "semantic": coarse, "backbone16": coarse, "backbone8": grid[:2] * 0.1}
    return Embedding(maps, pixels.shape[:2], (64, 64))


def test_a_model_that_knows_meaning_is_searched_on_that_map_and_scored_on_all():
    pixels = scene([(20, 20, 60, RED), (100, 100, 60, GREEN)])
    features = ImageFeatures(several_maps(pixels))
    assert (features.cells, features.length) == ((8, 8), 8)
    mean = features.mean_inside(truth(pixels, RED))
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(mean[:5]) == pytest.approx(np.sqrt(0.5), abs=1e-5)  # as much as the map that must agree
    np.testing.assert_allclose(
        features.part(mean), features.maps[0][:, 2, 2] / np.linalg.norm(features.maps[0][:, 2, 2]), atol=1e-5
    )
    example = make_example("0" * 64, Prompt.of(points=[(40, 40)]), truth(pixels, RED), several_maps(pixels))
    assert {len(part) for part in (*example.parts, *example.around)} == {3}
    there = similarity_map(several_maps(pixels), CategoryExamples("red", (example,)))
    assert there.shape == (8, 8)
    assert there[2, 2] > 0.99 > 0 > there[6, 6]
    (cell,) = cells_at(several_maps(pixels), [(120, 120)])
    np.testing.assert_allclose(cell, features.mean_inside(truth(pixels, GREEN)), atol=1e-5)


def test_a_map_called_semantic_is_compared_before_others():
    embedding = several_maps(scene([(20, 20, 60, RED)]))
    tensors = {name: embedding.tensors[name] for name in ("fine", "semantic")}
    features = ImageFeatures(Embedding(tensors, embedding.original_size, embedding.input_size))
    assert (features.cells, features.length, features.agreeing) == ((8, 8), 3, None)


def test_masks_are_alike_only_where_the_other_map_agrees():
    pixels = scene([(20, 20, 60, RED), (100, 100, 60, GREEN)])
    embedding = several_maps(pixels)
    agreeing, mask = ImageFeatures(embedding), truth(pixels, RED)
    tensors = {**embedding.tensors, "semantic": -embedding.tensors["semantic"]}
    against = ImageFeatures(Embedding(tensors, pixels.shape[:2], (64, 64)))
    mean = agreeing.mean_inside(mask)
    np.testing.assert_allclose(agreeing.alike(mean[None], mean), [1], atol=1e-5)
    np.testing.assert_allclose(agreeing.alike(mean[None], against.mean_inside(mask)), [0], atol=1e-5)
    green = agreeing.mean_inside(truth(pixels, GREEN))
    assert agreeing.alike(green[None], mean)[0] < 0


def test_small_objects_are_searched_on_the_finer_map_too():
    pixels = scene([(20, 20, 40, RED), (100, 100, 40, GREEN)])  # two cells of eight
    example = make_example("0" * 64, Prompt.of(points=[(40, 40)]), truth(pixels, RED), several_maps(pixels))
    there = similarity_map(several_maps(pixels), CategoryExamples("red", (example,)))
    assert there.shape == (16, 16)
    assert there[3, 3] > 0.9 > 0 > there[12, 12]


def test_features_of_another_model_are_searched_and_masks_are_of_the_first():
    pixels = scene([(20, 20, 40, RED), (100, 100, 40, GREEN)])
    own, other = MODEL.embed(pixels), several_maps(pixels)
    features = ImageFeatures(own, other)
    np.testing.assert_array_equal(features.unit, ImageFeatures(other).unit)
    example = make_example("0" * 64, Prompt.of(points=[(40, 40)]), truth(pixels, RED), features)
    assert example.diameter == make_example("0" * 64, example.prompt, truth(pixels, RED), own).diameter
    assert features.diameter_in_cells(CategoryExamples("red", (example,))) == pytest.approx(2)
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    assert features.on_own_cells(values).shape == (16, 16)
    assert ImageFeatures(own).on_own_cells(values) is values


@pytest.mark.parametrize("size", [(96, 128), (97, 131), (12, 16), (9, 200)])
def test_cells_are_those_of_opencv(size):
    random = np.random.default_rng(0)
    for box in ((0, 0, *size), (3, 2, 5, 9), (size[0] - 2, 0, size[0], 7), (4, 4, 4, 4)):
        mask = np.zeros(size, bool)
        mask[box[0] : box[2], box[1] : box[3]] = True
        mask &= random.random(size) < 0.7
        expected = cv2.resize(mask.astype(np.float32), (16, 12), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(cells_of(mask, (12, 16)), expected, atol=1e-5)


def test_cells_of_a_small_object_cost_little_on_a_large_picture():
    mask = np.zeros((3000, 4000), bool)
    mask[1000:1200, 500:800] = True
    tracemalloc.start()
    assert cells_of(mask, (48, 64)).sum() * (3000 / 48) * (4000 / 64) == pytest.approx(200 * 300, rel=1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # 48 MB as float32
