"""What the page draws of a drag of the polygon tool and the lasso while the kernel says nothing; without JupyterLab."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from samnb.ui.annotator.vertex_overlay import VertexOverlay

pytestmark = pytest.mark.browser

PAGE = """
<style>.samnb-stage { position: relative; width: 400px; height: 300px; background: #fff; }
.samnb-stage > * { position: absolute; inset: 0; } #overlay { pointer-events: none; }</style>
<div class="samnb-stage"><div class="samnb-pointer-listener"></div><div id="overlay"></div></div>
"""
# A square from (100, 100) to (200, 200), as the kernel would send it: CSS pixels are image pixels.
RUN = """async (code) => {
  const { default: overlay } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const square = new Float32Array([100, 100, 200, 100, 200, 200, 100, 200]);
  const values = { points: new DataView(square.buffer), lengths: [4], still_open: false, view: [1, 0, 0, 400],
    size: [400, 300], tool: "polygon", color: "#0000ff", version: 1 };
  const heard = {};
  const model = { get: (name) => values[name], on: (name, call) => { heard[name] = call; }, off() {}, send() {} };
  const listener = document.querySelector(".samnb-pointer-listener");
  listener.addEventListener("pointerdown", (e) => listener.setPointerCapture(e.pointerId));
  overlay.render({ model, el: document.getElementById("overlay") });
  window.kernel = (more) => { Object.assign(values, more); heard["change:version"](); };
}"""


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 420, "height": 320})
    page.set_content(PAGE)
    page.evaluate(RUN, VertexOverlay._esm)
    yield page
    page.close()


def place(page, x, y):
    box = page.locator(".samnb-stage").bounding_box()
    return box["x"] + x, box["y"] + y


def is_blue(page, x, y):
    """Whether something is drawn within three pixels of that place."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    x, y = map(round, place(page, x, y))
    near = pixels[y - 3 : y + 4, x - 3 : x + 4]
    return bool((near[..., 2] > near[..., 0] + 60).any())


def drag(page, start, end):
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=4)


def test_a_vertex_follows_the_pointer_and_stays_until_the_kernel_answers(page):
    assert is_blue(page, 150, 100)
    drag(page, (200, 200), (300, 250))
    assert is_blue(page, 300, 250)
    assert is_blue(page, 250, 175)  # the middle of the edge to (200, 100)
    assert not is_blue(page, 200, 150)
    assert is_blue(page, 150, 100)
    page.mouse.up()
    assert is_blue(page, 300, 250)
    page.evaluate("kernel({ version: 2 })")  # refused: the vertices are as before
    page.mouse.move(*place(page, 20, 20))
    assert not is_blue(page, 300, 250)
    assert is_blue(page, 200, 150)


def test_an_edge_gets_a_vertex_and_ends_at_the_picture(page):
    drag(page, (150, 100), (150, -40))
    assert is_blue(page, 150, 3)
    assert is_blue(page, 125, 50)
    assert not is_blue(page, 120, 100)
    page.mouse.up()


def test_shift_and_the_right_button_drag_no_vertex(page):
    page.keyboard.down("Shift")
    drag(page, (200, 200), (300, 250))
    page.mouse.up()
    page.keyboard.up("Shift")
    page.mouse.move(*place(page, 20, 20))
    assert not is_blue(page, 300, 250)


def test_a_lasso_is_drawn_and_goes(page):
    page.evaluate("kernel({ tool: 'lasso', points: new DataView(new ArrayBuffer(0)), lengths: [], version: 2 })")
    drag(page, (250, 50), (350, 50))
    page.mouse.move(*place(page, 350, 150), steps=3)
    assert is_blue(page, 300, 50)
    assert is_blue(page, 350, 100)
    page.mouse.up()
    page.evaluate("kernel({ version: 3 })")
    assert not is_blue(page, 300, 50)
