"""What a template was not sure of, reviewed in JupyterLab by keyboard: the catalog knows, also the next session."""

from __future__ import annotations

import re

import pytest

import samnb
from samnb.demo import CLICKED, COIN_POINTS, demo_pictures
from samnb.records import ACCEPTED, REJECTED, UNSURE
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

OPEN = """
import samnb
session = samnb.Session("session")
review = session.review("monday")
review
"""


@pytest.fixture(scope="module", autouse=True)
def applied(lab):
    """Coins of which a template is sure of none."""
    pictures = demo_pictures(lab.root / "pictures")
    with samnb.Session(lab.root / "session") as session:
        session.add(pictures / "monday", dataset="monday", show=False)
        session.accept(session.predict(CLICKED, points=[COIN_POINTS[0]]), category="coin")
        template = session.template("coins", review_score=1.0, max_objects=3)
        list(session.apply_stream(template, images=["monday/coins_1.png", "monday/coins_2.png"]))
        assert len(session.to_review()) >= 4


class Reviewer:
    """A hand over the only review of a notebook, and eyes for what it says."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        self.widget = self.page.locator(".samnb-review")
        self.until(r"1 of \d+")
        self.page.locator('.samnb-key-listener[data-listens="yes"]').first.wait_for(state="attached")
        self.widget.locator(".samnb-large img").click()
        self.page.locator(".samnb-review:focus-within").first.wait_for()

    def press(self, key):
        self.page.keyboard.press(key)

    def until(self, pattern):
        return wait_until(
            f"the review says {pattern!r}", lambda: re.search(pattern, self.widget.first.inner_text(), re.IGNORECASE)
        )

    def picture(self):
        """The object's picture, once the page has really drawn it."""
        return self.page.evaluate(
            """() => { const img = document.querySelector(".samnb-large img");
                return img && img.complete && img.naturalWidth > 0 ? img.src : null; }"""
        )


def test_objects_are_reviewed_by_keyboard_fixed_below_and_kept(notebook, lab):
    notebook.open("review.ipynb", [OPEN])
    notebook.wait_until_run()
    hand = Reviewer(notebook)
    total = int(hand.until(r"1 of (\d+) · 0 accepted")[1])
    first = wait_until("the object is drawn", hand.picture)
    hand.press("a")
    hand.until(rf"2 of {total} · 1 accepted · 0 rejected")
    wait_until("the next object is drawn", lambda: hand.picture() not in (None, first))
    hand.press("r")
    hand.until(rf"3 of {total} · 1 accepted · 1 rejected")
    hand.press("u")
    hand.until(rf"2 of {total} · 1 accepted · 0 rejected")
    hand.press("r")
    hand.until(rf"3 of {total} · 1 accepted · 1 rejected")

    # One is fixed: the annotator in the picture's place has it in hand, and keys over it are the annotator's.
    hand.press("f")
    stage = hand.page.locator(".samnb-review .samnb-stage")
    stage.wait_for()
    wait_until("it is in hand", lambda: notebook.ask("review.annotator._editor.is_ready") == "True")
    notebook.ask("review.annotator.stroke([(3, 3), (12, 3)])")
    hand.page.locator(".samnb-review .samnb-annotator").get_by_role("button", name="Accept ⏎").click()
    hand.until(rf"3 of {total} · 2 accepted · 1 rejected")
    hand.until(r"fixed, and accepted")

    titles = [
        button.get_attribute("title") for button in hand.widget.locator(".samnb-tools").first.locator("button").all()
    ]
    assert all(titles), titles
    assert notebook.cells()[-1]["source"] == OPEN  # no key reached the notebook
    assert len(notebook.cells()) == 1
    with samnb.Session(lab.root / "session") as session:
        records = session.catalog.annotations() + session.catalog.annotations(review=REJECTED)
        reviews = [a.review for a in records if a.source != "hand"]
        assert (reviews.count(ACCEPTED), reviews.count(REJECTED)) == (2, 1)
        assert reviews.count(UNSURE) == total - 3
        assert len(session.to_review("monday")) == total - 3
