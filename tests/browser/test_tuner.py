"""A template tuned in JupyterLab: a slider moves and the pictures are drawn anew, a sweep's row is picked, saved."""

from __future__ import annotations

import ast
import os
import re
import time

import pytest

import samnb
from samnb.demo import CLICKED, COIN_POINTS, demo_pictures
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

SECONDS = float(os.environ.get("SAMNB_TUNER_SECONDS", "180"))
"""How long twelve pictures may take after a slider moved; 1 is the target on two cores that nobody else uses."""

OPEN = """
import samnb
session = samnb.Session("session")
tuner = session.tune("coins")
tuner
"""


@pytest.fixture(scope="module", autouse=True)
def coins(lab):
    """Twelve pictures of coins, two of them annotated by hand."""
    pictures = demo_pictures(lab.root / "pictures") / "monday"
    with samnb.Session(lab.root / "session") as session:
        session.add(pictures, dataset="monday", show=False)
        session.add(pictures, dataset="tuesday", show=False)
        session.accept(session.predict(CLICKED, points=[COIN_POINTS[0]]), category="coin")
        session.template("coins", max_objects=5)
        session.accept(session.predict("tuesday/coins_2.png", points=[(100, 60)]), category="coin")
        session.prewarm(show=False).wait()


def drawn(page):
    """The pictures' sources, once the page has drawn all."""
    return page.evaluate(
        """() => { const all = [...document.querySelectorAll(".samnb-gallery img")];
            return all.length === 12 && all.every(i => i.complete && i.naturalWidth) ? all.map(i => i.alt) : null; }"""
    )


def test_a_slider_moves_and_the_pictures_follow(notebook, lab):
    notebook.open("tune.ipynb", [OPEN])
    notebook.wait_until_run()
    page = notebook.page
    wait_until("twelve pictures are drawn", lambda: drawn(page))
    wait_until("nothing is searched", lambda: notebook.ask("tuner._worker.busy") == "False")
    assert notebook.ask("tuner.error") == "''"
    before = drawn(page)

    handle = page.locator(".samnb-controls .widget-hslider", has_text="accept from (score)").locator(".noUi-handle")
    handle.focus()
    took = {}
    started = time.monotonic()
    page.keyboard.press("End")
    wait_until("nothing reaches that score", lambda: _all(page, lambda said: "0 found" in said), seconds=SECONDS)
    took["nothing left"] = time.monotonic() - started
    assert float(notebook.ask("tuner.template.parameters['min_score']")) == 1.0

    buttons = page.locator(".samnb-controls").get_by_role("button")
    started = time.monotonic()
    buttons.filter(has_text="Before").click()
    wait_until("as it was saved", lambda: drawn(page) == before, seconds=SECONDS)
    took["as saved"] = time.monotonic() - started
    buttons.filter(has_text="Before").click()
    wait_until("as the sliders are", lambda: _all(page, lambda said: "0 found" in said), seconds=SECONDS)
    notebook.ask("tuner.set(min_score=0.3)")
    wait_until("found again", lambda: drawn(page) == before, seconds=SECONDS)
    handle = page.locator(".samnb-controls .widget-hslider", has_text="sure from (score)").locator(".noUi-handle")
    handle.focus()
    started = time.monotonic()
    page.keyboard.press("End")
    wait_until("all are unsure", lambda: _all(page, lambda said: "unsure" in said), seconds=SECONDS)
    took["review_score"] = time.monotonic() - started
    print("twelve pictures drawn after so many seconds:", {name: round(value, 2) for name, value in took.items()})
    page.keyboard.press("Home")
    buttons.filter(has_text="Sweep").click()
    rows = page.locator(".samnb-controls select option")
    wait_until("the sweep's rows", lambda: rows.count() > 6)
    page.locator(".samnb-controls select[size], .samnb-controls .widget-select select").last.select_option(index=1)
    best = notebook.ask("tuner.result.best")
    wait_until(
        "the sliders are the best row's",
        lambda: notebook.ask("{n: tuner.template.parameters[n] for n in tuner.result.best}") == best,
    )
    buttons.filter(has_text=re.compile("^Save$")).click()
    wait_until("it is saved", lambda: re.search("saved as|since it was saved", notebook.ask("tuner.status")))
    version = int(notebook.ask("tuner.saved.version"))
    with samnb.Session(lab.root / "session") as session:
        assert session.find_template("coins").version == version
    titles = [button.get_attribute("title") for button in buttons.all()]
    assert all(titles), titles
    if folder := os.environ.get("SAMNB_SCREENSHOTS"):
        page.locator(".samnb-tuner").screenshot(path=f"{folder}/tuner.png")


