"""The pictures of the documentation: annotator light and dark, a prewarm on its way, a review of look-alikes.

They go to the folder named by SAMNB_SCREENSHOTS (see docs/screenshots.py), or are only checked to show something.
"""

import os
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance
from skimage import data

from tests.support.waiting import wait_until

from .hand import Hand
from .lab import NotebookPage

pytestmark = pytest.mark.browser

# Middles of coins in scikit-image's `coins`; (x, y).
COINS = [(44, 54), (100, 56), (155, 51), (216, 51), (276, 52), (334, 44), (46, 125)]
IN_HAND = (347, 187)

# Boxes round what is on its `coffee`; (x0, y0, x1, y1).
BOXES = {"saucer": (76, 78, 482, 382), "cup": (168, 10, 425, 245), "spoon": (318, 222, 412, 332)}

# The real encoder, three images far, one at a time: fast ones would be through before the picture is taken.
GATED = """
import os, threading
os.environ["SAMNB_BATCH"] = "1"
permits = threading.Semaphore(3)
real_encode = session.model.encode_prepared
def encode(batch):
    permits.acquire()
    return real_encode(batch)
session.model.encode_prepared = encode
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = os.environ.get("SAMNB_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def sharp(browser, lab):
    """A page of a HiDPI screen, as wide as the annotator, and about as high as it is with a picture."""
    page = browser.new_page(viewport={"width": 1400, "height": 900}, device_scale_factor=2)
    yield NotebookPage(lab, page)
    # JupyterLab keeps the theme for the next page.
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'true'")
    page.close()


def photos(folder):
    folder.mkdir()
    coins = data.coins()
    Image.fromarray(coins).save(folder / "coins.png")
    for number, (x, y) in enumerate([(0, 0), (90, 0), (184, 0), (0, 75), (90, 75), (184, 75), (30, 30), (60, 50)], 1):
        Image.fromarray(coins[y : y + 228, x : x + 200]).save(folder / f"drawer-{number}.png")
    return folder


# One of the nine files is gone.
THUMBNAILS = (
    """() => [...document.querySelectorAll(".samnb-strip img")].filter(img => img.naturalWidth > 90).length >= 8"""
)


def shoot_more(sharp, hand, widget, target, unlinked):
    """Editor with the brush, the keys, and a narrow notebook."""
    page = sharp.page
    hand.press("Escape")
    page.locator(".samnb-list .samnb-chip").nth(2).click()
    hand.press("b")
    page.get_by_title("How picture and masks look").click()
    page.get_by_title("Rename or recolour").click()
    wait_until("the brush", lambda: sharp.ask("annotator.tool") == "'brush'")
    shoot(page, widget, target / "annotator-editing.png")
    page.get_by_title("How picture and masks look").click()
    page.get_by_title("Rename or recolour").click()
    hand.press("p")
    hand.press("?")
    page.locator(".samnb-help").wait_for(state="visible")
    shoot(page, page.locator(".samnb-help"), unlinked / "keys.png")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 720, "height": 1100})
    wait_until("a narrow annotator", lambda: widget.bounding_box()["width"] < 640)
    hand.settled_colours()
    shoot(page, widget, unlinked / "narrow.png")
    page.set_viewport_size({"width": 1400, "height": 900})
    wait_until("a wide one again", lambda: widget.bounding_box()["width"] > 900)
    hand.click(*IN_HAND)
    hand.until_mask(points=1)
    hand.settled_colours()


def shoot(page, locator, file):
    """The widget alone, with the pointer out of the way; a picture of one colour is a failure."""
    page.locator("#jupyterlab-splash").wait_for(state="detached")  # JupyterLab's own, over a change of theme
    page.mouse.move(2, 2)
    kind = {"type": "jpeg", "quality": 88} if file.suffix == ".jpg" else {}
    locator.screenshot(path=str(file), **kind)
    assert Image.open(file).convert("RGB").getcolors(100) is None  # they are more


def test_screenshots(sharp, lab, target, tmp_path):
    photos(lab.root / "photos")
    cells = [
        'import samnb\nsession = samnb.Session("coins")\nsession.add("photos", dataset="monday")',
        "for name in ('drawer-1.png', 'drawer-2.png', 'coins.png'):\n    session.embedding(name)",
        GATED + "import os; os.rename('photos/drawer-8.png', 'photos/gone.png')\njob = session.prewarm()",
    ]
    sharp.open("progress.ipynb", cells)
    bar = sharp.page.locator(".samnb:has(.samnb-bar)")
    wait_until("the prewarm is on its way", lambda: bar.count() and "6/9" in bar.inner_text())
    sharp.start("application:toggle-left-area")
    shoot(sharp.page, bar, target / "progress.png")
    sharp.ask("permits.release(9)")
    sharp.wait_until_run()
    wait_until("the summary", lambda: "Dataset ready" in bar.inner_text())
    shoot(sharp.page, bar, tmp_path / "progress-done.png")

    name = "annotator = session.annotate('coins.png')\nannotator.category = 'coin'\nannotator"
    sharp.open("annotate.ipynb", ['import samnb\nsession = samnb.Session("coins")', name])
    sharp.wait_until_run()
    hand = Hand(sharp)
    for number, place in enumerate(COINS, 1):
        hand.click(*place)
        hand.until_mask(points=1)
        hand.press("Enter")
        hand.until_kept(number)
        hand.until(rf"annotations · {number}")
    hand.click(*IN_HAND)
    hand.until_mask(points=1)
    hand.click(IN_HAND[0] - 38, IN_HAND[1] - 24, shift=True)
    hand.until_mask(points=2)
    hand.until(r"score 0\.\d\d · \d+ ms · cache hit")
    widget = sharp.page.locator(".samnb:has(.samnb-stage)")
    wait_until("the thumbnails", lambda: sharp.page.evaluate(THUMBNAILS))
    shoot_more(sharp, hand, widget, target, tmp_path)

    sharp.page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    sharp.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    shoot(sharp.page, widget, target / "annotator-dark.png")


def test_screenshots_on_photographs(sharp, lab, target):
    folder = lab.root / "things"
    folder.mkdir()
    for name in ("chelsea", "coffee", "astronaut", "rocket"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    cells = [
        'import samnb\nsession = samnb.Session("trip")\nsession.add("things", show=False)',
        "for name in ('saucer', 'cup', 'spoon'):\n    session.add_category(name)\nsession.add_attribute('truncated')",
        "session.prewarm(show=False)\nannotator = session.annotate('coffee.png')\nannotator",
    ]
    sharp.open("things.ipynb", cells)
    sharp.wait_until_run()
    hand = Hand(sharp)
    for number, (name, box) in enumerate(BOXES.items(), 1):
        hand.press(str(number))
        hand.until_kernel("its category", f"annotator.category == {name!r}")
        hand.drag(*box)
        hand.until_mask(box=True)
        if number < len(BOXES):
            hand.press("Enter")
            hand.until_kept(number, name)
    widget = sharp.page.locator(".samnb:has(.samnb-stage)")
    hand.settled_colours()
    shoot(sharp.page, widget, target / "annotator-photograph.jpg")
    for _ in range(2):
        hand.press("+")
    sharp.page.locator(".samnb-map").wait_for(state="visible")
    hand.settled_colours()
    shoot(sharp.page, widget, target / "annotator-zoomed.jpg")


def test_screenshots_of_look_alikes(sharp, lab, target, tmp_path):
    folder = lab.root / "holiday"
    folder.mkdir()
    for name in ("chelsea", "coffee"):
        picture = Image.fromarray(getattr(data, name)())
        picture.save(folder / f"{name}.png")
        cut = picture.crop((4, 3, picture.width - 4, picture.height - 3))
        ImageEnhance.Brightness(cut).enhance(0.8).save(folder / f"{name}_darker.jpg", quality=60)
        picture.resize((160, 160 * picture.height // picture.width)).save(folder / f"{name}_thumb.jpg")
    cell = (
        'import samnb\nsession = samnb.Session("trip")\nsession.add("holiday", show=False)\n'
        "review = session.review_lookalikes()\nreview"
    )
    sharp.open("look-alikes.ipynb", [cell])
    sharp.wait_until_run()
    widget = sharp.page.locator(".samnb-review")
    sharp.ask("(review.same(), review.toggle_difference(), review.next(), review.previous())")
    drawn = """() => {
        const all = [...document.querySelectorAll(".samnb-review img")];
        return all.length === 3 && all.every(img => img.complete && img.naturalWidth > 0);
    }"""
    wait_until("three pictures", lambda: "2 of 4 · 1 same" in widget.inner_text() and sharp.page.evaluate(drawn))
    shoot(sharp.page, widget, target / "look-alikes.png")
    sharp.page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    sharp.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    shoot(sharp.page, widget, tmp_path / "look-alikes-dark.png")
