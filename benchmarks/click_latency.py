"""How long from a click to its mask on the screen, and how far behind the mouse the hover's mask is.

    python -m benchmarks.click_latency [--clicks 40] [--models tiny vit_b] [--json F]

JupyterLab in Chromium, a picture of 1024×768 whose embedding is cached. The page and the kernel stamp each part with
the same clock. vit_b has random weights, and its embedding is random too: the decoder's work is the same. Targets:
a click's mask within 100 ms (median) and 200 ms (p95); the last hover mask 150 ms behind the last move of 60 a second,
and a click in the middle of them answered within 250 ms. Needs Chromium; keep the machine quiet.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from tests.browser.lab import CHROMIUM_FLAGS, Lab, NotebookPage
from tests.support.waiting import wait_until

RESULTS = Path(__file__).parent / "results" / "click_latency.json"
SIZE = (1024, 768)
PARTS = ("browser → kernel", "to the worker", "decode", "encode for transport", "kernel → browser", "paint")

SESSION = "import samnb\nsession = samnb.Session({folder!r}, model={model!r}, checkpoint={checkpoint!r}, device='cpu')"
OPEN = "session.add('photos')\nannotator = session.annotate('coins.png')\nannotator"
RANDOM_EMBEDDING = """
import numpy as np
from samnb.prompts import Embedding
def encode(pixels, real=session.model.encode):
    features = np.random.default_rng(0).standard_normal((256, 64, 64)).astype("float32") * 0.1
    height, width = pixels.shape[:2]
    scale = 1024 / max(height, width)
    return Embedding({"image_embedding": features}, (height, width), (round(height * scale), round(width * scale)))
# Random weights see nothing, or specks everywhere: the decoder works, what is drawn is a disc.
def decode(embedding, prompt, real=session.model.decode, **options):
    from dataclasses import replace
    prediction = real(embedding, prompt, **options)
    (height, width), (x, y) = embedding.original_size, prompt.points[-1]
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns - x, rows - y)
    return replace(prediction, masks=np.stack([distance < 40 * (i + 1) for i in range(len(prediction.masks))]))
session.model.encode, session.model.decode = encode, decode
"""
# Stamps of the kernel: a message of the hand, a decode's begin and end, outlines sent.
STAMPS = """
import time
import ipycanvas.canvas as _ipycanvas
stamps, _stage, _manager = [], annotator._layout.stage, _ipycanvas._CANVAS_MANAGER
def _stamp(name, what=None): stamps.append((name, time.time() * 1e3, what))
def _heard(events, then=_stage.listener._on_events):
    _stamp("heard", [event["event"] for event in events])
    then(events)
def _decode(*arguments, then=session.model.decode, **options):
    _stamp("decode")
    try:
        return then(*arguments, **options)
    finally:
        _stamp("decoded")
def _send(commands, buffers=(), then=_manager._send_custom):
    then(commands, buffers)
    if isinstance(commands[0], list):
        # The colour tells whose outlines they are.
        if any(c[0] == _ipycanvas.COMMANDS["fillStyledPolygons"] for c in commands):
            _stamp("sent", sum(map(len, buffers)))
