"""The main job with a mouse: click a coin, see its mask, mend it, accept it, go on."""

import pytest

import samnb
from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, GROUND, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

OPEN = """
import samnb
session = samnb.Session({folder!r})
session.add("photos", dataset="monday")
"""
SHOW = "annotator = session.annotate('coins.png')\nannotator"


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos")


def open_annotator(notebook, name, *more):
    notebook.open(f"{name}.ipynb", [OPEN.format(folder=f"{name}-session"), *more, SHOW])
    notebook.wait_until_run()
    return Hand(notebook)


def test_click_mend_accept_and_find_it_in_the_catalog(notebook, lab):
    hand = open_annotator(notebook, "main")
    hand.until(r"main-session · monday · coins\.png")
    hand.until(r"1 / 3 · 0 annotated")
    plain = hand.settled_colours()

    hand.click(*COIN)
    # The image that is looked at is encoded ahead: the click may find that done.
    hand.until(r"score 0\.\d\d · \d+ ms · (encoded|cache hit)")
    hand.until_colours("mask pixels", lambda now: now["blue"] > plain["blue"] + 500)
    masked = hand.settled_colours()

    hand.click(*OTHER_COIN)
    hand.until_mask(points=2)
    hand.until(r"score 0\.\d\d · \d+ ms · cache hit")
    hand.click(*GROUND, shift=True)
    wait_until("a background point", lambda: hand.prompt()["point_labels"] == [1, 1, 0])
    hand.press("z")
    hand.press("Control+z")
    wait_until("two steps back", lambda: hand.prompt()["point_labels"] == [1])
    assert hand.prompt()["points"][0] == pytest.approx(COIN, abs=0.6)
    hand.until_colours("the first mask again", lambda now: abs(now["blue"] - masked["blue"]) < 300)

    hand.press("Enter")
    hand.until_kept(1, "object")
    hand.until(r"1 annotated")
    hand.until_colours("an orange outline instead of the blue mask", lambda now: now["orange"] > 300 > now["blue"])

    with samnb.Session(lab.root / "main-session") as session:
        [kept] = session.annotations()
    assert (kept.image, kept.category, kept.source) == ("coins.png", "object", "hand")
    assert kept.mask[COIN[1], COIN[0]]

    hand.press("ArrowRight")
    hand.until(r"drawer-1\.png")
    hand.until(r"2 / 3 · 1 annotated")
    hand.until_colours("a clean picture", lambda now: now["orange"] + now["blue"] < 50)


def test_box_right_click_masks_categories_and_delete(notebook, lab):
    hand = open_annotator(notebook, "tools", FAKE_MODEL)
    hand.drag(90, 180, 130, 225, release=False)
    hand.until_colours("the rubber band", lambda now: now["blue"] > 300)
    hand.page.mouse.up()
    wait_until("a box", lambda: hand.prompt()["box"])
    assert hand.prompt()["box"] == pytest.approx([90, 180, 130, 225], abs=0.6)
    hand.click(*GROUND, button="right")
    wait_until("a right click is background", lambda: hand.prompt()["point_labels"] == [0])
    assert not hand.page.locator(".lm-Menu:visible").count()

    hand.until_mask(points=1, box=True)
    hand.until(r"① 0\.94")
    small = hand.settled_colours()["blue"]
    hand.press("Alt+3")
    hand.until_colours("the largest mask", lambda now: now["blue"] > small * 2)
    hand.page.get_by_placeholder("new category").click()
    hand.page.keyboard.type("coin")
    hand.page.keyboard.press("Enter")
    wait_until("the new category", lambda: notebook.ask("annotator.category") == "'coin'")
    hand.page.get_by_role("button", name="Accept").click()
    hand.until(r"kept as coin, score 0\.40")
    hand.until_kept(1, "coin")
    hand.page.get_by_role("button", name="Delete this coin", exact=True).click()
    hand.until_kept(0)
    hand.until(r"0 annotated")
    with samnb.Session(lab.root / "tools-session") as session:
        assert session.annotations() == []


def test_a_drag_over_the_edge_is_a_box_to_the_edge(notebook):
    hand = open_annotator(notebook, "edge", FAKE_MODEL)
    hand.drag(300, 100, 460, 200)
    wait_until("a box", lambda: hand.prompt()["box"])
    x0, y0, x1, _ = hand.prompt()["box"]
    assert (x0, y0, x1) == pytest.approx((300, 100, 384), abs=0.6)


def test_an_error_is_shown_and_the_next_click_works(notebook):
    hand = open_annotator(notebook, "errors", FAKE_MODEL, "whole = session.model.decode")
    notebook.ask("setattr(session.model, 'decode', lambda *a, **k: 1 / 0)")
    hand.click(*COIN)
    hand.until("No mask for this prompt: ZeroDivisionError: division by zero")
    assert not hand.prompt()["points"]
    hand.page.get_by_role("button", name="Dismiss").click()  # one is shown: the advice has none to give
    wait_until("the red line is gone", lambda: "ZeroDivisionError" not in hand.text())
    notebook.ask("setattr(session.model, 'decode', whole)")
    hand.click(*COIN)
    hand.until(r"score 0\.94 · \d+ ms")


def test_a_reloaded_page_shows_everything_again(notebook):
    hand = open_annotator(notebook, "reload", FAKE_MODEL)
    hand.click(*COIN)
    hand.until_mask(points=1)
    hand.until_colours("a mask", lambda now: now["blue"] > 500)
    before = hand.settled_colours()
    notebook.save()
    notebook.reload()
    hand = Hand(notebook)
    hand.until_colours("the same mask", lambda now: abs(now["blue"] - before["blue"]) < 20)
    hand.click(*OTHER_COIN)
    wait_until("clicks are heard", lambda: len(hand.prompt()["points"]) == 2)
