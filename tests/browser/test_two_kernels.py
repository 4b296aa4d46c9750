"""What another kernel deleted goes from an annotator when the pointer comes to it."""

import pytest

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    'import samnb\nsession = samnb.Session("kernels")\nsession.add("photos", dataset="monday")',
    FAKE_MODEL,
    'annotator = session.annotate("coins.png")\nannotator',
    # Another session of the folder hears as little of this one as one in another kernel does.
    'other = samnb.Session("kernels")',
]


def test_what_another_kernel_deleted_goes_when_the_pointer_comes(notebook, lab):
    write_photos(lab.root / "photos")
    notebook.open("kernels.ipynb", CELLS)
    notebook.wait_until_run()
    hand = Hand(notebook)
    hand.click(*COIN)
    hand.until_mask(points=1)
    hand.press("Enter")
    hand.until_kept(1)
    hand.page.mouse.move(2, 2)
    assert notebook.ask("[other.remove(one) for one in other.annotations()]") == "[True]"
    assert notebook.ask("len(annotator.annotations)") == "1"
    hand.stage.hover()
    hand.until_kernel("it is gone", "not annotator.annotations and not annotator._layout.shapes")
    assert notebook.ask("annotator.error") == "''"
