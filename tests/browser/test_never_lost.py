"""A page that is loaded anew in the middle of an object, and a model that fails: nothing is lost, all goes on."""

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos")


def open_annotator(notebook, name, *more):
    cells = [f'import samnb\nsession = samnb.Session("{name}")\nsession.add("photos", dataset="monday")', FAKE_MODEL]
    notebook.open(f"{name}.ipynb", [*cells, *more, 'annotator = session.annotate("coins.png")\nannotator'])
    notebook.wait_until_run()
    return Hand(notebook)


def test_a_reload_in_the_middle_of_an_object(notebook):
    hand = open_annotator(notebook, "middle")
    hand.click(*OTHER_COIN)
    hand.until(r"score 0\.94")
    hand.press("Enter")
    hand.until("kept as")
    hand.click(*COIN)
    hand.press("Alt+2")  # often before the masks are there
    hand.until(r"score 0\.81")
    before = hand.settled_colours()
    asked = notebook.ask("annotator._editor.draft")
    notebook.save()
    notebook.reload()
    hand = Hand(notebook)
    hand.until_colours(
        "the annotation and the mask", lambda now: all(abs(now[c] - before[c]) < 40 for c in ("blue", "orange"))
    )
    assert notebook.ask("annotator._editor.draft") == asked
    hand.press("Enter")
    hand.until(r"kept as object, score 0\.81")
    hand.press("Control+z")
    hand.press("Control+z")
    wait_until("undo goes on before the reload", lambda: not hand.prompt()["points"])
    hand.press("Control+z")
    hand.until("undone: accept")


def test_a_model_that_fails_is_shown_and_the_next_click_works(notebook):
    hand = open_annotator(notebook, "failing", "whole = session.model.decode")
    hand.click(*COIN)
    hand.until_mask(points=1)
    notebook.ask("setattr(session.model, 'decode', lambda *a, **k: 1 / 0)")
    hand.click(*OTHER_COIN)
    hand.until("No mask for this prompt: ZeroDivisionError: division by zero")
    assert len(hand.prompt()["points"]) == 1
    notebook.ask("setattr(session.model, 'decode', whole)")
    hand.click(*OTHER_COIN)
    hand.until_mask(points=2)
    hand.until_kernel("the next click works", "not annotator.error")
    hand.press("Enter")
    hand.until_kept(1, "object")
