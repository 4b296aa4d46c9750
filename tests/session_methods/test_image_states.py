"""States of images, and the image opened last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samnb.errors import PromptError, UnknownName
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


def test_an_image_called_empty_that_got_an_object_is_open_again(session: Session) -> None:
    [image] = session.add(np.full((30, 40, 3), 7, np.uint8), dataset="sunday", show=False).images
    session.mark_image(image, "empty")
    found = session.accept_mask(image, np.ones((30, 40), bool), category="coin")
    assert (session.image_states("sunday"), session.counts("sunday")[0].open) == ({}, 1)
    session.remove(found)
    assert session.counts("sunday")[0].empty == 1
