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


# A frame after everything that the page has got from the kernel so far.
_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


class Hand:
    """Works the only Annotator of a notebook, which the kernel knows as `annotator`; of several views the first.

    Parameters
    ----------
    notebook : NotebookPage
    kernel_is_free : bool
        False while a cell runs: then nothing can be asked of the kernel.
    """

    def __init__(self, notebook: NotebookPage, *, kernel_is_free: bool = True):
        self.notebook, self.page, self.kernel_is_free = notebook, notebook.page, kernel_is_free
        self.stage = self.page.locator(".samnb-stage").first
        self.stage.locator("canvas").wait_for()
        self.stage.locator(".samnb-pointer-listener").wait_for()
        self.stage.scroll_into_view_if_needed()
        wait_until("the picture is drawn", lambda: (seen := self.colours()) and _drawn(seen) > 1000)
        if kernel_is_free:
            self.until_told_size()

    def until_told_size(self) -> None:
        """Wait until kernel and canvas have the size that the page gave the stage."""
        wait_until("the kernel knows the stage's size", self._sizes_agree)

    def _sizes_agree(self) -> bool:
        box, view = self.stage.bounding_box(), "annotator._layout.stage.view"
        (width, height), canvas = ast.literal_eval(self.notebook.ask(f"({view}.stage_size, {view}.canvas_size)"))
        drawn = self.stage.locator("canvas").evaluate("canvas => [canvas.width, canvas.height]")
        near = abs(box["width"] - width) < 1 and abs(box["height"] - height) < 1
        return near and drawn == list(canvas) and box == self.stage.bounding_box()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the page an image pixel is in the present view, on the stage as the page has laid it out."""
        view = "annotator._layout.stage.view"

        def look():
            box = self.stage.bounding_box()
            seen = self.notebook.ask(f"({view}.scale, {view}.offset, {view}.stage_size)")
            return box == self.stage.bounding_box() and (box, *ast.literal_eval(seen))

        box, scale, (left, top), (width, height) = wait_until("the stage stands still", look)
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
        return self.page.locator(".samnb:has(.samnb-stage)").first.inner_text()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until the annotator says something that it did not say before.

        Words that stand there from an earlier step are found at once: `until_mask` and `until_kept` wait for the step.
        """
        try:
            return wait_until(f"the annotator says {pattern!r}", lambda: re.search(pattern, self.text(), re.IGNORECASE))
        except AssertionError as error:
            raise AssertionError(f"{error} It says {self.text()!r}") from None

    def until_mask(self, *, points: int | None = None, box: bool | None = None) -> None:
        """Wait until the kernel has the mask of the draft, with so many points, and with a box or without.

        Keys and clicks go another way to the kernel than a question: only a state that was not there before tells that
        they have arrived.
        """
        wanted = ["annotator._editor.is_ready"]
        wanted += [] if points is None else [f"len(annotator.prompt.points) == {points}"]
        wanted += [] if box is None else [f"(annotator.prompt.box is not None) == {box}"]
        self.until_kernel("the mask is there", " and ".join(wanted))

    def until_kept(self, count: int, *categories: str) -> None:
        """Wait until so many annotations are on the image, the last of these categories, and no object is begun."""
        kept = f"[a.category for a in annotator.annotations][{count - len(categories)}:] == {list(categories)}"
        self.until_kernel(
            f"{count} are kept", f"len(annotator.annotations) == {count} and not annotator.editing and {kept}"
        )

    def until_kernel(self, what: str, condition: str) -> None:
        """Wait until a condition holds in the kernel."""
        state = "(annotator.status, annotator.error, annotator.prompt)"
        try:
            wait_until(f"{what}: {condition}", lambda: self.notebook.ask(f"bool({condition})") == "True")
        except AssertionError as error:
            raise AssertionError(f"{error} Status, error, prompt: {self.notebook.ask(state)}") from None

    def until_colours(self, what: str, holds) -> dict[str, int]:
        """Wait until the canvas looks like that."""
        try:
            return wait_until(what, lambda: (seen := self.colours()) and holds(seen) and seen)
        except AssertionError as error:
            raise AssertionError(f"{error} It has {self.colours()}") from None

    def settled_colours(self) -> dict[str, int]:
        """The colours once two looks in a row agree, with all drawn that the kernel has said so far."""
        seen: list = [None]

        def same() -> bool:
            if self.kernel_is_free:
                self.notebook.ask("None")
            self.page.evaluate(_FRAMES)
            seen.append(self.colours())
            return seen[-1] == seen[-2]

        wait_until("the picture stands still", same, every=0.2)
        return seen[-1]

    def prompt(self) -> dict:
        """The prompt of the draft, as the kernel has it."""
        return ast.literal_eval(self.notebook.ask("annotator.prompt.as_dict()"))


def _drawn(seen: dict[str, int]) -> int:
    return sum(seen.values()) - seen["empty"]