MARK = """
import samnb
session = samnb.Session("session")
tuner = session.tune("coins", images=session.images()[:2])
tuner
"""


def test_objects_are_marked_in_their_pictures_and_thresholds_dragged(notebook):
    notebook.open("mark.ipynb", [MARK])
    notebook.wait_until_run()
    page = notebook.page
    pictures = page.locator(".samnb-gallery img")
    wait_until("two pictures are drawn", lambda: pictures.count() == 2)
    wait_until("nothing is searched", lambda: notebook.ask("tuner._worker.busy") == "False")

    place = ast.literal_eval(
        notebook.ask(
            "[float(v.mean() + 0.5) / n for m in (tuner.previews[1].matches[0].mask,)"
            " for v, n in zip(m.nonzero()[::-1], m.shape[::-1])]"
        )
    )
    for said in ("good", "bad"):
        page.mouse.click(*_on_page(pictures.nth(1), *place))
        wait_until(f"marked as {said}", lambda said=said: f"1 {said}" in pictures.nth(1).get_attribute("alt"))
    marking = page.locator(".samnb-marking")
    wait_until("what they say", lambda: "precision 0.00 (0 of 1 marked)" in marking.inner_text())
    marking.get_by_role("button", name="Good").focus()
    page.keyboard.press("Enter")
    wait_until("right after all", lambda: "precision 1.00 (1 of 1 marked)" in marking.inner_text())
    marking.get_by_role("button", name="Use marks").click()
    wait_until("a second example", lambda: notebook.ask("len(tuner.template.categories[0].examples)") == "2")
    wait_until("nothing is searched", lambda: notebook.ask("tuner._worker.busy") == "False")

    sure = page.get_by_role("slider", name="sure from", exact=True)
    sure.focus()
    page.keyboard.press("End")
    wait_until("all are to be reviewed", lambda: "0 accepted" in page.locator(".samnb-counts").inner_text())
    assert notebook.ask("tuner._sliders['review_score'].value") == "1.0"
    wait_until("nothing is searched", lambda: notebook.ask("tuner._worker.busy") == "False")
    accept = page.get_by_role("slider", name="accept from", exact=True)
    bars = page.locator(".samnb-scores").bounding_box()
    handle = accept.bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 6)
    page.mouse.down()
    page.mouse.move(bars["x"] + 0.9 * bars["width"], handle["y"] + 6, steps=8)
    page.mouse.up()
    wait_until("dragged", lambda: 0.85 < float(notebook.ask("tuner.template.parameters['min_score']")) < 0.95)
    wait_until("the counts have followed", lambda: "0 rejected" not in page.locator(".samnb-counts").inner_text())
    assert notebook.ask("tuner.error") == "''"


def _on_page(picture, x, y):
    """Where on the page a place of a picture is, 0 to 1, that keeps its proportions within its box."""
    picture.scroll_into_view_if_needed()
    box, (width, height) = picture.bounding_box(), picture.evaluate("i => [i.naturalWidth, i.naturalHeight]")
    scale = min(box["width"] / width, box["height"] / height)
    left, top = (box["width"] - width * scale) / 2, (box["height"] - height * scale) / 2
    return box["x"] + left + x * width * scale, box["y"] + top + y * height * scale


def _all(page, holds):
    """True when every picture is drawn and what its name says holds."""
    now = drawn(page)
    return now is not None and all(map(holds, now))
