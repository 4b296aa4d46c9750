"""Seeing: fit, wheel, moving the picture, and places that are right to a pixel at any zoom on any screen."""

import ast

import numpy as np
import pytest
from PIL import Image

from tests.support.waiting import wait_until

from .hand import Hand
from .lab import NotebookPage
from .pictures import FAKE_MODEL, PIXEL

pytestmark = pytest.mark.browser

OPEN = """
import samnb
session = samnb.Session({folder!r})
session.add("photos", dataset="monday")
"""
SHOW = "annotator = session.annotate({image!r})\nannotator"
VIEW = "(lambda v: (v.scale, v.offset, v.stage_size, v.backing))(annotator._layout.stage.view)"

# A picture that tells where it was touched: the colour of each pixel is its place.
WIDTH, HEIGHT = 1024, 768

BACKING = """() => {
  const canvas = document.querySelector(".samnb-stage canvas");
  return [canvas.width, canvas.getBoundingClientRect().width * devicePixelRatio];
}"""


def places(width, height):
    """(H, W, 3): red and green say where, in blocks of four pixels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x // 4, y // 4, np.zeros_like(x)], axis=2).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    folder = lab.root / "photos"
    folder.mkdir()
    Image.fromarray(places(WIDTH, HEIGHT)).save(folder / "places.png")
    return folder


@pytest.fixture(params=[1, 2])
def screen(request, browser, lab):
    """A page of a screen with that device pixel ratio."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000}, device_scale_factor=request.param)
    yield NotebookPage(lab, page)
    page.close()


def opened(screen, name, *more, image="places.png"):
    screen.open(f"{name}.ipynb", [OPEN.format(folder=f"{name}-session"), FAKE_MODEL, *more, SHOW.format(image=image)])
    screen.wait_until_run()
    return Hand(screen)


def on_stage(hand, x, y):
    """CSS pixels from the stage's corner: the page may move the stage as a whole."""
    box, (left, top) = hand.stage.bounding_box(), hand.place(x, y)
    return left - box["x"], top - box["y"]


def view(screen):
    return ast.literal_eval(screen.ask(VIEW))


def settled(screen):
    """The view once two looks at it, at its place on the page and at its middle agree."""
    seen = [None]

    def same():
        box = screen.page.locator(".samnb-stage").bounding_box()
        middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        seen.append((view(screen), box, screen.page.evaluate(PIXEL, middle)))
        return seen[-1] == seen[-2]

    wait_until("the view stands still", same, every=0.25)
    return seen[-1][0]


def fills_the_stage(screen):
    """False while the picture is smaller than a side of the stage: a zoom keeps it in the middle of that side."""
    scale, _, (width, height), _ = view(screen)
    return WIDTH * scale >= width - 0.01 and HEIGHT * scale >= height - 0.01


def pointed_at(screen, hand, x, y):
    """The scale, and where on the stage that pixel is, with the mouse on it."""
    screen.page.mouse.move(*hand.place(x, y))
    return view(screen)[0], on_stage(hand, x, y)


