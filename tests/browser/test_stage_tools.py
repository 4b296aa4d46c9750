"""On the stage: hover, brush, points that move and go, a second view, a page that is loaded again."""

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    "import samnb\nsession = samnb.Session({folder!r})\nsession.add('photos', dataset='monday')",
    FAKE_MODEL,
    "session.embedding('coins.png')\nannotator = session.annotate('coins.png')\nannotator",
]
RING = "getComputedStyle(document.querySelector('.samnb-ring')).display"


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos", crops=1)


def opened(notebook, name, *more):
    cells = [CELLS[0].format(folder=f"{name}-session"), *CELLS[1:], *more]
    notebook.open(f"{name}.ipynb", cells)
    notebook.wait_until_run()
    return Hand(notebook)


def test_hover_shows_the_mask_under_the_mouse_and_takes_it_away(notebook):
    hand = opened(notebook, "hover")
    plain = hand.settled_colours()["blue"]
    notebook.ask("setattr(annotator, 'hover_on', True)")
    start, end = hand.place(*COIN), hand.place(*OTHER_COIN)

    def shows_a_mask():
        # Again, as a hand does: what moved before the page knew that hover is on was not reported.
        hand.page.mouse.move(*start)
        hand.page.mouse.move(*end, steps=30)
        return hand.settled_colours()["blue"] > plain + 200

    wait_until("a mask nobody clicked for", shows_a_mask)
    assert hand.prompt()["points"] == []
    hand.page.mouse.move(2, 2)
    hand.until_colours("it is gone", lambda now: now["blue"] < plain + 50)


def test_brush_ring_and_stroke(notebook):
    hand = opened(notebook, "brush")
    plain = hand.settled_colours()["blue"]
    assert notebook.page.evaluate(RING) == "none"
    hand.press("b")
    wait_until("the brush is the tool", lambda: notebook.ask("annotator._layout.stage.tool") == "'brush'")
    hand.page.mouse.move(*hand.place(100, 100))
    wait_until("a ring", lambda: notebook.page.evaluate(RING) == "block")
    hand.drag(100, 100, 180, 100, release=False)
    hand.until_colours("a trail before the hand lets go", lambda now: now["blue"] > plain + 200)
    hand.page.mouse.up()
    wait_until(
        "a mask", lambda: notebook.ask("annotator.mask is not None and bool(annotator.mask[100, 140])") == "True"
    )
    hand.until_colours("what was painted", lambda now: now["blue"] > plain + 200)
    assert notebook.ask("bool(annotator.mask[140, 140])") == "False"


def test_points_are_dragged_and_removed(notebook):
    hand = opened(notebook, "points")
    hand.click(*COIN)
    wait_until("a point", lambda: len(hand.prompt()["points"]) == 1)
    hand.drag(*COIN, *OTHER_COIN)
    wait_until("it moved", lambda: hand.prompt()["points"][0] == pytest.approx(OTHER_COIN, abs=1.5))
    assert len(hand.prompt()["points"]) == 1
    assert hand.prompt()["box"] is None
    hand.click(*OTHER_COIN, button="right")
    wait_until("it is gone", lambda: hand.prompt()["points"] == [])
    hand.press("Control+z")
    wait_until("it is back", lambda: len(hand.prompt()["points"]) == 1)


def test_a_second_view_and_a_reload_show_the_same_view(notebook):
    page = notebook.page
    cells = [CELLS[0].format(folder="views-session"), *CELLS[1:], "annotator"]
    notebook.open("views.ipynb", cells)
    notebook.wait_until_run()
    wait_until("two views", lambda: page.locator(".samnb-stage canvas").count() == 2)
    hand = Hand(notebook)
    hand.settled_colours()
    hand.click(*COIN)
    hand.until_mask(points=1)
    hand.until_colours("a mask", lambda now: now["blue"] > 300)
    notebook.ask("(annotator._layout.stage.zoom(2), annotator._layout.stage.wait())")
    same = "new Set(Array.from(document.querySelectorAll('.samnb-stage canvas'), c => c.toDataURL())).size === 1"
    wait_until("both views show it", lambda: page.evaluate(same))
    before = hand.settled_colours()
    notebook.save()
    notebook.reload()
    page.locator(".samnb-stage canvas").first.wait_for()
    hand.until_colours("the same", lambda now: abs(now["blue"] - before["blue"]) < 0.02 * before["blue"] + 40)
    hand.until_colours("the same picture", lambda now: abs(now["grey"] - before["grey"]) < 0.05 * before["grey"] + 40)
    held = "__import__('ipycanvas').canvas._CANVAS_MANAGER._caching"
    # A drawing on another thread holds it for a moment; what an error left held would stay so.
    wait_until("nothing holds the canvas", lambda: notebook.ask(held) == "False")
