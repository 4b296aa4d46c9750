"""Objects that are copied to another image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samnb.errors import ImageNotFound, ImageUnreadable, PromptError
from samnb.prompts import Prediction, Prompt
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


def test_a_prediction_without_masks_is_refused(session: Session) -> None:
    image = session.images()[0]
    none = Prediction(np.ones((0, 60, 80), bool), np.ones(0, "f"), np.ones((0, 1, 1), "f"), Prompt(), image_id=image.id)
    with pytest.raises(PromptError, match="no masks"):
        session.accept(none, category="coin")


def test_a_file_that_was_never_read_and_cannot_be_is_said(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "later.png"
    path.write_bytes(b"no picture")
    session.add(path, hash="later", show=False)
    for error in (ImageUnreadable, ImageNotFound):
        with pytest.raises(error):
            session.predict("later.png", points=[(5, 5)])
        with pytest.raises(error):
            session.accept_mask("later.png", disc((60, 80)), category="coin")
        path.unlink(missing_ok=True)
