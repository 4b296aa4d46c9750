"""The moving picture of the README: a click, its mask, accepted, and the template applied to the other images.

It goes to the folder named by SAMNB_SCREENSHOTS (see docs/screenshots.py), or is only checked to be one.
"""

import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.support.waiting import wait_until

from .hand import Hand
from .lab import NotebookPage
from .test_screenshots import COINS, photos

pytestmark = pytest.mark.browser

SIZE = {"width": 1080, "height": 880}
MOST_BYTES = 2_000_000
_ARROW = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]

CELLS = [
    'import samnb\nsession = samnb.Session("coins")\nsession.add("photos", dataset="monday", show=False)\n'
    'for image in session.images():\n    session.embedding(image)\nannotator = session.annotate("coins.png")\n'
    'annotator.category = "coin"',
    "annotator",
]
APPLY = 'job = session.apply(session.template("coins"))'


class Film:
    """Pictures of a page with a pointer drawn on them, which a page does not show."""

    def __init__(self, page):
        self.page = page
        self.frames, self.times = [], []
        self.place = (700.0, 500.0)
        self.scene = None

    def look(self, milliseconds):
        """The page as it is."""
        self.scene = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self._keep(milliseconds)

    def go(self, x, y, steps=5):
        """The pointer to a place; the page itself is taken to stand still."""
        (x0, y0), (x1, y1) = self.place, (x, y)
        for step in range(1, steps + 1):
            part = step / steps * (2 - step / steps)
            self.place = (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
            self._keep(60)
        self.page.mouse.move(x, y)

    def _keep(self, milliseconds):
        frame = self.scene.copy()
        x, y = self.place
        ImageDraw.Draw(frame).polygon([(x + dx, y + dy) for dx, dy in _ARROW], fill="black", outline="white")
        self.frames.append(frame)
        self.times.append(milliseconds)

    def save(self, file):
        """One palette for all frames: a pixel that stands still is then the same in the next and costs nothing."""
        width, height = self.frames[0].size
        some = [self.frames[place] for place in (0, len(self.frames) // 2, -1)]
        together = Image.new("RGB", (width, height * len(some)))
        for row, frame in enumerate(some):
            together.paste(frame, (0, row * height))
        palette = together.quantize(200)
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        frames[0].save(file, save_all=True, append_images=frames[1:], duration=self.times, loop=0, optimize=True)


def test_animation(browser, lab, tmp_path):
    photos(lab.root / "photos")
    page = browser.new_page(viewport=SIZE)
    notebook = NotebookPage(lab, page)
    notebook.open("animation.ipynb", CELLS)
    notebook.wait_until_run()
    notebook.start("application:toggle-left-area")
    hand, film = Hand(notebook), Film(page)
    page.locator(".jp-CodeCell").nth(1).evaluate("cell => cell.scrollIntoView()")
    hand.settled_colours()
    film.look(900)
    for number, coin in enumerate(COINS[:3], 1):
        film.go(*hand.place(*coin))
        hand.click(*coin)
        hand.until_mask(points=1)
        hand.settled_colours()
        film.look(700)
        page.keyboard.press("Enter")
        hand.until(rf"annotations · {number}")
        hand.settled_colours()
        film.look(500)

    # "All images of the session" has coins.png among them: what was accepted by hand there stays.
    page.evaluate(
        """code => {
            const panel = jupyterapp.shell.currentWidget.content;
            panel.model.sharedModel.addCell({cell_type: "code", source: code});
            panel.activeCellIndex = panel.widgets.length - 1;
            jupyterapp.commands.execute("notebook:run-cell");
        }""",
        APPLY,
    )
    bar = page.locator(".samnb:has(.samnb-bar)")
    bar.wait_for(timeout=120_000)
    bar.scroll_into_view_if_needed()
    seen = ""
    for _ in range(60):
        if bar.inner_text() != seen:
            seen = bar.inner_text()
            film.look(250)
        if "masks (" in seen or "Ready" in seen or "⏳" not in seen:
            break
        page.wait_for_timeout(200)
    wait_until("all images are done", lambda: notebook.ask("job.state") == "'done'")
    film.look(1400)
    page.locator(".jp-CodeCell").nth(1).evaluate("cell => cell.scrollIntoView()")
    for _ in range(2):
        film.look(300)
        film.go(*_middle(page.locator(".samnb button[title^='Next image (']")))
        page.mouse.click(*film.place)
        hand.settled_colours()
        film.look(1400)
    page.close()

    folder = os.environ.get("SAMNB_SCREENSHOTS")
    file = (Path(folder) if folder else tmp_path) / "annotate.gif"
    film.save(file)
    assert file.stat().st_size < MOST_BYTES
    with Image.open(file) as moving:
        assert moving.n_frames > 20


def _middle(locator):
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
