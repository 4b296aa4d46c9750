"""Five images from start to finish, with mouse and keys, and what is in the catalog afterwards."""

import pytest

import samnb

from .hand import Hand
from .pictures import FAKE_MODEL, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    'import samnb\nsession = samnb.Session("five")\nsession.add("photos", dataset="monday")',
    FAKE_MODEL,
    "annotator = session.annotate(dataset='monday')\nannotator",
]


def test_five_images_with_mouse_and_keys(notebook, lab):
    write_photos(lab.root / "photos", crops=4)
    notebook.open("five.ipynb", CELLS)
    notebook.wait_until_run()
    hand = Hand(notebook)
    hand.page.get_by_placeholder("new category").click()
    hand.page.keyboard.type("coin")
    hand.page.keyboard.press("Enter")
    hand.until(r"1 / 5 · 0 annotated")

    for number in range(1, 6):
        hand.until(rf"{number} / 5 ")
        hand.click(60 + 10 * number, 80)
        hand.until_mask(points=1)
        hand.press("Alt+2")
        hand.until(r"score 0\.81 · \d+ ms")
        hand.press("Enter")
        hand.until_kept(1, "coin")
        if number == 1:
            hand.page.get_by_placeholder("new category").click()
            hand.page.keyboard.type("rim")
            hand.page.keyboard.press("Enter")
        else:
            hand.press("c")
        hand.until_kernel("the next object is a rim", "annotator.category == 'rim'")
        hand.drag(150, 100, 200, 150)
        hand.until_mask(points=0, box=True)
        hand.press("Enter")
        hand.until_kept(2, "coin", "rim")
        hand.until(rf"{number} annotated")
        if number < 5:
            hand.press("c")
            hand.until_kernel("the next object is a coin", "annotator.category == 'coin'")
            hand.press("n" if number % 2 else "ArrowRight")
    hand.press("n")
    hand.until("no image is open")

    with samnb.Session(lab.root / "five") as session:
        kept = session.annotations(dataset="monday")
    assert len(kept) == 10
    assert {annotation.image for annotation in kept} == {"coins.png", *(f"drawer-{n}.png" for n in range(1, 5))}
    assert [annotation.category for annotation in kept] == ["coin", "rim"] * 5
    for place, annotation in enumerate(kept[::2], start=1):
        x, y, width, height = annotation.bbox
        assert (x + width / 2, y + height / 2) == pytest.approx((60 + 10 * place, 80), abs=1.5)
        assert width == pytest.approx(60, abs=2)
