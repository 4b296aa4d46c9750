"""What another kernel deleted goes from an annotator when the pointer comes to it."""

import pytest

from tests.support.waiting import wait_until

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
    notebook.wait_until_run(seconds=120)
    page = notebook.page
    stage = page.locator(".samnb-stage")
    stage.scroll_into_view_if_needed()
    left, top = eval(notebook.ask(f"annotator._layout.stage.view.to_stage({COIN[0]}, {COIN[1]})"))
    stage.click(position={"x": left, "y": top})
    wait_until("a mask", lambda: notebook.ask("annotator._editor.is_ready") == "True")
    page.keyboard.press("Enter")
    wait_until("it is kept", lambda: notebook.ask("len(session.annotations())") == "1")
    page.mouse.move(2, 2)
    assert notebook.ask("[other.remove(one) for one in other.annotations()]") == "[True]"
    assert notebook.ask("len(annotator.annotations)") == "1"
    stage.hover()
    wait_until("it is gone", lambda: notebook.ask("len(annotator.annotations)") == "0")
    assert notebook.ask("(annotator.error, annotator._layout.shapes)") == "('', ())"
