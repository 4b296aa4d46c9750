"""After a click anywhere in the annotator the keys are the picture's; a field gives them back; resting is no click.

One annotator for all: the kernel notes the keys it gets instead of following them.
"""

import ast

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .lab import NotebookPage
from .pictures import COIN, FAKE_MODEL, write_photos
from .test_annotate import OPEN

pytestmark = pytest.mark.browser

SHOW = "session.embedding('coins.png')\nannotator = session.annotate('coins.png')\nannotator"
# The keys of the matrix, with what the kernel calls them; Space stays in the page.
KEYS = {"Enter": "Enter", "2": "2", "Escape": "Escape", "z": "z"}
FOCUSED = "document.activeElement.classList.contains('samnb-pointer-listener')"
SPY = "vars(annotator).update(heard=[], key=lambda name, *modifiers: annotator.heard.append(name))"

CONTROLS = {
    "chip": ".samnb-chips .samnb-chip",
    "eye": ".samnb-chips .samnb-plain >> nth=0",
    "pencil": "[title^='Rename']",
    "prompt tool": ".samnb-tools [title^='Points and boxes']",
    "hover": ".samnb-tools [title^='The mask under']",
    "detail": ".samnb-tools [title^='Show the model']",
    # From here on the brush is chosen: its size takes the place of hover and detail.
    "brush": ".samnb-tools [title^='Brush']",
    "brush size": ".samnb-tools .samnb-extra [role='slider'] >> visible=true",
    "look": ".samnb-tools [title^='How picture']",
    "opacity": ".samnb-tools [role='slider'][aria-label^='Opacity']",
    "outlines only": ".samnb-tools input[type='checkbox'] >> nth=0",
    "fit": ".samnb-tools [title^='Fit']",
    "zoom in": ".samnb-tools [title^='Zoom in']",
    "row": ".samnb-list .samnb-chip",
    "undo": ".samnb-tools [title^='Undo']",
    "next image": ".samnb-tools [title^='Next image']",
    "thumbnail": ".samnb-strip button >> nth=0",
    "panel": ".samnb-side .samnb-label >> nth=0",
    "header": ".samnb-head",
    "status": ".samnb-foot",
}


@pytest.fixture(scope="module")
def hand(browser, lab):
    write_photos(lab.root / "photos")
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    notebook = NotebookPage(lab, page)
    notebook.open("focus.ipynb", [OPEN.format(folder="focus-session"), "session.add_category('rim')", FAKE_MODEL, SHOW])
    notebook.wait_until_run()
    hand = Hand(notebook)
    hand.click(*COIN)
    hand.until_mask(points=1)
    page.locator(".samnb-chip", has_text="rim").first.click()
    page.keyboard.press("Enter")
    hand.until_kept(1, "rim")
    notebook.ask(SPY)
    yield hand
    page.close()


def heard(hand):
    return ast.literal_eval(hand.notebook.ask("annotator.heard"))


def forget(hand):
    hand.notebook.ask("annotator.heard.clear()")


@pytest.mark.parametrize("name", CONTROLS)
def test_the_keys_are_the_pictures_after_a_click(hand, name):
    forget(hand)
    hand.page.locator(f".samnb-annotator {CONTROLS[name]}").first.click()
    hand.page.wait_for_function(FOCUSED)
    for key in KEYS:
        hand.page.keyboard.press(key)
    wait_until("the keys are heard", lambda: heard(hand) == list(KEYS.values()))
    hand.page.keyboard.down(" ")
    assert hand.stage.locator(".samnb-pointer-listener").evaluate("el => el.style.cursor") == "grab"
    hand.page.keyboard.up(" ")
    assert hand.page.evaluate(FOCUSED)


@pytest.mark.parametrize("name", ["chip", "opacity", "outlines only", "header"])
def test_a_key_that_comes_with_the_click_is_the_pictures(hand, name):
    """A busy page hands over a key right after the click, before the focus is back."""
    forget(hand)
    hand.page.locator(f".samnb-annotator {CONTROLS[name]}").first.evaluate(
        """el => {
            const mouse = { bubbles: true, pointerType: "mouse" };
            el.dispatchEvent(new PointerEvent("pointerdown", mouse));
            el.matches("button, input, [role='slider']") ? el.focus() : document.activeElement.blur();
            el.dispatchEvent(new PointerEvent("pointerup", mouse));
            for (const key of ["Enter", "Escape"]) {
                const pressed = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
                document.activeElement.dispatchEvent(pressed);
            }
        }"""
    )
    wait_until("the keys are heard", lambda: heard(hand) == ["Enter", "Escape"])
    hand.page.wait_for_function(FOCUSED)


@pytest.mark.parametrize("field", ["new category", "go to name"])
@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_a_field_gives_the_focus_back(hand, field, key):
    typed = f"coins {key}".lower()
    hand.page.get_by_placeholder(field).fill(typed)
    hand.page.keyboard.press(key)
    hand.page.wait_for_function(FOCUSED)
    if field == "new category":
        wait_until(
            "entered, or let go",
            lambda: (f"'{typed}'" in hand.notebook.ask("session.categories()")) == (key == "Enter"),
        )
    forget(hand)
    hand.page.keyboard.press("z")
    wait_until("the key is heard", lambda: heard(hand) == ["z"])


def test_a_list_gives_the_focus_back_with_and_without_a_choice(hand):
    kind = hand.page.locator(".samnb-reel-tools select")
    kind.click()
    kind.select_option("annotated images")
    hand.page.wait_for_function(FOCUSED)
    kind.select_option("all images")
    kind.focus()
    hand.page.keyboard.press("Escape")
    hand.page.wait_for_function(FOCUSED)


def test_a_pointer_that_only_rests_gives_the_picture_no_keys(hand):
    forget(hand)
    hand.page.evaluate("document.activeElement.blur()")
    hand.page.mouse.move(*hand.place(*COIN))
    hand.page.mouse.move(*hand.place(COIN[0] + 9, COIN[1]), steps=3)
    hand.page.keyboard.press("z")
    hand.stage.locator(".samnb-pointer-listener").focus()
    hand.page.keyboard.press("2")
    wait_until("the last key is heard", lambda: heard(hand)[-1:] == ["2"])
    assert heard(hand) == ["2"]


def test_tab_goes_from_the_picture_to_tools_panel_and_filmstrip_and_shifts_nothing(hand):
    order = hand.page.evaluate(
        """() => {
            const parts = ["stage", "tools", "chips", "side", "film"];
            return [...document.querySelector(".samnb-annotator").children]
                .map(each => parts.find(part => each.classList.contains("samnb-" + part))).filter(Boolean);
        }"""
    )
    assert order == ["stage", "tools", "chips", "side", "film"]
    assert not hand.page.locator(".samnb-annotator [tabindex='1']").count()
    last = hand.page.locator(".samnb-strip button >> visible=true").last
    last.focus()
    assert hand.page.locator(".samnb-strip").evaluate("strip => strip.scrollLeft") == 0
    # Reached with Tab, a button keeps its keys.
    forget(hand)
    hand.page.locator(".samnb-tools [title^='Fit']").focus()
    hand.page.keyboard.press("Enter")
    hand.page.keyboard.press("z")
    wait_until("the key for the picture is heard", lambda: heard(hand) == ["z"])
