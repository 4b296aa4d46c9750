"""Look-alikes reviewed in JupyterLab by keyboard: what was said is in the catalog, also for the next session."""

from __future__ import annotations

import re

import pytest
from PIL import Image, ImageEnhance
from skimage import data

import samnb
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

OPEN = """
import samnb
session = samnb.Session({folder!r})
session.add("photos", dataset="monday", show=False)
review = session.review_lookalikes()
review
"""


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    """Three photographs, each also as a thumbnail and darker and cut: six pairs."""
    folder = lab.root / "photos"
    folder.mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        picture = Image.fromarray(getattr(data, name)())
        picture.save(folder / f"{name}.png")
        picture.resize((160, 160 * picture.height // picture.width)).save(folder / f"{name}_thumb.jpg")
        cut = picture.crop((3, 2, picture.width - 3, picture.height - 2))
        ImageEnhance.Brightness(cut).enhance(0.8).save(folder / f"{name}_dark.jpg", quality=80)
    return folder


class Reviewer:
    """A hand over the only review of a notebook, and eyes for what it says."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        self.widget = self.page.locator(".samnb-review")
        self.widget.wait_for()
        self.until(r"1 of \d+")
        self.page.locator('.samnb-key-listener[data-listens="yes"]').wait_for(state="attached")
        self.take_the_keys()

    def take_the_keys(self):
        self.widget.locator("img").first.click()
        self.page.locator(".samnb-review:focus-within").wait_for()

    def press(self, key):
        self.page.keyboard.press(key)

    def until(self, pattern):
        return wait_until(
            f"the review says {pattern!r}", lambda: re.search(pattern, self.widget.inner_text(), re.IGNORECASE)
        )

    def pictures(self):
        """Names of the pictures that the page has really drawn."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll(".samnb-review img")]
                .filter(img => img.complete && img.naturalWidth > 0).map(img => img.alt)"""
        )


def test_pairs_are_reviewed_by_keyboard_and_the_catalog_knows(notebook, lab):
    notebook.open("review.ipynb", [OPEN.format(folder="reviewed")])
    notebook.wait_until_run()
    hand = Reviewer(notebook)
    hand.until(r"1 of 6 · 0 same · 0 different")
    hand.until(r"almost surely the same picture: \d+ of 256 bits differ")
    wait_until("both are drawn", lambda: len(hand.pictures()) == 2)
    first = hand.pictures()

    hand.press("s")
    hand.until(r"2 of 6 · 1 same · 0 different")
    wait_until("the next pair is drawn", lambda: len(hand.pictures()) == 2 and hand.pictures() != first)
    second = hand.pictures()
    hand.press("d")
    hand.until(r"3 of 6 · 1 same · 1 different")
    hand.press("s")
    hand.until(r"4 of 6 · 2 same · 1 different")
    hand.press("u")
    hand.until(r"3 of 6 · 1 same · 1 different")
    hand.press("ArrowLeft")
    hand.until(r"said to be different.*2 of 6")
    wait_until("the pair is drawn again", lambda: hand.pictures() == second)
    hand.press("x")
    wait_until("the difference is drawn", lambda: "where they differ" in hand.pictures())
    hand.press("k")
    wait_until("the other one stays", lambda: "★" in hand.widget.locator("figure").nth(1).inner_text())
    assert "★" not in hand.widget.locator("figure").first.inner_text()

    # A key that is held down, or pressed with another, answers nothing.
    hand.press("Control+s")
    hand.page.keyboard.down("ArrowRight")
    hand.until(r"3 of 6 · 1 same · 1 different")
    hand.page.keyboard.down("ArrowRight")
    hand.page.keyboard.up("ArrowRight")
    hand.press("ArrowRight")
    hand.until(r"4 of 6 · 1 same · 1 different")

    assert notebook.cells()[-1]["source"] == OPEN.format(folder="reviewed")  # no key reached the notebook
    with samnb.Session(lab.root / "reviewed") as session:
        said = {
            frozenset((verdict.first_hash, verdict.second_hash)): bool(verdict.same)
            for verdict in session.catalog.verdicts()
        }
        assert said == {
            frozenset(session.image(name).pixel_hash for name in first): True,
            frozenset(session.image(name).pixel_hash for name in second): False,
        }


def test_what_is_typed_into_a_cell_is_no_verdict(notebook, lab):
    notebook.open("typed.ipynb", [OPEN.format(folder="typed")])
    notebook.wait_until_run()
    hand = Reviewer(notebook)
    hand.page.locator(".jp-CodeCell .cm-content").first.click()
    hand.page.keyboard.press("Control+End")
    hand.widget.locator("img").first.hover()
    hand.page.keyboard.type("sdsd")
    wait_until("it is in the cell", lambda: notebook.cells()[-1]["source"].endswith("sdsd"))
    hand.press("Escape")  # now keys are JupyterLab's commands, and the pointer is over the widget still
    hand.press("s")
    hand.press("ArrowRight")
    hand.take_the_keys()
    hand.press("ArrowRight")
    hand.until(r"2 of 6 · 0 same · 0 different")
    with samnb.Session(lab.root / "typed") as session:
        assert session.catalog.verdicts() == []


def test_a_review_to_its_end_by_buttons_makes_one_of_each(notebook, lab):
    notebook.open("end.ipynb", [OPEN.format(folder="ended")])
    notebook.wait_until_run()
    hand = Reviewer(notebook)
    buttons = hand.widget.get_by_role("button")
    for done in range(1, 7):
        buttons.filter(has_text=re.compile("^Same$")).click()
        hand.until(rf"{done} same")
    hand.until(r"Nothing is left\. 6 said to be the same")
    titles = [button.get_attribute("title") for button in buttons.all()]
    assert all(titles), titles
    buttons.filter(has_text="Keep one of each").click()
    hand.until(r"3 images in the new dataset 'ended, one of each', 6 left out")
    with samnb.Session(lab.root / "ended") as session:
        assert [image.filename for image in session.images("ended, one of each")] == [
            "chelsea.png",
            "coffee.png",
            "rocket.png",
        ]
        assert len(session.images("monday")) == 9


def test_what_was_said_is_not_asked_again(notebook, lab):
    with samnb.Session(lab.root / "known") as session:
        session.add(lab.root / "photos", dataset="monday", show=False)
        for group in session.near_duplicates()[:2]:
            for other in group.others:
                session.say_same(group.representative, other.image)
    notebook.open("known.ipynb", [OPEN.format(folder="known")])
    notebook.wait_until_run()
    Reviewer(notebook).until(r"1 of 2 · 0 same · 0 different")
