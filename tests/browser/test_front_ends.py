"""A click, accept and undo in each front end that is there; ``scripts/front_ends.py`` installs the others."""

from __future__ import annotations

import re

import pytest

from tests.support.waiting import wait_until

from .front_ends import FRONT_ENDS, FrontEnd, Server
from .pictures import FAKE_MODEL, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    'import samnb\nsession = samnb.Session("front")\nsession.add("photos", dataset="monday", show=False)',
    FAKE_MODEL,
    "annotator = session.annotate(dataset='monday')\nannotator",
]


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda each: each.name)
def test_click_accept_undo(browser, tmp_path, front_end: FrontEnd):
    if front_end.python is None:
        pytest.skip(f"{front_end.name} is not installed: python scripts/front_ends.py FOLDER installs it")
    server = Server(front_end, tmp_path, CELLS)
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        write_photos(server.root / "photos", crops=1)
        page.goto(server.url)
        if front_end.run:
            wait_until("the cells run", lambda: page.evaluate(front_end.run))
        stage = page.locator(".samnb-stage").first
        stage.locator("canvas").wait_for()
        stage.locator(".samnb-pointer-listener").wait_for()
        stage.scroll_into_view_if_needed()
        whole = page.locator(".samnb:has(.samnb-stage)").first

        def says(pattern: str) -> None:
            wait_until(f"the annotator says {pattern!r}", lambda: re.search(pattern, whole.inner_text()))

        says("1 / 2 · 0 annotated")
        wait_until("the stage has its width", lambda: stage.bounding_box()["width"] > 300)
        box = stage.bounding_box()
        page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
        says(r"score 0\.94")
        page.keyboard.press("Enter")
        says("kept as object")
        page.keyboard.press("z")
        says("undone: accept")
        says("1 / 2 · 0 annotated")
    finally:
        print("the page's console:", *complaints, sep="\n  ")
        page.close()
        server.close()
