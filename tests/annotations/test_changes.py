"""Listeners of the annotations: an error in one, and one that is gone."""

from __future__ import annotations

from samnb.annotations.changes import AnnotationChanges


def test_a_listener_that_fails_hinders_nobody(caplog):
    changes, heard = AnnotationChanges(), []
    changes.subscribe(lambda image_id: 1 / 0)
    changes.subscribe(heard.append)
    changes.emit("a")
    assert heard == ["a"]
    assert "ZeroDivisionError" in caplog.text


def test_a_listener_is_not_kept_alive():
    class Somebody:
        def hears(self, image_id):
            heard.append(image_id)

    changes, heard, somebody = AnnotationChanges(), [], Somebody()
    changes.subscribe(somebody.hears)
    changes.emit("a")
    del somebody
    changes.emit("b")
    assert heard == ["a"]
