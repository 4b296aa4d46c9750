"""Everything on a picture, offered and taken with a real mouse: all coins with three actions, parts by the wheel."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
import pytest

import samnb
from benchmarks.evaluation_set.labelled import read_labels
from samnb.masks import mask_iou
from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, OTHER_COIN, write_photos

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LABELS = Path(__file__).parents[1] / "data" / "coins" / "coins_masks.png"
PICTURES = os.environ.get("SAMNB_LOOK")
OPEN = """
import samnb
session = samnb.Session({name!r})
session.add("photos/coins.png", dataset="monday")
"""
SHOW = "annotator = session.annotate('coins.png')\nannotator.category = 'coin'\nannotator"


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos")


def look(hand: Hand, name: str) -> None:
    """A screenshot to look at, where SAMNB_LOOK names a folder."""
    if PICTURES:
        hand.page.screenshot(path=f"{PICTURES}/{name}.png")


def opened(notebook, name: str) -> Hand:
    notebook.open(f"{name}.ipynb", [OPEN.format(name=name), SHOW])
    notebook.wait_until_run()
    return Hand(notebook)


def found_coins(folder: Path) -> int:
    with samnb.Session(folder) as session:
        masks = [one.mask for one in session.annotations(category="coin")]
    best = [max((mask_iou(coin, mask) for mask in masks), default=0) for coin in read_labels(LABELS)]
    assert len(masks) <= 26
    return int(np.sum(np.array(best) >= 0.8))


def test_all_coins_with_three_actions(notebook, lab):
    hand = opened(notebook, "three-actions")
    hand.press("a")
    hand.until(r"\d+ objects offered")
    look(hand, "offered")
    hand.press("g")
    hand.page.mouse.move(*hand.place(*COIN))
    hand.until_colours("coins lifted out", lambda now: now["blue"] > 3000)
    look(hand, "group")
    hand.click(*COIN)
    hand.until(r"\d+ kept as coin")
    look(hand, "taken")
    assert found_coins(lab.root / "three-actions") >= 22


def test_a_drag_takes_what_it_touches_and_the_wheel_finds_parts(notebook, lab):
    hand = opened(notebook, "drag")
    hand.press("a")
    hand.until(r"\d+ objects offered")
    hand.page.mouse.move(*hand.place(*COIN))
    hand.until_colours("one coin lifted out", lambda now: now["blue"] > 300)
    look(hand, "hover")
    hand.drag(*COIN, *OTHER_COIN)
    hand.until(r"[3-9] kept as coin")
    with samnb.Session(lab.root / "drag") as session:
        kept = session.annotations()
    assert all(any(one.mask[y, x] for one in kept) for x, y in (COIN, OTHER_COIN))
    hand.press("z")
    wait_until("all of the drag undone", lambda: hand.notebook.ask("len(annotator.annotations)") == "0")
    offered = ast.literal_eval(hand.notebook.ask("[(p.bbox, p.area) for p in annotator.offered]"))
    assert len(offered) > 20
    hand.page.mouse.move(*hand.place(*COIN))
    hand.page.mouse.wheel(0, -400)
    hand.page.mouse.wheel(0, 400)
    assert hand.notebook.ask("annotator._layout.stage.view.is_fit") == "True"
    hand.page.keyboard.press("Escape")
    wait_until("points and boxes again", lambda: hand.notebook.ask("annotator.tool") == "'prompt'")


def test_objects_like_a_click(notebook, lab):
    hand = opened(notebook, "like")
    hand.click(*COIN)
    hand.until(r"score 0\.\d\d")
    hand.press("l")
    hand.until(r"\d+ objects like this one offered")
    look(hand, "like")
    assert int(hand.notebook.ask("len(annotator.offered)")) >= 15
