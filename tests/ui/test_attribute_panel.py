"""Attributes in the annotator: of the object being edited, and of the selected annotation."""

from __future__ import annotations

import numpy as np
import pytest

from samnb.errors import UnknownName
from samnb.session import Session
from samnb.ui.annotator.annotator import Annotator
from tests.support.fake_session import FakeSession


@pytest.fixture
def session():
    session = FakeSession()
    session.add_attribute("occluded")
    session.add_attribute("side", kind="choice", choices=["left", "right"])
    session.add_attribute("note", kind="text")
    return session


@pytest.fixture
def annotator(session):
    widget = Annotator(session)
    yield widget
    widget.close()


def controls(annotator):
    return annotator._layout._attributes._controls


def accepted(annotator):
    annotator.click(40, 40)
    annotator.wait()
    annotator.accept()
    return annotator.annotations[-1].id


def test_the_draft_gets_them_when_it_is_accepted(annotator, session):
    assert controls(annotator)["occluded"].disabled
    annotator.click(40, 40)
    annotator.wait()
    controls(annotator)["occluded"].click()
    controls(annotator)["side"].value = "left"
    assert session.kept == []
    annotator.accept()
    assert session.kept[0].attributes == {"occluded": True, "side": "left"}
    assert controls(annotator)["side"].value == ""  # those of the next object
    annotator.undo()
    assert session.kept == []
    annotator.redo()
    assert session.kept[0].attributes == {"occluded": True, "side": "left"}


def test_those_of_a_selected_annotation_change_at_once(annotator, session):
    annotator.select(accepted(annotator))
    controls(annotator)["note"].value = "wet"
    controls(annotator)["occluded"].click()
    assert session.kept[0].attributes == {"note": "wet", "occluded": True}
    assert "samnb-chosen" in controls(annotator)["occluded"]._dom_classes
    annotator.undo()
    assert session.kept[0].attributes == {"note": "wet"}
    annotator.undo()
    assert controls(annotator)["note"].value == ""


def test_editing_keeps_them_until_they_are_set(annotator, session):
    number = accepted(annotator)
    annotator.select(number)
    annotator.set_attribute("note", "wet")
    annotator.edit(number)
    assert controls(annotator)["note"].value == "wet"
    annotator.click(45, 40)
    annotator.wait()
    annotator.set_attribute("occluded", True)
    annotator.accept()
    assert session.kept[0].attributes == {"note": "wet", "occluded": True}


def test_without_an_object_nothing_is_set(annotator, session):
    annotator.set_attribute("occluded", True)
    assert "no object" in annotator.status


def test_one_is_declared_in_the_panel(annotator, session):
    panel = annotator._layout._attributes
    panel.toggle_new()
    panel._new.value = "size: small, large"
    assert [(each.name, each.kind, each.choices) for each in session.declared[3:]] == [
        ("size", "choice", ("small", "large"))
    ]
    annotator.add_attribute("remark:")
    annotator.add_attribute("truncated")
    assert [each.kind for each in session.declared[4:]] == ["text", "flag"]
    assert list(controls(annotator))[3:] == ["size", "remark", "truncated"]
    annotator.add_attribute(" : a")
    assert "expected a name" in annotator.error


def test_a_choice_that_is_gone_is_still_shown(annotator, session):
    number = accepted(annotator)
    annotator.select(number)
    annotator.set_attribute("side", "top")
    assert controls(annotator)["side"].value == "top"
    annotator.select(None)
    assert controls(annotator)["side"].value == ""


def test_categories_are_moved_merged_and_removed(tmp_path):
    with Session(tmp_path / "session") as session:
        session.add(np.zeros((60, 80, 3), np.uint8), show=False)
        annotator = Annotator(session)
        for name in ("coin", "hole", "token"):
            annotator.add_category(name)
        assert session.categories() == ["coin", "hole", "token"]
        annotator.click(40, 40)
        annotator.wait()
        annotator.stroke([(40, 40)])
        annotator.accept()
        annotator.move_category("token", -2)
        assert session.categories() == ["token", "coin", "hole"]
        annotator.move_category("token", -1)
        assert session.categories() == ["token", "coin", "hole"]
        annotator.remove_category("token")
        assert "would be deleted" in annotator.error
        annotator.merge_category("token", "coin")
        assert session.categories() == ["coin", "hole"]
        assert (annotator.category, annotator.annotations[0].category) == ("coin", "coin")
        annotator.undo()
        annotator.redo()
        assert [annotation.category for annotation in session.annotations()] == ["coin"]
        annotator.remove_category("hole")
        assert session.categories() == ["coin"]
        annotator.close()


def test_the_editor_of_a_category_calls_back(annotator, session):
    for name in ("coin", "hole"):
        annotator.add_category(name)
    chips = annotator._layout._chips
    annotator.category = "hole"
    chips.toggle_editor()
    assert [value for _, value in chips.editor.into.options] == ["", "coin"]
    chips.editor.buttons[0].click()
    assert session.categories() == ["hole", "coin"]
    chips.editor.into.value = "coin"
    assert session.categories() == ["coin"]


def test_an_object_whose_attributes_do_not_fit_any_more_is_kept_once(annotator, session, monkeypatch):
    annotator.click(40, 40)
    annotator.wait()
    annotator.set_attribute("note", "wet")

    def update(annotation, **values):
        raise UnknownName("attribute", "note", [])

    monkeypatch.setattr(session, "update", update)
    annotator.accept()
    assert "without its attributes" in annotator.error
    annotator.accept()
    assert len(session.kept) == len(annotator.annotations) == 1
    annotator.undo()
    assert session.kept == []
