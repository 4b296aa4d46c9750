"""The parts round the picture, with mouse and keys: filmstrip, categories, candidates, help, annotations, the file."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

OPEN = """
import samnb
session = samnb.Session({folder!r})
session.add("photos", dataset="monday", show=False)
"""
SHOW = "annotator = session.annotate('coins.png')\nannotator"


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos", crops=40)


def open_annotator(notebook, name):
    notebook.open(f"{name}.ipynb", [OPEN.format(folder=f"{name}-session") + FAKE_MODEL, SHOW])
    notebook.wait_until_run()
    return Hand(notebook)


def accept(hand, place, count):
    hand.click(*place)
    hand.until_mask(points=1)
    hand.press("Enter")
    hand.until_kept(count)
    hand.until(rf"annotations · {count}")


def test_the_filmstrip_scrolls_goes_narrows_and_jumps(notebook):
    hand = open_annotator(notebook, "strip")
    page, cells = hand.page, hand.page.locator(".samnb-strip .samnb-button:visible")
    loaded = """() => [...document.querySelectorAll(".samnb-strip img")].filter(img => img.naturalWidth > 90).length"""
    wait_until("thumbnails", lambda: page.evaluate(loaded) >= 10)
    assert cells.first.inner_text().endswith("coins.png")
    third = cells.nth(2).inner_text().split()[-1]
    cells.nth(2).click()
    hand.until(f"monday · {re.escape(third)}")
    hand.until(r"3 / 41")
    wait_until("its cell is marked", lambda: "samnb-chosen" in cells.nth(2).get_attribute("class"))

    cells.nth(1).hover()

    def scrolled():
        page.mouse.wheel(0, 300)  # again, as a hand does: the strip's script may come after its cells
        return "coins.png" not in cells.first.inner_text()

    wait_until("other cells", scrolled, every=0.5)
    assert hand.until(r"3 / 41")  # the picture stays

    name = page.locator(".samnb-reel-tools input[type=text]")
    name.fill("wer-33")
    name.press("Enter")
    hand.until(r"monday · drawer-33\.png")
    wait_until("its cell is in sight", lambda: page.locator(".samnb-strip .samnb-chosen:visible").inner_text())

    accept(hand, (100, 100), 1)
    page.locator(".samnb-reel-tools select").select_option("annotated images")
    wait_until("one image", lambda: [text.split()[-1] for text in cells.all_inner_texts()] == ["drawer-33.png"])
    wait_until("it is marked as annotated", lambda: "✓" in cells.first.inner_text())
    page.locator(".samnb-reel-tools select").select_option("open images")
    wait_until("the open images", lambda: cells.count() > 1)
    page.get_by_role("button", name="Next open").click()
    hand.until(r"monday · drawer-34\.png")


def test_categories_are_added_renamed_and_recoloured_in_place(notebook):
    hand = open_annotator(notebook, "categories")
    page, chips = hand.page, hand.page.locator(".samnb-chip:visible")
    field = page.get_by_placeholder("new category")
    for name in ("coin", "rim"):
        field.fill(name)
        field.press("Enter")
        hand.until(rf"\d {name}")
    hand.until_kernel("the last one is chosen", "annotator.category == 'rim'")
    hand.press("1")
    wait_until("the key chose", lambda: hand.notebook.ask("annotator.category") == "'coin'")
    accept(hand, COIN, 1)
    hand.until(r"1 coin · 1")

    page.get_by_title("Rename or recolour").click()
    page.get_by_title("New name of this category").fill("token")
    page.get_by_title("New name of this category").press("Enter")
    hand.until(r"1 token · 1")
    hand.until_kept(1, "token")
    page.locator(".samnb input[type=color]").evaluate(
        "field => { field.value = '#0000ff'; field.dispatchEvent(new Event('change', {bubbles: true})); }"
    )
    dot = "chip => getComputedStyle(chip, '::before').backgroundColor"
    wait_until("a blue dot", lambda: chips.first.evaluate(dot) == "rgb(0, 0, 255)")
    hand.until_colours("a blue mask", lambda now: now["blue"] > 300)


def test_candidates_the_list_and_the_selected_annotation(notebook):
    hand = open_annotator(notebook, "list")
    page = hand.page
    hand.click(*COIN)
    pictures = page.locator(".samnb-candidates img")
    drawn = "() => [...document.querySelectorAll('.samnb-candidates img')].every(img => img.naturalWidth > 90)"
    wait_until("three pictures", lambda: pictures.count() == 3 and page.evaluate(drawn))
    page.locator(".samnb-candidates button").nth(2).click()
    hand.until(r"score 0\.40")
    page.get_by_role("button", name="Accept ⏎").click()
    hand.until_kept(1)
    accept(hand, OTHER_COIN, 2)

    rows = page.locator(".samnb-list .samnb-chip")
    rows.nth(1).click()
    wait_until("it is selected", lambda: "samnb-chosen" in rows.nth(1).get_attribute("class"))
    page.get_by_title("Delete the selected annotation").click()
    hand.until_kept(1)
    hand.until(r"annotations · 1")
    page.get_by_title("Undo (Ctrl Z)").click()
    hand.until_kept(2)
    hand.until(r"annotations · 2")


def test_help_opens_by_key_and_closes_by_escape_and_its_button(notebook):
    hand = open_annotator(notebook, "help")
    hand.press("?")
    overlay = hand.page.locator(".samnb-help")
    overlay.wait_for(state="visible")
    words = overlay.inner_text().casefold()
    wanted = ("ctrl", "delete the selected annotation", "next open image: without a state and annotations")
    assert all(word in words for word in wanted)
    assert overlay.evaluate("box => box.scrollWidth <= box.clientWidth")
    hand.page.locator(".samnb-help button:focus").wait_for()
    hand.page.keyboard.press("Enter")
    overlay.wait_for(state="hidden")
    hand.press("?")
    overlay.wait_for(state="visible")
    hand.page.keyboard.press("Escape")
    overlay.wait_for(state="hidden")
    hand.press("?")
    head = overlay.locator(".samnb-row")
    assert head.evaluate("row => row.clientHeight >= row.scrollHeight")  # what is below it leaves it its height
    overlay.get_by_role("button", name="Close").click()
    overlay.wait_for(state="hidden")


def test_every_control_is_named_and_reached_by_tab(notebook):
    hand = open_annotator(notebook, "tab")
    page = hand.page
    wait_until("the filmstrip", lambda: page.locator(".samnb-strip .samnb-button:visible").count() >= 5)
    page.locator(".samnb button[title^='Previous image']").focus()
    seen, shown = [], 0
    for _ in range(60):
        about = page.evaluate(
            """() => {
                const it = document.activeElement, titled = it.closest("[title]");
                if (!it.closest(".samnb")) return null;
                const outline = getComputedStyle(it).outlineStyle !== "none";
                const slider = it.matches("[role=slider]") && "a slider";  // ipywidgets gives its handle no name
                return [(titled && titled.title) || it.getAttribute("aria-label") || slider || it.innerText, outline];
            }"""
        )
        if about is None:
            break
        seen.append(about[0])
        shown += about[1]
        page.keyboard.press("Tab")
    print(*seen, sep="\n")
    assert len(seen) > 30, seen
    assert all(seen), seen
    wanted = (
        "Fit the picture",
        "Brush",
        "Accept as",
        "Name of a new category",
        "Start this object",
        "Part of a file name",
    )
    assert [text for text in wanted if not any(name.startswith(text) for name in seen)] == []
    assert shown >= len(seen) - 4, "the focus is hardly to be seen"


def test_the_saved_notebook_shows_the_last_state_and_the_open_one_shows_it_once(notebook, lab):
    hand = open_annotator(notebook, "saved")
    field = hand.page.get_by_placeholder("new category")
    field.fill("coin")
    field.press("Enter")
    accept(hand, COIN, 1)

    def still():
        outputs = notebook.cells()[-1]["outputs"]
        assert len(outputs) == 2
        return Image.open(io.BytesIO(base64.b64decode(outputs[1]["data"]["image/png"]))).convert("RGB")

    def orange():
        picture = still()
        return (np.asarray(picture, int)[:, :, 0] > np.asarray(picture, int)[:, :, 2] + 25).sum() > 300

    wait_until("the annotation is in the picture", orange)
    assert not hand.page.locator(".jp-OutputArea img.jp-needs-light-background").is_visible()
    notebook.save()
    file = lab.root / "saved.ipynb"
    assert "image/png" in file.read_text()
    body, _ = HTMLExporter().from_notebook_node(nbformat.read(file, as_version=4))
    assert body.count("<img") == 1
