"""States of images, counts, copies, and categories that come from files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from samnb.errors import FormatError, PromptError, UnknownName
from samnb.session import Session


@pytest.fixture
def session(tmp_path: Path):
    with Session(tmp_path / "session") as opened:
        random = np.random.default_rng(0)
        for size in ((60, 80), (60, 80), (40, 50)):
            opened.add(random.integers(0, 256, (*size, 3), np.uint8), dataset="monday", show=False)
        yield opened


def disc(shape: tuple[int, int], at: int = 20) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(columns - at, rows - 20) < 9


def test_states_are_kept_and_counted(session: Session, tmp_path: Path) -> None:
    seen: list[str] = []
    session.changes.subscribe(seen.append)
    first, second, third = session.images()
    session.accept_mask(first, disc((60, 80)), category="coin")
    for image, state in ((first, "done"), (second, "empty"), (third, "skip")):
        session.mark_image(image, state)
    assert seen[-3:] == [first.id, second.id, third.id]
    assert session.image_states("monday") == {first.id: "done", second.id: "empty", third.id: "skip"}
    session.mark_image(third, "")
    [counts] = session.counts()
    assert (counts.images, counts.open, counts.done, counts.empty, counts.skip) == (3, 1, 1, 1, 0)
    assert (counts.annotated, counts.annotations, counts.categories) == (1, 1, {"coin": 1})
    assert "coin" in session.counts("monday")._repr_html_()
    with Session(session.folder) as again:
        assert again.image_states() == {first.id: "done", second.id: "empty"}


def test_an_image_with_objects_is_not_empty(session: Session) -> None:
    first = session.images()[0]
    session.accept_mask(first, disc((60, 80)), category="coin")
    with pytest.raises(PromptError, match="has 1 annotation, so it is not empty"):
        session.mark_image(first, "empty")
    with pytest.raises(UnknownName, match="state of an image"):
        session.mark_image(first, "finished")
    with pytest.raises(UnknownName, match="dataset"):
        session.image_states("tuesday")
    assert session.image_states() == {}


def test_the_image_opened_last_is_known(session: Session) -> None:
    first, second, third = session.images()
    assert session.opened_last() is None
    for image in (first, third, second):
        session.note_opened(image)
    assert session.opened_last("monday") == second
    session.mark_image(first, "done")  # a state opens nothing
    assert session.opened_last() == second
    session.remove_image(second)
    assert session.opened_last() == third


def test_objects_are_copied_to_an_image_of_the_same_size(session: Session) -> None:
    first, second, third = session.images()
    session.add_attribute("occluded")
    kept = session.accept_mask(first, disc((60, 80)), category="coin")
    kept = session.update(kept, attributes={"occluded": True})
    [copy] = session.copy_annotations([kept], second)
    assert (copy.image_id, copy.category, copy.source, copy.attributes) == (
        second.id,
        "coin",
        "hand",
        {"occluded": True},
    )
    np.testing.assert_array_equal(copy.mask, kept.mask)
    with pytest.raises(PromptError, match="expected shape"):
        session.copy_annotations([kept], third)
    assert session.annotation_counts() == {first.id: 1, second.id: 1}


def test_categories_are_moved_and_merged(session: Session) -> None:
    first = session.images()[0]
    for name in ("coin", "token", "hole"):
        session.add_category(name)
    session.accept_mask(first, disc((60, 80)), category="token")
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


@pytest.mark.parametrize("text", ["[1, 2]", "{", '{"categories": [3]}', '{"categories": [{"name": " "}]}', "{}"])
def test_a_file_of_something_else_is_said(session: Session, tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="a file of categories"):
        session.load_categories(path)
    with pytest.raises(FormatError, match="cannot be read"):
        session.load_categories(tmp_path / "none.json")
    assert session.categories() == []


def test_an_image_called_empty_that_got_an_object_is_open_again(session: Session) -> None:
    [image] = session.add(np.full((30, 40, 3), 7, np.uint8), dataset="sunday", show=False).images
    session.mark_image(image, "empty")
    found = session.accept_mask(image, np.ones((30, 40), bool), category="coin")
    assert (session.image_states("sunday"), session.counts("sunday")[0].open) == ({}, 1)
    session.remove(found)
    assert session.counts("sunday")[0].empty == 1
