"""What is no mask, no category and no score is an error, and never cast to one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import samnb
from samnb.errors import PromptError

ON = np.zeros((30, 40), bool)
ON[5:15, 10:20] = True


@pytest.fixture
def session(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with samnb.Session(tmp_path / "s") as session:
        session.add(tmp_path / "a.png", show=False)
        yield session


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.where(ON, 0.9, 0.1), "probabilities > 0.5"),
        (np.where(ON, 0.9, 0.0), "probabilities > 0.5"),
        (np.where(ON, 5.0, -5.0), "logits > 0"),
        (np.where(ON, 1.0, np.nan), "NaN"),
        (np.where(ON, 2, 1), "labels == 2"),
        (None, "dtype object"),
    ],
)
def test_what_a_threshold_has_to_decide_is_refused(session, mask, told):
    with pytest.raises(PromptError, match=told):
        session.accept_mask("a.png", mask, category="x")
    kept = session.accept_mask("a.png", ON, category="x")
    if mask is not None:
        with pytest.raises(PromptError, match=told):
            session.update(kept, mask=mask)


@pytest.mark.parametrize("mask", [ON, ON.astype(np.uint8) * 255, ON.astype(float), ON.astype(int)])
def test_two_values_are_a_mask(session, mask):
    assert session.accept_mask("a.png", mask, category="x").area == 100


@pytest.mark.parametrize("category", [None, 5, 1.0, ("a",), b"a"])
def test_a_category_is_a_text(session, category):
    with pytest.raises(PromptError, match="expected a name"):
        session.accept_mask("a.png", ON, category=category)
    with pytest.raises(PromptError, match="expected a name"):
        session.add_category(category)
    assert session.categories() == []


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "good", None])
def test_a_score_is_a_finite_number(session, score):
    with pytest.raises(PromptError, match="finite number"):
        session.accept_mask("a.png", ON, category="x", score=score)
