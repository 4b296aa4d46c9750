"""Prewarm with its widget: to the summary, paused, cancelled, and with a click in between."""

import re

import pytest

import samnb
from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, write_photos

pytestmark = pytest.mark.browser

OPEN = """
import samnb
session = samnb.Session({folder!r}, cache={{"dtype": "float32"}})
session.add("photos")
"""
# Encodes only as fast as the test lets it: one image for each permit, and strictly in order. (Two images whose keys
# begin alike share a lock, and the second lets those behind it go first: with these pictures that happens at float16.)
GATED = """
import os
os.environ["SAMNB_BATCH"] = "1"  # image by image
import threading
import samnb.encoding.pipeline
samnb.encoding.pipeline._SOON = 600
permits = threading.Semaphore(0)
fake_encode = session.model.encode
def encode(pixels):
    permits.acquire()
    return fake_encode(pixels)
session.model.encode = encode
"""
IMAGES = 7


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos", crops=IMAGES - 1)


def progress_says(notebook, pattern):
    widget = notebook.page.locator(".samnb:has(.samnb-bar)")

    def look():
        return widget.count() and re.search(pattern, widget.last.inner_text())

    try:
        return wait_until(f"the progress says {pattern!r}", look)
    except AssertionError as error:
        raise AssertionError(f"{error} It says {widget.all_inner_texts()}") from None


def permit(notebook, count=1):
    notebook.ask(f"permits.release({count})")


def test_prewarm_runs_to_the_summary_and_a_second_one_skips(notebook):
    cells = [OPEN.format(folder="twice"), FAKE_MODEL, "await session.prewarm()", "await session.prewarm()"]
    notebook.open("twice.ipynb", cells)
    notebook.wait_until_run()
    widgets = notebook.page.locator(".samnb:has(.samnb-bar)")
    wait_until("two widgets", lambda: widgets.count() == 2)
    for number, counts in enumerate((f"computed: {IMAGES}, skipped: 0", f"computed: 0, skipped: {IMAGES}")):
        summary = f"Dataset ready (cache: {IMAGES} embeddings, {counts})"
        wait_until(summary, lambda n=number, summary=summary: summary in widgets.nth(n).inner_text())


def test_pause_resume_and_cancel(notebook, lab):
    notebook.open("pause.ipynb", [OPEN.format(folder="pause"), FAKE_MODEL + GATED, "job = session.prewarm()"])
    notebook.wait_until_run()
    button = notebook.page.locator(".samnb").get_by_role("button")
    progress_says(notebook, rf"⏳ Pre-warming cache\.\.\. 0/{IMAGES}")
    permit(notebook)
    progress_says(notebook, rf"1/{IMAGES}")
    button.filter(has_text="Pause").click()
    progress_says(notebook, "paused after the current image")
    permit(notebook, 3)
    progress_says(notebook, rf"2/{IMAGES}")
    button.filter(has_text="Resume").click()
    progress_says(notebook, rf"4/{IMAGES}")
    button.filter(has_text="Cancel").click()
    progress_says(notebook, "stopping after the current image")
    permit(notebook)
    progress_says(notebook, r"Stopped \(cache: 5 embeddings, computed: 5, skipped: 0\)")
    with samnb.Session(lab.root / "pause", cache={"dtype": "float32"}) as session:
        assert sum(image.embedding_cached for image in session.images()) == 5


def test_a_click_is_answered_while_a_prewarm_awaits(notebook):
    cells = [
        OPEN.format(folder="busy"),
        FAKE_MODEL + GATED,
        "permits.release()\nannotator = session.annotate('coins.png')\nsession.embedding('coins.png')\nannotator",
        "job = session.prewarm()\nawait job",
    ]
    notebook.open("busy.ipynb", cells)
    progress_says(notebook, rf"⏳ Pre-warming cache\.\.\. 0/{IMAGES}")
    hand = Hand(notebook, kernel_is_free=False)
    # The kernel is inside the awaiting cell, so it can only be watched through the page.
    hand.page.mouse.click(*place_of_coin(hand))
    hand.until(r"score 0\.94 · \d+ ms · cache hit")
    hand.until_colours("a mask", lambda now: now["blue"] > 500)
    notebook.page.get_by_role("button").filter(has_text="Cancel").click()
    # A slow machine may not have a current image yet: then it stops at once.
    progress_says(notebook, r"stopping after the current image|Stopped \(cache: 1 embedding, computed: 0")


def place_of_coin(hand):
    """`Hand.place` asks the kernel, which is busy here; coins.png is 384 wide and 303 high."""
    box = hand.stage.bounding_box()
    scale = min(box["width"] / 384, box["height"] / 303)
    left, top = box["x"] + (box["width"] - 384 * scale) / 2, box["y"] + (box["height"] - 303 * scale) / 2
    return left + COIN[0] * scale, top + COIN[1] * scale


def test_a_failed_image_is_listed_with_its_reason(notebook, lab):
    broken = lab.root / "broken"
    write_photos(broken, crops=1)
    cells = [
        'import samnb\nsession = samnb.Session("broken-session")\nsession.add("broken")',
        FAKE_MODEL,
        "import os; os.remove('broken/drawer-1.png')\nawait session.prewarm()",
    ]
    notebook.open("broken.ipynb", cells)
    notebook.wait_until_run()
    progress_says(notebook, r"Dataset ready \(cache: 1 embedding, computed: 1, skipped: 0, failed: 1\)")
    notebook.page.locator(".samnb summary").click()
    progress_says(notebook, r"drawer-1\.png .*nothing found")
