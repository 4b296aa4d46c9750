"""After a button or a text field the keys are the picture's again."""

import pytest

from .hand import Hand
from .pictures import COIN, write_photos
from .test_annotate import OPEN, SHOW

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos")


def test_enter_accepts_after_a_chip_a_mask_tool_and_a_new_category(notebook):
    notebook.open("focus.ipynb", [OPEN.format(folder="focus-session"), "session.add_category('rim')", SHOW])
    notebook.wait_until_run(seconds=120)
    hand, page = Hand(notebook), notebook.page
    hand.until(r"1 / 3 · 0 annotated")
    hand.click(*COIN)
    hand.until(r"score 0\.\d\d", seconds=180)
    page.locator(".samnb-chip", has_text="rim").first.click()
    page.keyboard.press("Enter")
    hand.until(r"kept as rim")

    field = page.get_by_placeholder("new category")
    field.fill("coin")
    field.press("Enter")
    page.wait_for_function("document.activeElement.classList.contains('samnb-pointer-listener')")

    field = page.get_by_placeholder("go to name")
    field.fill("coins")
    field.press("Enter")
    page.wait_for_function("document.activeElement.classList.contains('samnb-pointer-listener')")
