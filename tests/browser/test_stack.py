"""A z-stack in the browser: annotate one slice, copy it through, correct two, export, and read the labels back."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from skimage import data

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import FAKE_MODEL

pytestmark = pytest.mark.browser

SLICES = 30
OPEN = """
import samnb
session = samnb.Session("stack-session")
session.add("plate.tif", stack="z", show=False)
"""
SHOW = "annotator = session.annotate('plate.tif[z=0]')\nannotator"
AT = (100, 90)


@pytest.fixture(scope="module", autouse=True)
def stack(lab):
    """Thirty shifted views of a cell, of 12 bits, with pixels of 0.5 µm."""
    cell = data.cell()[200:440, 150:430].astype(np.uint16) * 16
    values = np.stack([np.roll(cell, z, axis=1) for z in range(SLICES)])
    about = {"axes": "ZYX", "unit": "um"}
    tifffile.imwrite(lab.root / "plate.tif", values, imagej=True, resolution=(2, 2), metadata=about)


def slice_of(notebook) -> str:
    return notebook.ask("annotator.image.filename")


def test_annotate_one_slice_copy_it_through_correct_two_and_export(notebook, lab):
    notebook.open("stack.ipynb", [OPEN, FAKE_MODEL, SHOW])
    notebook.wait_until_run()
    hand = Hand(notebook)
    hand.until(r"\d µm")
    handle = notebook.page.locator(".samnb-slice .noUi-handle")
    wait_until("one slider", lambda: handle.count() == 1)

    hand.click(*AT)
    hand.until_mask(points=1)
    hand.press("Enter")
    hand.until_kept(1, "object")
    notebook.page.get_by_role("button", name="Copy through").click()
    hand.until_kernel("it is on all slices", f"len(session.annotations()) == {SLICES}")
    hand.until(rf"{SLICES - 1} copied to {SLICES - 1} slices")

    for z in (1, 2):
        handle.focus()
        notebook.page.keyboard.press("ArrowRight")
        wait_until("the next slice", lambda z=z: slice_of(notebook) == f"'plate.tif[z={z}]'")
        # Edited again, with one more point: the second candidate is twice as wide.
        notebook.page.mouse.dblclick(*hand.place(*AT))
        hand.until_kernel("it is edited", "annotator.edits(annotator.annotations[0].id)")
        hand.until_mask(points=1)
        hand.click(AT[0] + 40, AT[1])
        hand.until_mask(points=2)
        hand.press("Alt+2")
        wait_until("the wider one", lambda: notebook.ask("bool(annotator.mask.sum() > 2000)") == "True")
        hand.press("Enter")
        wait_until("it is larger", lambda: notebook.ask("[a.area > 2000 for a in annotator.annotations]") == "[True]")

    notebook.page.get_by_role("button", name="Channels and limits").click()
    limits = notebook.page.locator(".samnb-channel .noUi-handle")
    limits.first.wait_for()
    assert notebook.ask("session.export('tiff', 'labels').annotations") == str(SLICES)
    labels = tifffile.imread(lab.root / "labels" / "plate.tif")
    rows, columns = np.mgrid[: labels.shape[1], : labels.shape[2]]
    distance = np.hypot(columns - AT[0], rows - AT[1])
    for z in range(SLICES):
        radius = 30 if z in (1, 2) else 15
        found = labels[z] > 0
        assert np.count_nonzero(found != (distance < radius)) < 0.2 * found.sum(), z
