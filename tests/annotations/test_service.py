"""Annotations kept, changed, deleted and put back by a session; their categories; who is told."""

from __future__ import annotations

import numpy as np
import pytest

import samnb
from samnb.errors import NameTaken, PromptError, UnknownName, WorkWouldBeLost
from samnb.prompts import Prompt
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def session(tmp_path):
    session = samnb.Session(tmp_path / "session")
    pictures = [np.full((40, 60, 3), shade, np.uint8) for shade in (10, 90)]
    session.add(pictures, dataset="monday")
    yield session
    session.close()


@pytest.fixture
def image(session):
    return session.images()[0]


def square(x, y, side=10, size_hw=(40, 60)):
    mask = np.zeros(size_hw, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def values(annotation):
    """All that a record says but when it was changed."""
    return {n: getattr(annotation.record, n) for n in annotation.record.__dataclass_fields__ if n != "updated_at"}


def test_a_mask_drawn_by_hand_is_kept(session, image):
    kept = session.accept_mask(image, square(5, 5), category=" coin ")
    [found] = session.annotations(image=image)
    assert values(found) == values(kept)
    assert (found.category, found.score, found.source, found.model) == ("coin", 1.0, "hand", "")
    assert (found.mask == square(5, 5)).all()
    prompt = Prompt.of(points=[(7, 7)])
    mended = session.accept_mask(image, square(5, 5), category="coin", prompt=prompt, score=0.7)
    assert Prompt.from_dict(mended.prompt) == prompt
    assert mended.model == session.model.fingerprint


@pytest.mark.parametrize(
    ("mask", "category", "says"),
    [
        (np.zeros((40, 60), bool), "coin", "empty"),
        (np.ones((60, 40), bool), "coin", r"expected shape \(40, 60\)"),
        (np.ones((40, 60), bool), "  ", "category"),
    ],
)
def test_what_cannot_be_kept_is_refused(session, image, mask, category, says):
    with pytest.raises(PromptError, match=says):
        session.accept_mask(image, mask, category=category)
    kept = session.accept_mask(image, square(1, 1), category="coin")
    with pytest.raises(PromptError, match=says):
        session.update(kept, mask=mask, category=category)
    assert len(session.annotations()) == 1


def test_an_annotation_is_changed_under_its_id_and_restored(session, image):
    before = session.accept_mask(image, square(5, 5), category="coin")
    after = session.update(before, mask=square(20, 20, 5), category="rim", layer=3, prompt=Prompt.of(points=[(21, 21)]))
    assert after.id == before.id
    assert (after.area, after.bbox, after.layer, after.category) == (25, (20, 20, 5, 5), 3, "rim")
    assert session.update(after.id, score=0.25).score == 0.25
    session.restore([before])
    [found] = session.annotations()
    assert values(found) == values(before)
    assert session.remove(found)
    assert not session.remove(found.id)
    session.restore([before])
    [found] = session.annotations()
    assert values(found) == values(before)
    with pytest.raises(UnknownName):
        session.update(9999, layer=1)


def test_a_rejected_annotation_is_changed_by_its_id(session, image):
    kept = session.accept_mask(image, square(5, 5), category="coin")
    session.catalog.update_annotation(kept.id, review="rejected")
    changed = session.update(kept.id, mask=square(20, 20, 5))
    assert (changed.id, changed.area, changed.review) == (kept.id, 25, "rejected")
    with pytest.raises(UnknownName, match="annotation 9999"):
        session.update(9999, mask=square(20, 20, 5))


def test_categories_have_colours_names_and_an_order(session, image):
    session.add_category("rim", color="#112233")
    session.add_category("coin")
    kept = session.accept_mask(image, square(5, 5), category="coin")
    assert session.categories() == ["rim", "coin"]
    session.recolor_category("coin", "#445566")
    assert [(c.name, c.color) for c in session.category_records()] == [("rim", "#112233"), ("coin", "#445566")]
    session.rename_category("coin", "token")
    assert session.annotations()[0].category == "token"
    with pytest.raises(NameTaken):
        session.rename_category("token", "rim")
    with pytest.raises(WorkWouldBeLost):
        session.remove_category("token")
    session.remove(kept)
    session.remove_category("token")
    assert session.categories() == ["rim"]
    with pytest.raises(UnknownName):
        session.recolor_category("coin", "#000000")


def test_listeners_are_told_of_every_change(session, image):
    told = []
    session.changes.subscribe(told.append)
    kept = session.accept_mask(image, square(5, 5), category="coin")
    session.update(kept, layer=1)
    session.remove(kept)
    session.restore([kept])
    assert told == [image.id] * 4
    session.add_category("rim")
    assert told[-1] == ""
    session.changes.unsubscribe(told.append)
    session.remove(kept.id)
    assert len(told) == 5


def test_listeners_are_told_of_what_an_apply_adds(session, monkeypatch):
    model = NumpyModel()
    monkeypatch.setattr(session.model, "encode", model.encode)
    monkeypatch.setattr(session.model, "decode", model.decode)
    first, second = session.images()
    session.accept(session.predict(first, points=[(30, 20)]), category="coin")
    template = session.template("coins", strategy="fixed")
    told = []
    session.changes.subscribe(told.append)
    events = list(session.apply_stream(template, images=[second, first]))
    assert [event.status for event in events] == ["computed", "computed", "done"]
    assert told == [second.id, first.id]


def test_merged_annotations_are_one_and_the_others_are_gone(session, image):
    first, second, third = (session.accept_mask(image, square(x, 5), category=f"c{x}") for x in (5, 20, 35))
    merged = session.merge([second, first, second.id])
    assert merged.id == second.id
    assert merged.category == "c20"
    assert (merged.mask == (square(5, 5) | square(20, 5))).all()
    assert [a.id for a in session.annotations()] == [second.id, third.id]


def test_a_merged_annotation_has_the_attributes_of_all(session, image):
    session.add_attribute("wet")
    session.add_attribute("note", kind="text")
    session.add_attribute("by", kind="text")
    first, second, third = (session.accept_mask(image, square(x, 5), category="c") for x in (5, 20, 35))
    session.update(first, attributes={"wet": False, "note": "a"})
    session.update(second, attributes={"wet": True, "note": "b"})
    session.update(third, attributes={"by": "me"})
    assert session.merge([first, second, third]).attributes == {"wet": True, "note": "a", "by": "me"}
    assert [a.attributes for a in session.annotations()] == [{"wet": True, "note": "a", "by": "me"}]


def test_what_cannot_be_merged_stays(session, image):
    first = session.accept_mask(image, square(5, 5), category="coin")
    other = session.accept_mask(session.images()[1], square(5, 5), category="coin")
    gone = session.accept_mask(image, square(20, 5), category="coin")
    session.remove(gone)
    for these, error in (([], PromptError), ([first, first], PromptError), ([first, other], PromptError)):
        with pytest.raises(error, match="merge"):
            session.merge(these)
    with pytest.raises(UnknownName):
        session.merge([first, gone])
    assert [values(a) for a in session.annotations()] == [values(first), values(other)]


def test_split_parts_are_annotations_of_their_own(session, image):
    both = square(5, 5, side=6) | square(30, 5)
    whole = session.accept_mask(image, both, category="coin", prompt=Prompt.of(points=[(31, 6)]), score=0.7)
    large, small = session.split(whole)
    assert large.id == whole.id
    assert (large.mask == square(30, 5)).all()
    assert (small.mask == square(5, 5, side=6)).all()
    assert (small.category, small.score, small.source, dict(small.prompt)) == ("coin", 0.7, "hand", {})
    with pytest.raises(PromptError, match="one piece"):
        session.split(large)
    assert len(session.annotations()) == 2


def test_a_verdict_on_what_was_made_by_hand_can_be_taken_back(session, image):
    kept = session.accept_mask(image, square(5, 5), category="coin")
    session.reject(kept)
    assert session.annotations() == []
    assert session.unreview(kept).review == ""
    assert session.to_review() == []
    assert [one.id for one in session.annotations()] == [kept.id]
