"""The keys of a review while an object is open in its annotator, with the focus on the picture."""

from __future__ import annotations

import pytest

import samnb
from samnb.demo import CLICKED, COIN_POINTS, demo_pictures
from samnb.records import ACCEPTED, UNSURE
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

OPEN = 'import samnb\nsession = samnb.Session("keys")\nreview = session.review("monday")\nreview'


@pytest.fixture(scope="module", autouse=True)
def applied(lab):
    """Coins of which a template is sure of none."""
    pictures = demo_pictures(lab.root / "pictures_of_keys")
    with samnb.Session(lab.root / "keys") as session:
        session.add(pictures / "monday", dataset="monday", show=False)
        session.accept(session.predict(CLICKED, points=[COIN_POINTS[0]]), category="coin")
        template = session.template("coins", review_score=1.0, max_objects=3)
        list(session.apply_stream(template, images=["monday/coins_1.png", "monday/coins_2.png"]))
        assert len(session.to_review()) >= 3


def test_keys_are_the_reviews_on_the_picture_too_and_stay_with_it(notebook):
    notebook.open("keys.ipynb", [OPEN])
    notebook.wait_until_run()
    page = notebook.page
    widget = page.locator(".samnb-review").first
    page.locator('.samnb-key-listener[data-listens="yes"]').first.wait_for(state="attached")
    widget.locator(".samnb-large img").click()
    page.locator(".samnb-review:focus-within").first.wait_for()

    def state():
        return eval(notebook.ask("(review._place, review._is_open, [a.review for a in review.objects[:3]])"))

    def press(key, *expected):
        page.keyboard.press(key)
        wait_until(f"{key} makes {expected}", lambda: state() == expected)

    press("f", 0, True, [UNSURE] * 3)
    stage = page.locator(".samnb-review .samnb-stage")
    stage.wait_for()
    wait_until("it is in hand", lambda: notebook.ask("review.annotator._editor.is_ready") == "True")
    page.evaluate("document.querySelector('.samnb-review .samnb-pointer-listener').focus()")
    press("a", 1, False, [ACCEPTED, UNSURE, UNSURE])
    assert notebook.ask("review.annotator.tool") == "'prompt'"
    # The picture that had the focus is gone: the next keys are the review's, and none is the notebook's.
    wait_until("the review has the focus", lambda: page.evaluate("document.activeElement.matches('.samnb-review')"))
    press("f", 1, True, [ACCEPTED, UNSURE, UNSURE])
    stage.wait_for()
    page.evaluate("document.querySelector('.samnb-review .samnb-pointer-listener').focus()")
    press("f", 1, False, [ACCEPTED, UNSURE, UNSURE])
    press("ArrowRight", 2, False, [ACCEPTED, UNSURE, UNSURE])
    assert len(notebook.cells()) == 1
