"""All that a grid of clicks finds, its parameters, and what they filter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from samnb.errors import PromptError, UnknownOption
from samnb.masks import decode_rle, mask_iou
from samnb.models import load_model
from samnb.models.sam.reference import import_segment_anything
from samnb.proposals import Everything, query_key
from samnb.proposals.everything import _RANGES, _cleaned
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, GREY, RED, scene, truth

FEW: dict[str, Any] = {"points_per_side": 8, "pred_iou_thresh": 0.85}


def test_each_thing_is_found_once(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    pixels = session.pixels(image)
    assert len(found) == 3
    for colour in (RED, GREEN, GREY):
        assert max(mask_iou(one.mask, truth(pixels, colour)) for one in found) > 0.9
    for one in found:
        assert (one.score, one.kind, one.image, one.review) == (pytest.approx(0.9), "everything", image.filename, "")
        assert one.area == one.mask.sum()
        [(x, y)] = one.prompt["points"]
        assert one.mask[int(y), int(x)]


def test_numbers_that_are_equal_are_one_question() -> None:
    one = Everything(points_per_side=8, pred_iou_thresh=1, min_mask_region_area=4)
    other = Everything(points_per_side=np.int64(8), pred_iou_thresh=1.0, min_mask_region_area=np.int32(4))  # type: ignore[arg-type]
    assert query_key(one) == query_key(other)
    assert one.as_dict()["points_per_side"] == 8


def test_its_parameters_are_those_of_segment_anything() -> None:
    import inspect

    generator = import_segment_anything().automatic_mask_generator.SamAutomaticMaskGenerator
    theirs = {name: p.default for name, p in inspect.signature(generator).parameters.items()}
    ours = {name: getattr(Everything(), name) for name, _, _ in _RANGES}
    assert ours == {
        name: value for name, value in theirs.items() if name not in ("model", "point_grids", "output_mode")
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points_per_side", 0),
        ("points_per_side", 2.5),
        ("points_per_side", True),
        ("pred_iou_thresh", 1.5),
        ("pred_iou_thresh", float("nan")),
        ("box_nms_thresh", "0.5"),
        ("crop_n_layers", -1),
        ("crop_overlap_ratio", 1.0),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(PromptError, match=name):
        Everything(**{name: value})


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(UnknownOption, match="points_per_sides"):
        Everything.of(NumpyModel(), points_per_sides=4)


def test_tiny_has_defaults_of_its_own() -> None:
    tiny, other = Everything.of(load_model("tiny")), Everything.of(NumpyModel())
    assert other == Everything()
    assert tiny.pred_iou_thresh < other.pred_iou_thresh


def test_the_batch_changes_nothing(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    session.forget_proposals()
    again = session.segment_everything(image, **FEW, points_per_batch=3)
    assert [(one.rle, one.score) for one in again] == [(one.rle, one.score) for one in found]


def test_crops_find_what_is_small_and_drop_what_they_cut(session: Session) -> None:
    pixels = scene([(48, 48, 48, RED), (304, 304, 48, GREEN)], (512, 512))  # on the cells of a crop, not of the whole
    [image] = session.add(pixels, dataset="large", show=False).images
    options: dict[str, Any] = {"points_per_side": 20, "pred_iou_thresh": 0.85, "crop_overlap_ratio": 0.0}
    before = session.model.encodes

    def best(colour: tuple[int, int, int], **more: int) -> float:
        found = session.segment_everything(image, **options, **more)
        assert all(mask_iou(one.mask, truth(pixels, GREY)) > 0.9 for one in found if one.area > 20_000)
        return max(mask_iou(one.mask, truth(pixels, colour)) for one in found)

    for colour in (RED, GREEN):
        assert best(colour) < 0.9 < best(colour, crop_n_layers=1)
    assert session.model.encodes == before + 5  # the image and its four crops, once each
    session.forget_proposals()
    assert best(RED, crop_n_layers=1) > 0.9
    assert session.model.encodes == before + 5


def test_small_parts_go_as_segment_anything_removes_them() -> None:
    remove = import_segment_anything().utils.amg.remove_small_regions
    rng = np.random.default_rng(3)
    changes = 0
    for share in (0.2, 0.5, 0.7, 0.95) * 8:
        mask = rng.random((24, 31)) < share
        holes, filled = remove(mask, 6, mode="holes")
        official, parted = remove(holes, 6, mode="islands")
        mine, changed = _cleaned(mask, 6)
        np.testing.assert_array_equal(mine, official)
        assert changed == (filled or parted)
        changes += changed
    assert changes > 20


def test_small_parts_are_removed_from_what_is_found(session: Session) -> None:
    pixels = scene([(20, 20, 60, RED), (120, 120, 10, RED)])
    [image] = session.add(pixels, dataset="parts", show=False).images
    both = session.segment_everything(image, **FEW)
    largest = session.segment_everything(image, **FEW, min_mask_region_area=400)

    def red(found: Any) -> list[int]:
        return [one.area for one in found if mask_iou(one.mask, truth(pixels, RED)) > 0.8]

    assert red(both) == [3700]
    assert red(largest) == [3600]


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_what_is_less_stable_than_asked_is_left_out(threshold: float, tmp_path: Any) -> None:
    with Session(tmp_path / "tiny") as session:
        [image] = session.add(scene([(40, 40, 60, RED)]), show=False).images
        options: dict[str, Any] = {"points_per_side": 4, "pred_iou_thresh": 0.0}
        found = session.segment_everything(image, **options, stability_score_thresh=threshold)
        every = session.segment_everything(image, **options, stability_score_thresh=0.01, box_nms_thresh=1.0)
        assert found
        assert all(one.stability >= threshold for one in found)
        assert any(one.stability < 0.9 for one in every)


def test_masks_lie_inside_their_boxes(session: Session) -> None:
    for one in session.segment_everything(session.images()[0], **FEW):
        x, y, width, height = (int(v) for v in one.bbox)
        assert decode_rle(one.rle)[y : y + height, x : x + width].sum() == one.area
