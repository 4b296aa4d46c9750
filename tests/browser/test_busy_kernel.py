"""Clicks while the kernel is at work: a prewarm, a cell that blocks; and the sign that says so goes in every case."""

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import COIN, FAKE_MODEL, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

# Encodes nothing until the test lets it.
STUCK = """
import threading
gate, stuck = threading.Event(), threading.Event()
quick_encode = session.model.encode
def encode(pixels):
    stuck.set()
    gate.wait()
    return quick_encode(pixels)
session.model.encode = encode
"""


def open_annotator(notebook, lab, name, *more):
    write_photos(lab.root / "photos", crops=12)
    cells = [f'import samnb\nsession = samnb.Session("{name}")\nsession.add("photos", dataset="monday")', FAKE_MODEL]
    notebook.open(f"{name}.ipynb", [*cells, *more, 'annotator = session.annotate("coins.png")\nannotator'])
    notebook.wait_until_run()
    return Hand(notebook)


def test_a_click_while_a_prewarm_runs(notebook, lab):
    hand = open_annotator(notebook, lab, "prewarm", 'session.embedding("coins.png"); None', STUCK)
    notebook.ask("globals().__setitem__('job', session.prewarm(show=False))")
    hand.until_kernel("the prewarm is in the middle of an image", "job.state == 'running' and stuck.is_set()")
    hand.click(*COIN)
    hand.until(r"score 0\.94 · \d+ ms · cache hit")  # it waits for no encode
    hand.press("Enter")
    hand.until_kept(1, "object")
    assert notebook.ask("(job.state, gate.is_set())") == "('running', False)"
    notebook.ask("(job.cancel(), gate.set())")


def test_a_click_while_a_cell_blocks_is_not_lost(notebook, lab):
    hand = open_annotator(notebook, lab, "blocking")
    place, other = hand.place(*COIN), hand.place(*OTHER_COIN)
    notebook.page.evaluate(
        """() => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const code = "import os, time\\nwhile not os.path.exists('go-on'): time.sleep(0.1)";
            window.blocking = "yes";
            kernel.requestExecute({code}).done.then(() => { window.blocking = "no"; });
        }"""
    )
    hand.page.mouse.click(*place)
    hand.page.mouse.click(*other)
    # Whether the click comes through is for the kernel's version to say.
    busy = notebook.page.locator(".samnb-busy")
    wait_until("an answer, or the sign", lambda: busy.count() or "score 0." in hand.text())
    assert notebook.page.evaluate("window.blocking") == "yes"
    (lab.root / "go-on").touch()
    wait_until("the cell ended", lambda: notebook.page.evaluate("window.blocking") == "no")
    hand.until_mask(points=2)
    hand.until(r"score 0\.\d\d")
    assert hand.prompt()["points"][0] == pytest.approx(COIN, abs=0.6)


# anywidget waits two seconds for a script; here none comes in time, as in a busy browser.
IMPATIENT = """
const real = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (ms) => real(ms === 2000 ? 1 : ms);
"""
SIGN = "() => getComputedStyle(document.querySelector('.samnb-pointer-listener'), '::after').content"


def test_scripts_that_come_late_hear_the_kernel(notebook, lab):
    notebook.page.add_init_script(IMPATIENT)
    hand = open_annotator(notebook, lab, "late")
    hand.click(*COIN)
    hand.until(r"score 0\.94")
    wait_until("no sign of a busy kernel", lambda: "busy" not in hand.page.evaluate(SIGN))
    hand.press("b")
    notebook.page.locator(".samnb-pointer-listener[data-tool=brush]").wait_for()
    hand.page.wait_for_timeout(1500)  # until the sign would come, and without an answer would stay
    wait_until("no sign of a busy kernel", lambda: "busy" not in hand.page.evaluate(SIGN))


def test_the_sign_goes_after_a_failure_a_lost_answer_and_with_the_kernel(notebook, lab):
    hand = open_annotator(notebook, lab, "sign")
    wait_until("no sign", lambda: hand.page.evaluate(SIGN) == "none")
    notebook.ask("globals().__setitem__('listener', annotator._layout.stage.listener)")
    notebook.ask("globals().__setitem__('real', (listener._on_events, listener.send))")
    notebook.ask("listener.__dict__.update(send=lambda *_: None)")
    hand.press("f")
    wait_until("the sign", lambda: "busy" in hand.page.evaluate(SIGN))
    notebook.ask("listener.__dict__.update(_on_events=lambda events: 1 / 0, send=real[1])")
    wait_until("it asked again", lambda: hand.page.evaluate(SIGN) == "none")
    hand.press("f")  # fails, and is answered
    hand.page.wait_for_timeout(1500)
    wait_until("no sign", lambda: hand.page.evaluate(SIGN) == "none")
    notebook.ask("listener.__dict__.update(_on_events=real[0], send=lambda *_: None)")
    hand.press("f")
    wait_until("the sign", lambda: "busy" in hand.page.evaluate(SIGN))
    hand.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    hand.page.locator(".samnb.samnb-kernel-gone").wait_for()
    shown = SIGN.replace("content", "display")
    wait_until("no sign without a kernel", lambda: hand.page.evaluate(shown) == "none")
