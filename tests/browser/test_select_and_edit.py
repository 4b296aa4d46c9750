"""Objects selected, merged, relabelled and edited by their vertices, with real mouse and keys."""

import ast

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, GROUND, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    "import samnb\nsession = samnb.Session('edit-session')\nsession.add('photos', dataset='monday')\n"
    "for name in ('coin', 'rim', 'hole'):\n    session.add_category(name)",
    FAKE_MODEL,
    "session.embedding('coins.png')\nannotator = session.annotate('coins.png')\nannotator",
]


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos", crops=1)


def ask(hand, code):
    return ast.literal_eval(hand.notebook.ask(code))


def kept(hand):
    """Id, category and area of each annotation of the image."""
    return ask(hand, "[(a.id, a.category, int(a.area)) for a in annotator.annotations]")


def test_a_hand_selects_relabels_merges_and_drags_vertices(notebook):
    notebook.open("edit.ipynb", CELLS)
    notebook.wait_until_run()
    hand, page = Hand(notebook), notebook.page
    # With the mouse alone: three objects of three categories.
    for number, (name, place) in enumerate((("coin", COIN), ("rim", OTHER_COIN), ("hole", GROUND)), 1):
        page.locator(".samnb-chip", has_text=f"{number} {name}").first.click()
        hand.until_kernel("its category", f"annotator.category == {name!r}")
        hand.click(*place)
        hand.until_mask()
        page.get_by_text("Accept").first.click()
        hand.until_kept(number, name)
    rows = page.locator(".samnb-list .samnb-entry")
    wait_until("each row has its picture", lambda: rows.locator("img").count() == 3)
    # A right-click opens the menu, and is no point.
    hand.click(*COIN, button="right")
    page.get_by_role("menuitem", name="Duplicate").click()
    hand.until_kept(4, "coin")
    page.keyboard.press("Delete")
    hand.until_kept(3)
    # The row under the pointer is lifted out, and the object under the pointer lifts out its row.

    def is_lifted_out():
        for number in (1, 0):  # again, as a hand does: the list's script may come after its rows
            rows.nth(number).hover()
        return ask(hand, "annotator._layout.stage._highlight is not None")

    wait_until("it is lifted out", is_lifted_out, every=0.3)
    hand.press("v")
    x, y = hand.place(*COIN)

    def row_is_lifted_out():
        # The page reports moves only once it knows of the tool.
        for step in (0, 2):
            page.mouse.move(x + step, y)
        page.wait_for_timeout(700)  # the answer comes while the pointer rests
        return "samnb-lit" in rows.nth(2).get_attribute("class")

    wait_until("its row too", row_is_lifted_out, every=0.3)
    # Two are selected and get a category by its name; then they are one.
    hand.click(*COIN)
    hand.click(*OTHER_COIN, shift=True)
    wait_until("two", lambda: len(ask(hand, "annotator.selection")) == 2)
    hand.press("i")
    page.locator(".samnb-popup input").wait_for()
    page.keyboard.type("ho")
    page.keyboard.press("Enter")
    wait_until("all are holes", lambda: {category for _, category, _ in kept(hand)} == {"hole"})
    hand.press("j")
    hand.until_kept(2)
    # Escape lets go; the polygon tool drags a vertex of one annotation.
    hand.press("Escape")
    wait_until("none", lambda: not ask(hand, "annotator.selection"))
    hand.click(*GROUND)
    wait_until("one", lambda: len(ask(hand, "annotator.selection")) == 1)
    hand.press("u")
    wait_until("vertices", lambda: ask(hand, "len(annotator.vertices) == 1"))
    before = dict((each, area) for each, _, area in kept(hand))
    x, y = ask(hand, "annotator.vertices[0][0].tolist()")
    middle = GROUND
    hand.drag(x, y, middle[0] + 2 * (x - middle[0]), middle[1] + 2 * (y - middle[1]))
    wait_until("it grew", lambda: any(area > before[each] + 20 for each, _, area in kept(hand)))
    hand.press("Control+z")
    wait_until("it is back", lambda: dict((each, area) for each, _, area in kept(hand)) == before)
    # A polygon from nothing, and a lasso round what to take away.
    hand.press("Escape")
    wait_until("none", lambda: not ask(hand, "annotator.selection"))
    for place in ((300, 20), (360, 20), (360, 80)):
        hand.click(*place)
    wait_until("three vertices", lambda: ask(hand, "len(annotator._editor.draft.ring)") == 3)
    area = ask(hand, "int(annotator.mask.sum())")
    hand.press("q")
    page.keyboard.down("Shift")
    for index, place in enumerate(((340, 10), (375, 10), (375, 90), (340, 90))):
        page.mouse.move(*hand.place(*place), steps=4)
        if not index:
            page.mouse.down()
    page.mouse.up()
    page.keyboard.up("Shift")
    wait_until("less", lambda: 0 < ask(hand, "int(annotator.mask.sum())") < area - 100)
    hand.press("Enter")
    hand.until_kept(3)
    # The wheel with Ctrl sizes the brush.
    hand.press("b")
    radius = ask(hand, "annotator.brush_radius")
    page.mouse.move(*hand.place(200, 100))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    wait_until("a larger brush", lambda: ask(hand, "annotator.brush_radius") > radius)
    assert ask(hand, "annotator._layout.stage.view.is_fit")
    assert ask(hand, "annotator.error") == ""


def test_three_objects_in_three_categories_with_keys_alone(notebook):
    cells = [CELLS[0].replace("edit-session", "keys-session"), *CELLS[1:]]
    notebook.open("keys.ipynb", cells)
    notebook.wait_until_run()
    hand, page = Hand(notebook), notebook.page
    page.locator(".samnb-pointer-listener").focus()
    for number, name in enumerate(("coin", "rim", "hole"), 1):
        page.keyboard.press(str(number))
        for _ in range(4):
            page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+Space")
        hand.until_mask()
        page.keyboard.press("Enter")
        hand.until_kept(number, name)
