"""The table of a template's parameters: what it decides for templates that are saved, and for the tuner."""

from __future__ import annotations

import numpy as np
import pytest

from samnb.errors import TemplateError
from samnb.templates import DEFAULT_PARAMETERS
from samnb.templates.parameters import PARAMETERS, checked_parameters


def test_the_order_of_names_is_part_of_saved_templates() -> None:
    assert [*DEFAULT_PARAMETERS] == [
        *("min_similarity", "min_score", "review_score", "max_objects", "max_overlap", "max_iou_between", "refine"),
        *("max_area_ratio", "max_shift", "background_weight", "parts", "cascade", "guidance"),
        "reverse_check",
    ]


def test_every_slider_has_its_place_and_a_range_that_is_allowed() -> None:
    assert sorted(parameter.place for parameter in PARAMETERS) == list(range(len(PARAMETERS)))
    for parameter in PARAMETERS:
        least, most, _ = parameter.slider
        assert parameter.min <= least <= parameter.default <= most <= parameter.max
        checked_parameters({parameter.name: least})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("refine", 1.5, "a whole number from 0 to 10"),
        ("min_score", 1.1, "a number from 0 to 1"),
        ("min_score", float("nan"), "a number"),
        ("parts", "2", "a number from 0 to 5"),
    ],
)
def test_a_value_out_of_its_range_is_refused(name: str, value: float, says: str) -> None:
    with pytest.raises(TemplateError, match=f"{name}: expected {says}"):
        checked_parameters({name: value})


def test_numbers_of_numpy_are_numbers() -> None:
    values = checked_parameters({"refine": np.int64(3), "min_score": np.float32(0.5)})
    assert values == {"refine": 3.0, "min_score": 0.5}
    assert {type(value) for value in values.values()} == {float}