def test_clicks_are_right_to_a_pixel_at_three_zooms(screen):
    ratio = screen.page.evaluate("devicePixelRatio")
    hand = opened(screen, f"zoom-{ratio}")
    have, wanted = screen.page.evaluate(BACKING)
    assert have == pytest.approx(wanted, abs=1), "a canvas pixel for each pixel of the screen"
    clicked = 0
    for steps in (0, 3, 9):
        screen.ask("annotator._layout.stage.fit()")
        settled(screen)
        start, held = pointed_at(screen, hand, 700, 300)
        for _ in range(steps):
            before, filled = view(screen)[0], fills_the_stage(screen)
            screen.page.mouse.wheel(0, -200)
            wait_until("it is larger", lambda before=before: view(screen)[0] > before)
            if not filled:
                settled(screen)
                start, held = pointed_at(screen, hand, 700, 300)
        scale = settled(screen)[0]
        # The wheel tells whole CSS pixels: what was less than one grows with the picture.
        assert on_stage(hand, 700, 300) == pytest.approx(held, abs=1.5 + scale / start)
        for x, y in [(700, 300), (691.5, 306.5), (706.5, 290.5)]:
            hand.click(x, y)
            clicked += 1
            wait_until("a point", lambda: len(hand.prompt()["points"]) == clicked)  # noqa: B023
            # The mouse goes to whole CSS pixels.
            assert hand.prompt()["points"][-1] == pytest.approx((x, y), abs=0.51 / scale + 0.01)
        screen.ask("annotator.clear()")
        clicked = 0
        # What is seen there is that pixel: its colour is its place.
        settled(screen)
        for x, y in [(690.5, 312.5), (713.5, 298.5)]:
            place = hand.place(x, y)
            red, green, _ = wait_until(
                "the colour of the place",
                lambda place=place, x=x, y=y: (
                    (seen := screen.page.evaluate(PIXEL, list(place)))
                    and abs(seen[0] - x // 4) <= 2
                    and abs(seen[1] - y // 4) <= 2
                    and seen
                ),
            )
            if scale * ratio > 6:
                assert (red, green) == (x // 4, y // 4)
    screen.ask("annotator._layout.stage.actual_size()")
    assert view(screen)[0] * ratio == pytest.approx(1)


def test_keys_pan_and_the_width_of_the_cell(notebook):
    hand = opened(notebook, "seeing")
    page = notebook.page
    box = hand.stage.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    notebook.ask("annotator._layout.stage.zoom(4)")
    left = view(notebook)[1][0]
    page.mouse.down(button="middle")
    page.mouse.move(middle[0] - 60, middle[1], steps=6)
    page.mouse.up(button="middle")
    wait_until("moved by 60", lambda: view(notebook)[1][0] == pytest.approx(left - 60, abs=1))
    page.keyboard.down(" ")
    page.mouse.down()
    page.mouse.move(middle[0], middle[1], steps=6)
    page.mouse.up()
    page.keyboard.up(" ")
    wait_until("moved back", lambda: view(notebook)[1][0] == pytest.approx(left, abs=1))
    assert hand.prompt()["points"] == []
    assert hand.prompt()["box"] is None

    narrow = view(notebook)[2][0]
    page.set_viewport_size({"width": 900, "height": 900})
    wait_until("the stage follows the page", lambda: view(notebook)[2][0] < narrow - 20)
    hand.until_told_size()
    settled(notebook)
    have, wanted = page.evaluate(BACKING)
    assert have == pytest.approx(wanted, abs=1)
    x, y = ast.literal_eval(notebook.ask("annotator._layout.stage.view.to_image(0.5, 0.5)"))
    hand.click(x, y)
    wait_until("a point", lambda: hand.prompt()["points"])
    assert hand.prompt()["points"][0] == pytest.approx((x, y), abs=1)


def test_the_page_keeps_its_own_keys(notebook):
    hand = opened(notebook, "keys")
    page = notebook.page
    hand.click(500, 400)
    wait_until("a point", lambda: hand.prompt()["points"])
    page.evaluate(
        """() => {
            window.saves = 0;
            const note = (_, state) => { if (state === "completed") window.saves += 1; };
            jupyterapp.shell.currentWidget.context.saveState.connect(note);
        }"""
    )
    page.keyboard.press("Control+s")
    wait_until("saved", lambda: page.evaluate("saves"))
    cells = len(notebook.cells())
    page.keyboard.press("b")
    page.keyboard.press("f")
    assert len(notebook.cells()) == cells, "B is no cell below"
    page.keyboard.press("Tab")
    wait_until(
        "the focus went on",
        lambda: not page.evaluate("document.activeElement.classList.contains('samnb-pointer-listener')"),
    )
    counts = [cell["execution_count"] for cell in notebook.cells()]
    hand.stage.locator(".samnb-pointer-listener").focus()
    page.keyboard.press("Control+Enter")
    wait_until("a cell ran", lambda: [cell["execution_count"] for cell in notebook.cells()] != counts)


LARGE = """
import numpy as np
from PIL import Image
y, x = np.mgrid[:300, :400]
small = np.stack([x * 255 // 400, y * 255 // 300, np.zeros_like(x)], axis=2).astype("uint8")
Image.fromarray(small).resize((12000, 9000), Image.NEAREST).save("large.jpg", quality=80)
import PIL.Image
session.add("large.jpg", dataset="large")
"""


def test_a_hundred_megapixels(notebook):
    hand = opened(notebook, "large", LARGE, image="large.jpg")
    colour = lambda x, y: notebook.page.evaluate(PIXEL, list(hand.place(x, y)))  # noqa: E731
    near = lambda x, y: pytest.approx([x * 255 / 12000, y * 255 / 9000, 0], abs=8)  # noqa: E731
    wait_until("the whole", lambda: colour(3000, 2000) == near(3000, 2000))
    page = notebook.page
    page.mouse.move(*hand.place(9000, 6000))
    for _ in range(8):
        before = view(notebook)[0]
        page.mouse.wheel(0, -250)
        wait_until("it is larger", lambda before=before: view(notebook)[0] > before)
    wait_until("a part", lambda: colour(9010, 6010) == near(9010, 6010))
    hand.click(9010, 6010)
    wait_until("a point", lambda: hand.prompt()["points"])
    assert hand.prompt()["points"][0] == pytest.approx((9010, 6010), abs=0.6 / view(notebook)[0])
