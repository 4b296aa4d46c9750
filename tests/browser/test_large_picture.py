"""A picture that is read in parts and encoded tile by tile: open, jump, zoom, click, accept, other channels."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import tifffile

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import FAKE_MODEL, PIXEL

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 4400, 3200
OPEN = """
import os
os.environ["SAMNB_TILED_ABOVE"] = "1000000"
import samnb
samnb.images.MAX_PIXELS = 2_000_000  # nothing can be read whole
session = samnb.Session("large-session")
session.add("slide.ome.tif", show=False)
"""
SHOW = "annotator = session.annotate()\nannotator"
AT = (3_300, 2_450)


@pytest.fixture(scope="module", autouse=True)
def slide(lab):
    """Two channels of 12 bits that say where a pixel is: the first across, the second down; a pixel is 0.5 µm."""
    across = np.broadcast_to(np.arange(WIDTH) * 4095 // WIDTH, (HEIGHT, WIDTH))
    down = np.broadcast_to(np.arange(HEIGHT)[:, None] * 4095 // HEIGHT, (HEIGHT, WIDTH))
    about = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["across", "down"]}}
    values = np.stack([across, down]).astype(np.uint16)
    tifffile.imwrite(lab.root / "slide.ome.tif", values, tile=(256, 256), metadata=about)


def test_open_jump_zoom_click_accept_and_show_other_channels(notebook):
    notebook.open("large.ipynb", [OPEN, FAKE_MODEL, SHOW])
    notebook.wait_until_run()
    hand, page = Hand(notebook), notebook.page

    def shows(x, y, *, down=True):
        expected = [255 * x / WIDTH, 255 * y / HEIGHT if down else 0, 0]
        seen = lambda: page.evaluate(PIXEL, list(hand.place(x, y)))  # noqa: E731
        wait_until(f"pixel {x}, {y} looks like {expected}", lambda: seen() == pytest.approx(expected, abs=6))

    shows(1_000, 800)
    shows(*AT)
    hand.until(r"\d+ µm")

    # A jump: full resolution, then a place on the map in the corner.
    hand.press("0")
    small = wait_until(
        "the map", lambda: page.locator(".samnb-map").is_visible() and page.locator(".samnb-map").bounding_box()
    )
    page.mouse.click(small["x"] + small["width"] * AT[0] / WIDTH, small["y"] + small["height"] * AT[1] / HEIGHT)
    shows(*AT)
    scale = lambda: ast.literal_eval(notebook.ask("annotator._layout.stage.view.scale"))  # noqa: E731
    before = scale()
    page.mouse.move(*hand.place(*AT))
    page.mouse.wheel(0, -300)
    wait_until("it is larger", lambda: scale() > before)
    shows(*AT)

    hand.click(*AT)
    hand.until_mask(points=1)
    hand.press("Enter")
    hand.until_kept(1, "object")
    x, y, width, height = ast.literal_eval(notebook.ask("tuple(annotator.annotations[0].bbox)"))
    assert (x + width / 2, y + height / 2) == pytest.approx(AT, abs=3)
    assert (width, height) == pytest.approx((30, 30), abs=3)

    # Of two channels one is shown at once, then encoded.
    page.get_by_role("button", name="Channels and limits").click()
    channels = page.locator(".samnb-channel input[type=checkbox]")
    channels.nth(1).wait_for()
    channels.nth(1).uncheck()
    shows(AT[0] - 40, AT[1], down=False)
    assert notebook.ask("session.mapping(annotator.image) is None") == "True"
    use = page.get_by_role("button", name="Use this view")
    wait_until("it is as wide as its text, and not as the row", lambda: use.bounding_box()["width"] < 140)
    use.click()
    # Not by the status line: what is encoded next may replace its words before they are looked at.
    used = "len(getattr(session.mapping(annotator.image), 'channels', ()))"
    wait_until("the view is used", lambda: notebook.ask(used) == "1")
    wait_until("it is shown", lambda: notebook.ask("annotator._editor.renewing") == "frozenset()")
    assert notebook.ask("len(annotator.annotations)") == "1"
    shows(AT[0] - 40, AT[1], down=False)  # the same part is in view
    hand.press("f")
    shows(1_000, 800, down=False)
    hand.click(1_500, 900)
    hand.until_mask(points=1)
    hand.press("Enter")
    hand.until_kept(2)
    assert notebook.ask("session.export('geojson', 'out').annotations") == "2"
