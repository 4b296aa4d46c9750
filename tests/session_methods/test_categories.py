"""Categories that are moved, merged, and come from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb.errors import FormatError, StoreError, UnknownName
from samnb.session import Session


@pytest.fixture
def session(tmp_path: Path):
    with Session(tmp_path / "session") as opened:
        random = np.random.default_rng(0)
        for size in ((60, 80), (60, 80), (40, 50)):
            opened.add(random.integers(0, 256, (*size, 3), np.uint8), dataset="monday", show=False)
        yield opened


def test_categories_are_moved_and_merged(session: Session) -> None:
    first = session.images()[0]
    for name in ("coin", "token", "hole"):
        session.add_category(name)
    session.accept_mask(first, np.ones((60, 80), bool), category="token")
    session.move_category("hole", 0)
    assert session.categories() == ["hole", "coin", "token"]
    assert session.merge_category("token", "coin") == 1
    assert session.categories() == ["hole", "coin"]
    assert [annotation.category for annotation in session.annotations()] == ["coin"]
    assert session.merge_category("coin", "coin") == 0
    with pytest.raises(UnknownName):
        session.merge_category("token", "coin")
    with pytest.raises(UnknownName):
        session.move_category("token", 0)
    assert session.categories() == ["hole", "coin"]


def test_categories_and_attributes_go_to_another_session(session: Session, tmp_path: Path) -> None:
    session.add_category("coin", color="#112233")
    session.add_category("hole")
    session.add_attribute("side", kind="choice", choices=["left", "right"])
    path = session.save_categories(tmp_path / "categories.json")
    with Session(tmp_path / "other") as other:
        other.add_category("hole")
        assert other.load_categories(path) == ["coin"]
        assert other.categories() == ["hole", "coin"]
        assert {record.name: record.color for record in other.category_records()}["coin"] == "#112233"
        assert other.attributes() == session.attributes()
        assert other.load_categories(path) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "\ufeffcat\n\n  dog \n"),
        ("coco.json", json.dumps({"images": [], "categories": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}]})),
        ("list.json", json.dumps({"categories": ["cat", "dog"]})),
    ],
)
def test_other_files_of_categories(session: Session, tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert session.load_categories(path) == ["cat", "dog"]


@pytest.mark.parametrize("color", ["red", "#12345", [220, 20, 60], None])
def test_a_colour_of_another_tool_does_not_matter(session: Session, tmp_path: Path, color: Any) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"categories": [{"id": 1, "name": "cat", "color": color}, {"id": 2, "name": "dog"}]}))
    assert session.load_categories(path) == session.categories() == ["cat", "dog"]


@pytest.mark.parametrize(
    "text",
    [
        *("[1, 2]", "{", "{}", '{"categories": "cat"}', '{"categories": {"cat": 1}}'),
        *('{"categories": [3]}', '{"categories": [{"name": " "}]}'),
        *(
            json.dumps({"categories": ["cat"], "attributes": [attribute]})
            for attribute in (
                *({"name": " "}, {"name": "side", "kind": "choice"}, {"name": "side", "choices": ["left"]}),
                {"name": "side", "kind": "choice", "choices": [" "]},
            )
        ),
    ],
)
def test_a_file_of_something_else_is_said(session: Session, tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="a file of categories"):
        session.load_categories(path)
    with pytest.raises(FormatError, match="cannot be read"):
        session.load_categories(tmp_path / "none.json")
    assert session.categories() == []


def test_a_place_that_cannot_be_written_is_said(session: Session, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a\0b.json"):
        with pytest.raises(StoreError, match="cannot be written"):
            session.save_categories(path)
