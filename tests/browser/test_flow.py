"""From object to object in a real page: accept on the next, the same again, unsure finds, states, a held key, a map."""

from base64 import b64encode

import numpy as np
import pytest

from samnb.images import encode_png
from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    'import samnb\nsession = samnb.Session("flow")\nsession.add("photos", dataset="monday", show=False)',
    FAKE_MODEL,
    "session.add_attribute('occluded')\nannotator = session.annotate(dataset='monday')\nannotator",
]


def test_from_object_to_object(notebook, lab):
    write_photos(lab.root / "photos", crops=2)
    notebook.open("flow.ipynb", CELLS)
    notebook.wait_until_run()
    hand = Hand(notebook)

    # A new box accepts the mask before it; the same again takes the pointer's place.
    hand.press("o")
    hand.drag(COIN[0] - 30, COIN[1] - 30, COIN[0] + 30, COIN[1] + 30)
    hand.until_mask(box=True)
    hand.page.get_by_role("button", name="occluded").click()
    hand.drag(OTHER_COIN[0] - 30, OTHER_COIN[1] - 30, OTHER_COIN[0] + 30, OTHER_COIN[1] + 30)
    hand.until("annotations · 1")
    hand.page.mouse.move(*hand.place(60, 60))
    hand.page.keyboard.press("r")
    hand.until("annotations · 2")
    hand.until_mask(box=True)

    # Held, a key shows the picture alone.
    masks = hand.settled_colours()
    hand.page.keyboard.down("x")
    hand.until_colours("the picture alone", lambda now: now["orange"] + now["blue"] < 60)
    hand.page.keyboard.up("x")
    hand.until_colours(
        "the masks again", lambda now: now["orange"] + now["blue"] > 0.9 * (masks["orange"] + masks["blue"])
    )

    # Done accepts the last one, and shows the next image; there the state is said.
    hand.press("m")
    hand.until("2 / 3 · 1 annotated · 1 done")
    hand.press("ArrowLeft")
    hand.until("1 / 3 ")
    assert notebook.ask("[a.attributes for a in session.annotations()]") == "[{'occluded': True}, {}, {}]"

    # An unsure find is accepted where it is.
    notebook.ask(
        "session.catalog.update_annotation(session.annotations()[0].id, review='unsure') and session.changes.emit()"
    )
    hand.until(r"\? object")
    hand.press("n")
    hand.until("unsure: object")
    hand.press("Enter")
    hand.until("0 unsure left here")

    # Zoomed, a map shows where, and leads elsewhere.
    map_of_it = hand.page.locator(".samnb-map")
    assert not map_of_it.is_visible()
    for _ in range(3):
        hand.press("+")
    map_of_it.wait_for(state="visible")
    page_has_it = "img => img.complete && img.naturalWidth > 0"  # before, the map has another size
    wait_until("the map's picture", lambda: map_of_it.locator("img").evaluate(page_has_it))
    box = map_of_it.bounding_box()
    hand.page.mouse.click(box["x"] + 2, box["y"] + 2)
    wanted = "annotator._layout.stage.view.visible[:2]"
    wait_until("the corner", lambda: notebook.ask(f"[round(v) for v in {wanted}]") == "[0, 0]")

    # Files that are dropped on it are added, and appear in the filmstrip.
    content = b64encode(encode_png(np.full((48, 64, 3), 90, np.uint8))).decode()
    dropped = hand.page.evaluate_handle(
        """(content) => {
            const files = new DataTransfer(), bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            files.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
            return files;
        }""",
        content,
    )
    for event in ("dragover", "drop"):
        hand.stage.dispatch_event(event, {"dataTransfer": dropped})
    hand.until(r"/ 4 ")
    assert notebook.ask("session.images('monday')[-1].filename") == "'dropped.png'"
