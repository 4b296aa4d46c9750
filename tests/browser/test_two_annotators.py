"""Two annotators of one session: a prompt, an annotation and an undo in one of them show in the other."""

import ast

import pytest

from tests.support.waiting import wait_until

from .pictures import COIN, FAKE_MODEL, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    'import samnb\nsession = samnb.Session("two")\nsession.add("photos", dataset="monday")',
    FAKE_MODEL,
    'first = session.annotate("coins.png")\nfirst',
    'second = session.annotate("coins.png")\nsecond',
]

_ORANGE = """index => {
  const canvas = document.querySelectorAll(".samnb-stage canvas")[index];
  if (!canvas || !canvas.width) return -1;
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let seen = 0;
  for (let i = 0; i < data.length; i += 4) seen += data[i + 3] > 0 && data[i] > data[i + 2] + 25;
  return seen;
}"""


def test_two_annotators_agree(notebook, lab):
    write_photos(lab.root / "photos")
    notebook.open("two.ipynb", CELLS)
    notebook.wait_until_run()
    stages = notebook.page.locator(".samnb-stage")
    wait_until("two stages", lambda: stages.count() == 2)

    def says(index, words):
        part = notebook.page.locator(".samnb:has(.samnb-stage)").nth(index)
        wait_until(f"annotator {index} says {words}", lambda: words in part.inner_text())

    def until_told_size(stage, name):
        def agrees():
            box, size = stage.bounding_box(), notebook.ask(f"{name}._layout.stage.view.stage_size")
            return ast.literal_eval(size) == pytest.approx((box["width"], box["height"]), abs=1)

        stage.locator(".samnb-pointer-listener").wait_for()
        wait_until(f"the kernel knows the size of {name}'s stage", agrees)

    def click(index, name, x, y):
        stage = stages.nth(index)
        stage.scroll_into_view_if_needed()
        until_told_size(stage, name)
        left, top = ast.literal_eval(notebook.ask(f"{name}._layout.stage.view.to_stage({x}, {y})"))
        stage.click(position={"x": left, "y": top})

    click(0, "first", *COIN)
    says(0, "score 0.94")
    says(1, "score 0.94")
    wait_until("one prompt", lambda: notebook.ask("second.prompt == first.prompt") == "True")
    click(1, "second", 130, 204)
    wait_until("the second point in the first", lambda: notebook.ask("len(first.prompt.points)") == "2")
    notebook.page.keyboard.press("Enter")
    says(1, "kept as object")
    says(0, "1 annotated")
    same = "[a.id for a in first.annotations] == [a.id for a in second.annotations]"
    wait_until("the same annotations", lambda: notebook.ask(same) == "True")
    wait_until("drawn in both", lambda: min(notebook.page.evaluate(_ORANGE, i) for i in (0, 1)) > 100)
    notebook.ask("first.undo()")
    says(1, "0 annotated")
    # What was kept is in hand again, in its category's colour.
    assert notebook.ask("second.prompt == first.prompt and len(first.prompt.points)") == "2"
    says(0, "① 0.94")
    says(1, "① 0.94")
    notebook.ask("first.clear()")
    wait_until("gone in both", lambda: max(notebook.page.evaluate(_ORANGE, i) for i in (0, 1)) < 50)
    assert notebook.ask("second.prompt == first.prompt and len(first.prompt.points)") == "0"
