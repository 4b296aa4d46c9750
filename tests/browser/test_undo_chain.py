"""Twenty steps of every kind, all taken back and all done again, with keys; the page shows each."""

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .pictures import FAKE_MODEL, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    'import samnb\nsession = samnb.Session("undo")\nsession.add("photos", dataset="monday")',
    FAKE_MODEL,
    """
import hashlib
annotator = session.annotate("coins.png")
def state():
    with annotator._lock:  # not in the middle of a step
        draft, kept = annotator._editor.draft, annotator.session.annotations(image=annotator.image)
        rows = [(a.id, a.category, a.layer, hashlib.md5(a.mask.tobytes()).hexdigest()) for a in kept]
        return hashlib.md5(repr((rows, draft)).encode()).hexdigest(), len(annotator._editor.history._done)
annotator
""",
]


def test_twenty_steps_back_and_forth(notebook, lab):
    write_photos(lab.root / "photos")
    notebook.open("undo.ipynb", CELLS)
    notebook.wait_until_run()
    hand = Hand(notebook)

    def state():
        return notebook.ask("state()")

    def count():
        return int(state().strip("()").split(",")[1])

    states = [state()]

    def act(what, do, done="True"):
        before = count()
        do()
        hand.until_kernel(what, f"state()[1] == {before + 1} and {done}")
        hand.until_kernel(f"{what}: its mask", "not annotator.editing or annotator._editor.is_ready")
        states.append(state())

    for number in range(4):
        act("a point", lambda number=number: hand.click(60 + 40 * number, 60))
    act("a background point", lambda: hand.click(20, 20, shift=True))
    act("a box", lambda: hand.drag(40, 40, 120, 120))
    act("a moved point", lambda: hand.drag(60, 60, 75, 80))
    act("a cleared prompt", lambda: hand.press("Escape"))
    act("another point", lambda: hand.click(110, 204))
    act("accepted", lambda: hand.press("Enter"))
    act("a point on the next object", lambda: hand.click(221, 200))
    act("the second accepted", lambda: hand.press("Enter"))
    hand.press("b")
    for number in range(3):
        act("a stroke", lambda number=number: hand.drag(60, 100 + 30 * number, 160, 100 + 30 * number))
    hand.press("e")
    act("an eraser's stroke", lambda: hand.drag(110, 80, 110, 200))
    hand.press("p")
    act("the drawn one accepted", lambda: hand.press("Enter"))
    # A double click is two clicks first: their points are steps, which it takes back.
    edited = "annotator._editor.draft.replaces is not None"
    act("edited again", lambda: hand.page.mouse.dblclick(*hand.place(221, 200)), edited)
    act("a point on it", lambda: hand.click(230, 210))
    act("accepted in its place", lambda: hand.press("Enter"))
    assert len(states) == 21

    for step in range(20, 0, -1):
        hand.press("Control+z")
        wait_until(f"step {step} taken back", lambda step=step: count() == step - 1)
        assert state() == states[step - 1], f"step {step} taken back"
    hand.until_colours("a clean picture", lambda now: now["orange"] + now["blue"] < 50)
    hand.press("Control+z")
    hand.until("nothing to undo")
    for step in range(1, 21):
        hand.press("Control+Shift+Z")
        wait_until(f"step {step} done again", lambda step=step: count() == step)
        assert state() == states[step], f"step {step} done again"
    hand.until_colours("three annotations", lambda now: now["orange"] > 1000)
