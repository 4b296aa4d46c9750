"""A template from a file is whole, or refused when it is read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from samnb.errors import TemplateError
from samnb.prompts import Prompt
from samnb.templates import Template
from samnb.templates.examples import CategoryExamples, Example

EXAMPLE = ("categories", 0, "examples", 0)


def written(path):
    example = Example("a" * 64, Prompt(points=[(0.5, 0.5)], point_labels=[1]), np.eye(4, dtype=np.float32)[0], 0.1, 9.0)
    return Template("coins", "match_all", (CategoryExamples("coin", (example,)),), model="tiny-0").save(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), float("inf")), (("version",), -5), (("name",), "a\0b"), (("name",), "\ud800"), (("name",), 5),
        (("name",), "x" * 10**6), (("model",), 5), (("categories", 0, "category"), 7),
        ((*EXAMPLE, "prototype"), [float("nan")] * 4), ((*EXAMPLE, "prototype"), [[1.0] * 4] * 2),
        ((*EXAMPLE, "area"), float("nan")), ((*EXAMPLE, "area"), -1), ((*EXAMPLE, "diameter"), 1e308),
        ((*EXAMPLE, "rle"), "x"), ((*EXAMPLE, "rle"), {"size": [10**9, 10**9], "counts": [10**18]}),
        ((*EXAMPLE, "prototype"), [1e308] * 4), ((*EXAMPLE, "prototype"), [10**400] * 4),
        ((*EXAMPLE, "place"), {"top": 0, "left": 0, "basis": [[1e308]], "patch": [[1.0]]}),
        ((*EXAMPLE, "parts"), [[float("inf")] * 4]), ((*EXAMPLE, "parts"), [[1.0] * 5]),
        ((*EXAMPLE, "parts"), [[1.0] * 4, [1.0] * 3]), ((*EXAMPLE, "around"), [[1.0] * 4, [1.0] * 3]),
        (("categories", 0, "background"), [[1.0, 2.0]]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_values_that_no_template_has_are_refused(tmp_path, place, value):
    file = written(tmp_path / "t.json")
    document = inside = json.loads(file.read_bytes())
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    file.write_text(json.dumps(document))
    with pytest.raises(TemplateError, match=r"t\.json"):
        Template.load(file)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000])
def test_a_file_nested_deep_is_refused(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(TemplateError, match="nested too deeply"):
        Template.load(tmp_path / "t.json")


def test_a_template_is_read_as_it_was_written(tmp_path):
    assert Template.load(written(tmp_path / "t.json")).name == "coins"


def test_an_unknown_strategy_in_a_file_is_an_error_of_that_file(tmp_path: Path) -> None:
    file = Template("coins", "match_all", (), model="tiny-0").save(tmp_path / "a.json")
    file.write_text(file.read_text().replace('"match_all"', '"guess"'))
    with pytest.raises(TemplateError, match=r"a\.json: Unknown strategy 'guess'"):
        Template.load(file)