_stage.listener._on_events, session.model.decode, _manager._send_custom = _heard, _decode, _send
"""
# Stamps of the page: the click, the first fill of outlines after it, the first frame in which pixels have changed.
WATCH = """() => {
  const now = () => performance.timeOrigin + performance.now();
  const fill = CanvasRenderingContext2D.prototype.fill;
  window.samnbFills = [];
  CanvasRenderingContext2D.prototype.fill = function (...rest) {
    if (this.samnbOutline) samnbFills.push(now());
    return fill.apply(this, rest);
  };
  // Outlines are made of lines, the points of a prompt of arcs.
  const { lineTo, beginPath } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.lineTo = function (...rest) {
    this.samnbOutline = true;
    return lineTo.apply(this, rest);
  };
  CanvasRenderingContext2D.prototype.beginPath = function () {
    this.samnbOutline = false;
    return beginPath.apply(this);
  };
  window.samnbNow = now;
}"""
CLICK = """async ([x, y]) => {
  const canvas = document.querySelector(".samnb-stage canvas");
  const listener = document.querySelector(".samnb-pointer-listener");
  const box = canvas.getBoundingClientRect(), context = canvas.getContext("2d");
  const look = () => context.getImageData(0, 0, canvas.width, canvas.height).data;
  const scale = canvas.width / box.width, cx = (x - box.left) * scale, cy = (y - box.top) * scale, near = 16 * scale;
  const before = look();
  const differs = () => {
    const now = look();
    let count = 0;
    for (let row = 0; row < canvas.height; row += 3) for (let column = 0; column < canvas.width; column += 3) {
      if (Math.hypot(column - cx, row - cy) <= near) continue;
      const at = 4 * (row * canvas.width + column);
      const change = Math.abs(now[at] - before[at]) + Math.abs(now[at + 2] - before[at + 2]);
      if (change > 12 && ++count > 4) return true;
    }
    return false;
  };
  samnbFills.length = 0;
  const common = { bubbles: true, cancelable: true, clientX: x, clientY: y, pointerId: 1, isPrimary: true, button: 0 };
  listener.dispatchEvent(new PointerEvent("pointerdown", common));
  await new Promise((go) => setTimeout(go, 60));
  const clicked = samnbNow();
  listener.dispatchEvent(new PointerEvent("pointerup", common));
  for (;;) {
    await new Promise(requestAnimationFrame);
    if (samnbFills.length && differs()) {
      // The next frame begins when this one is on its way to the screen.
      const seen = samnbNow();
      return { clicked, filled: samnbFills[0], seen };
    }
    if (samnbNow() - clicked > 20000) return null;
  }
}"""
HOVER = """async ([seconds, rate]) => {
  const listener = document.querySelector(".samnb-pointer-listener"), box = listener.getBoundingClientRect();
  const event = (name, x, y) => listener.dispatchEvent(new PointerEvent(name, {
    bubbles: true, cancelable: true, pointerId: 1, isPrimary: true, button: 0,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
  samnbFills.length = 0;
  const start = samnbNow(), total = seconds * rate;
  let moves = 0, clicked = 0, last = 0;
  while (moves < total) {
    const due = start + 1000 * moves / rate;
    if (samnbNow() < due) { await new Promise((go) => setTimeout(go, Math.max(0, due - samnbNow()))); continue; }
    const turn = moves / rate * 2, x = 0.5 + 0.4 * Math.sin(turn), y = 0.5 + 0.4 * Math.sin(1.3 * turn);
    event("pointermove", x, y);
    last = samnbNow();
    moves += 1;
    if (!clicked && moves >= total / 2) {
      event("pointerdown", x, y);
      event("pointerup", x, y);
      clicked = samnbNow();
    }
  }
  const ended = samnbNow();
  await new Promise((go) => setTimeout(go, 3000));
  return { clicked, last, fills: samnbFills, took: ended - start, moves };
}"""


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(np.ceil(share * len(values))) - 1)]


class Bench:
    """An annotator on the coins, in one notebook of one page."""

    def __init__(self, lab: Lab, page, model: str, checkpoint: str | None):
        self.notebook, self.page = NotebookPage(lab, page), page
        session = SESSION.format(folder=f"{model}-session", model=model, checkpoint=checkpoint)
        more = [RANDOM_EMBEDDING] if model != "tiny" else []
        self.notebook.open(f"{model}.ipynb", [session, *more, OPEN, "session.embedding('coins.png');", STAMPS])
        self.notebook.wait_until_run(seconds=300)
        stage = page.locator(".samnb-stage")
        stage.locator("canvas").wait_for()
        stage.scroll_into_view_if_needed()
        page.evaluate(WATCH)
        # Sizes told and pictures sharp.
        wait_until("the stage is ready", lambda: self.ask("stage.view.backing") == page.evaluate("devicePixelRatio"))
        time.sleep(3)

    def ask(self, code: str):
        """A value of the kernel; "stage" is the annotator's."""
        return ast.literal_eval(self.notebook.ask(code.replace("stage.", "annotator._layout.stage.")))

    def place(self, x: float, y: float) -> list[float]:
        """On the page, of an image pixel."""
        scale, (left, top), (width, _) = self.ask("(stage.view.scale, stage.view.offset, stage.view.stage_size)")
        box = self.page.locator(".samnb-pointer-listener").bounding_box()
        return [
            box["x"] + (x * scale + left) * box["width"] / width,
            box["y"] + (y * scale + top) * box["width"] / width,
        ]

    def click(self, x: float, y: float) -> dict[str, float] | None:
        """Milliseconds of each part, and in all."""
        self.notebook.ask("(annotator.clear(), annotator.wait(), stamps.clear())")
        time.sleep(0.4)
        seen = self.page.evaluate(CLICK, self.place(x, y))
        stamps = self.ask("stamps")
        heard = next((at for name, at, what in stamps if name == "heard" and "up" in what), None)
        if seen is None or heard is None:
            # A mask that is not larger than the drawn point shows nothing that could be told from the point.
            print("  nothing drawn beyond the point:", self.notebook.ask("(annotator.error, annotator.status)"))
            return None
        first = {
            name: next((at for n, at, _ in stamps if n == name and at >= heard), None) for name in ("decode", "decoded")
        }
        sent = next((at for name, at, _ in stamps if name == "sent" and at >= (first["decoded"] or heard)), None)
        if None in (*first.values(), sent):
            return None
        way = [seen["clicked"], heard, first["decode"], first["decoded"], sent, max(seen["filled"], sent), seen["seen"]]
        parts = dict(zip(PARTS, (b - a for a, b in pairwise(way)), strict=True))
        return {**parts, "all": seen["seen"] - seen["clicked"]}

    def hover(self, seconds: float, rate: float) -> dict[str, float]:
        """How far behind the last mask is, and how long a click in the middle takes."""
        self.notebook.ask("(annotator.clear(), annotator.wait(), setattr(annotator, 'hover_on', True), stamps.clear())")
        time.sleep(1)
        seen = self.page.evaluate(HOVER, [seconds, rate])
        stamps = self.ask("stamps")
        self.notebook.ask("setattr(annotator, 'hover_on', False)")
        heard = next(at for name, at, what in stamps if name == "heard" and "up" in what)
        # The decode that ran when the click came is the hover's; the next one is the click's.
        decode = next((at for name, at, _ in stamps if name == "decode" and at >= heard), heard)
        decoded = next((at for name, at, _ in stamps if name == "decoded" and at >= decode), decode)
        sent = next((at for name, at, _ in stamps if name == "sent" and at >= decoded), decoded)
        filled = next((at for at in seen["fills"] if at >= sent), sent)
        return {
            "moves": seen["moves"],
            "moves a second": round(1e3 * seen["moves"] / seen["took"], 1),
            "masks drawn": sum(name == "sent" for name, _, _ in stamps),
            "last mask behind the last move, ms": round(max(seen["fills"][-1] - seen["last"], 0.0), 1),
            "click in the middle, ms": round(filled - seen["clicked"], 1),
        }


def measure(bench: Bench, clicks: int, seconds: float) -> dict[str, object]:
    """The figures of one model."""
    places = [(170 + 150 * (i % 6), 130 + 125 * (i // 6 % 5)) for i in range(3 + clicks)]
    rows = [row for row in (bench.click(*place) for place in places) if row is not None][3:]
    if not rows:
        raise SystemExit("No click got a mask: see the lines above.")
    table = {
        part: {
            "median": round(median(row[part] for row in rows), 1),
            "p95": round(percentile([r[part] for r in rows], 0.95), 1),
        }
        for part in (*PARTS, "all")
    }
    return {"clicks": len(rows), "parts_ms": table, "hover": bench.hover(seconds, 60)}


def main() -> None:
    """Command line."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=10, help="of hovering")
    parser.add_argument("--models", nargs="+", default=["tiny", "vit_b"])
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        try:
            write_picture(lab.root / "photos")
            path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
            browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
            for model in arguments.models:
                page = browser.new_page(viewport={"width": 1360, "height": 1000})
                bench = Bench(lab, page, model, checkpoint_of(model, Path(folder)))
                load = os.getloadavg()[0]
                figures[model] = {"load_before": round(load, 1), **measure(bench, arguments.clicks, arguments.seconds)}
                figures[model]["load_after"] = round(os.getloadavg()[0], 1)  # type: ignore[index]
                show(model, figures[model])
                page.close()
            browser.close()
        finally:
            lab.close()
    figures["cores"] = os.cpu_count()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def write_picture(folder: Path) -> None:
    """The coins at 1024×768."""
    from skimage import data

    folder.mkdir()
    Image.fromarray(data.coins()).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(folder / "coins.png")


def checkpoint_of(model: str, folder: Path) -> str | None:
    """Random weights for whatever is not packaged."""
    if model == "tiny":
        return None
    from .speed import random_vit_b

    return str(random_vit_b(folder))


def show(model: str, figures) -> None:
    """The table."""
    print(f"{model}: {figures['clicks']} clicks, load {figures['load_before']} to {figures['load_after']}")
    for part, row in figures["parts_ms"].items():
        print(f"  {part:<22} median {row['median']:>7.1f}   p95 {row['p95']:>7.1f}  ms")
    for name, value in figures["hover"].items():
        print(f"  hover: {name:<36} {value:>8}")


if __name__ == "__main__":
    main()
