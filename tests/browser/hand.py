"""A hand in front of an Annotator: real mouse and keys at places of the image, and eyes for what it shows."""

from __future__ import annotations

import ast
import re

from tests.support.waiting import wait_until

from .lab import NotebookPage

# Coloured pixels of a grey picture: prompts and previews are blue, the first category orange. The draft's mask has its
# category's colour; what lies inside its moving dashes is counted as blue.
_COLOURED = """() => {
  const canvas = document.querySelector(".samnb-stage canvas");
  if (!canvas || !canvas.width) return null;
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const dashes = document.querySelector(".samnb-stage .samnb-dashes");
  let inside = null;
  if (dashes?.getAttribute("d")) {
    const box = dashes.ownerSVGElement.viewBox.baseVal, cover = new OffscreenCanvas(canvas.width, canvas.height);
    const paint = cover.getContext("2d");
    paint.scale(canvas.width / box.width, canvas.height / box.height);
    const path = new Path2D(dashes.getAttribute("d"));
    paint.lineWidth = 4;
    paint.fill(path, "evenodd");
    paint.stroke(path);
    inside = paint.getImageData(0, 0, canvas.width, canvas.height).data;
  }
  const seen = {blue: 0, orange: 0, grey: 0, empty: 0};
  for (let i = 0; i < data.length; i += 4) {
    const [r, b] = [data[i], data[i + 2]], warm = inside && inside[i + 3] ? "blue" : "orange";
    seen[data[i + 3] === 0 ? "empty" : b > r + 25 ? "blue" : r > b + 25 ? warm : "grey"]++;
  }
  return seen;
}"""


class Hand:
    """Works the only Annotator of a notebook, which the kernel knows as `annotator`."""

    def __init__(self, notebook: NotebookPage):
        self.notebook, self.page = notebook, notebook.page
        self.stage = self.page.locator(".samnb-stage")
        self.stage.locator("canvas").wait_for()
        self.stage.scroll_into_view_if_needed()
        wait_until("the picture is drawn", lambda: self.colours() and self.colours()["grey"] > 1000)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the page an image pixel is in the present view, on the stage as the page has laid it out."""
        view = "annotator._layout.stage.view"
        scale, (left, top), (width, height) = ast.literal_eval(
            self.notebook.ask(f"({view}.scale, {view}.offset, {view}.stage_size)")
        )
        box = self.stage.bounding_box()
        across, down = box["width"] / width, box["height"] / height
        return box["x"] + (x * scale + left) * across, box["y"] + (y * scale + top) * down

    def click(self, x: float, y: float, *, button: str = "left", shift: bool = False) -> None:
        """A click on an image pixel."""
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(*self.place(x, y), button=button)
        if shift:
            self.page.keyboard.up("Shift")

    def drag(self, x0: float, y0: float, x1: float, y1: float, *, release: bool = True) -> None:
        """A drag from one image pixel to another, in small steps."""
        start, end = self.place(x0, y0), self.place(x1, y1)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=12)
        if release:
            self.page.mouse.up()

    def press(self, key: str) -> None:
        """A key while the picture has the focus."""
        self.stage.locator(".samnb-pointer-listener").focus()
        self.page.keyboard.press(key)

    def colours(self) -> dict[str, int] | None:
        """How many canvas pixels are blue, orange, grey, empty."""
        return self.page.evaluate(_COLOURED)

    def text(self) -> str:
        """All the words in the annotator."""
        return self.page.locator(".samnb:has(.samnb-stage)").inner_text()

    def until(self, pattern: str, *, seconds: float = 60) -> re.Match[str]:
        """Wait until the annotator says something."""
        return wait_until(
            f"the annotator says {pattern!r}", lambda: re.search(pattern, self.text(), re.IGNORECASE), seconds=seconds
        )

    def until_colours(self, what: str, holds, *, seconds: float = 30) -> dict[str, int]:
        """Wait until the canvas looks like that."""
        return wait_until(what, lambda: (seen := self.colours()) and holds(seen) and seen, seconds=seconds)

    def settled_colours(self) -> dict[str, int]:
        """The colours once two looks in a row agree."""
        seen: list = [None]

        def same() -> bool:
            seen.append(self.colours())
            return seen[-1] == seen[-2]

        wait_until("the picture stands still", same, every=0.2)
        return seen[-1]

    def prompt(self) -> dict:
        """The prompt of the draft, as the kernel has it."""
        return ast.literal_eval(self.notebook.ask("annotator.prompt.as_dict()"))
