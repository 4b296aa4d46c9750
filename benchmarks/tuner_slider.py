"""How long from a slider's move to twelve pictures drawn anew, in the tuner, in JupyterLab in Chromium.

    python -m benchmarks.tuner_slider [--moves 20] [--json F]

Twelve pictures of coins with the packaged model, cached embeddings and the default parameters (up to 50 objects an
image). Thresholds jump between their ends, so that every picture changes; the page and the kernel stamp each part with
the same clock. Other parameters go a step on and back: what the model has to be asked anew comes the first time only.
Target: 1 s. Needs Chromium; keep the machine quiet.
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

import samnb
from samnb.demo import CLICKED, COIN_POINTS, demo_pictures
from tests.browser.lab import CHROMIUM_FLAGS, Lab, NotebookPage
from tests.support.waiting import wait_until

from .click_latency import percentile

RESULTS = Path(__file__).parent / "results" / "tuner_slider.json"
PARTS = ("browser → kernel", "found and drawn", "kernel → screen")
OTHERS = ("max_overlap", "max_area_ratio", "min_similarity", "refine", "max_objects")

OPEN = "import samnb\nsession = samnb.Session('session')\ntuner = session.tune('coins')\ntuner"
# Stamps of the kernel: a value came, twelve pictures are found and drawn.
STAMPS = """
import time
stamps, counted, asked = [], [0], session.model.propose
def _changed(then=tuner._changed):
    stamps.append(("heard", time.time() * 1e3))
    then()
def _take(answer, error, then=tuner._take):
    stamps.append(("drawn", time.time() * 1e3))
    then(answer, error)
def _propose(embedding, prompts):
    counted[0] += len(prompts)
    return asked(embedding, prompts)
tuner._changed, tuner._take = _changed, _take
for sample in tuner.samples:
    sample._ask_model = _propose
"""
# A key on a slider's handle, and the first frame in which all twelve pictures are others.
MOVE = """async ([handle, key]) => {
  const now = () => performance.timeOrigin + performance.now();
  const pictures = () => [...document.querySelectorAll(".samnb-gallery img")];
  const before = pictures().map((image) => image.src);
  const moved = now();
  document.querySelectorAll(".samnb-controls .noUi-handle")[handle].dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  for (;;) {
    await new Promise(requestAnimationFrame);
    const after = pictures();
    if (after.length === 12 && after.every((i, n) => i.src !== before[n] && i.complete && i.naturalWidth))
      return { moved, seen: now() };
    if (now() - moved > 60000) return null;
  }
}"""
NAMES = """() => [...document.querySelectorAll(".samnb-controls .noUi-handle")].map(
  (handle) => handle.getAttribute("aria-label"))"""


class Bench:
    """A tuner on twelve pictures, in one notebook of one page."""

    def __init__(self, lab: Lab, page):
        self.page, self.notebook = page, NotebookPage(lab, page)
        started = time.monotonic()
        self.notebook.open("tune.ipynb", [OPEN, STAMPS])
        self.notebook.wait_until_run(seconds=300)
        self.settle()
        self.opened = time.monotonic() - started
        wait_until("the sliders have names", lambda: all(page.evaluate(NAMES)))
        self.handles = {name: place for place, name in enumerate(page.evaluate(NAMES))}

    def ask(self, code: str):
        """A value of the kernel."""
        return ast.literal_eval(self.notebook.ask(code))

    def settle(self) -> None:
        """Until nothing is searched."""
        wait_until("nothing is searched", lambda: not self.ask("tuner._worker.busy"), seconds=300, every=0.3)

    def threshold(self, name: str, key: str) -> dict[str, float]:
        """Milliseconds of each part, in all, and until it was searched to the end."""
        self.settle()
        self.notebook.ask("stamps.clear()")
        seen = self.page.evaluate(MOVE, [self.handles[name], key])
        if seen is None:
            raise SystemExit(f"{name}: not drawn within a minute; {self.notebook.ask('tuner.error')}")
        self.settle()
        stamps = self.ask("stamps")
        heard = next(at for what, at in stamps if what == "heard")
        drawn = max((at for what, at in stamps if what == "drawn" and at <= seen["seen"]), default=seen["seen"])
        way = [seen["moved"], heard, drawn, seen["seen"]]
        parts = dict(zip(PARTS, (b - a for a, b in pairwise(way)), strict=True))
        return {**parts, "all": seen["seen"] - seen["moved"], "searched": stamps[-1][1] - seen["moved"]}

    def other(self, name: str) -> list[dict[str, float]]:
        """Seconds until all is searched and drawn, and questions to the model: a step on, back, and on again."""
        rows = []
        for key in ("ArrowRight", "ArrowLeft", "ArrowRight", "ArrowLeft"):
            self.settle()
            self.notebook.ask("(stamps.clear(), counted.__setitem__(0, 0))")
            started = time.time() * 1e3
            handle = self.page.locator(".samnb-controls .noUi-handle").nth(self.handles[name])
            handle.focus()
            self.page.keyboard.press(key)
            wait_until("the move was heard", lambda: self.ask("len(stamps)") > 0)
            self.settle()
            rows.append({"ms": round(self.ask("stamps")[-1][1] - started), "asked": self.ask("counted[0]")})
        return rows


def measure(bench: Bench, moves: int) -> dict[str, object]:
    """The figures."""
    figures: dict[str, object] = {"opened_s": round(bench.opened, 1)}
    for name in ("review_score", "min_score"):
        rows = [bench.threshold(name, ("End", "Home")[number % 2]) for number in range(moves + 2)][2:]
        figures[name] = {
            part: {
                "median": round(median(row[part] for row in rows), 1),
                "p95": round(percentile([row[part] for row in rows], 0.95), 1),
            }
            for part in (*PARTS, "all", "searched")
        }
    bench.notebook.ask("tuner.set(min_score=0.3, review_score=0.5)")
    figures["others"] = {name: bench.other(name) for name in OTHERS}
    return figures


def write_session(root: Path) -> None:
    """Twelve pictures, a template of one click, all encoded."""
    pictures = demo_pictures(root / "pictures") / "monday"
    with samnb.Session(root / "session") as session:
        for dataset in ("monday", "tuesday"):
            session.add(pictures, dataset=dataset, show=False)
        session.accept(session.predict(CLICKED, points=[COIN_POINTS[0]]), category="coin")
        session.template("coins")
        session.prewarm(show=False).wait()


def show(figures) -> None:
    """The tables."""
    print(f"opened and searched for the first time: {figures['opened_s']} s")
    for name in ("review_score", "min_score"):
        for part, row in figures[name].items():
            print(f"  {name:<14}{part:<18} median {row['median']:>7.1f}   p95 {row['p95']:>7.1f}  ms")
    for name, rows in figures["others"].items():
        said = ", ".join(f"{row['ms']} ms ({row['asked']} asked)" for row in rows)
        print(f"  {name:<16} on, back, on, back: {said}")


def main() -> None:
    """Command line."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        try:
            write_session(lab.root)
            path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
            browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
            page = browser.new_page(viewport={"width": 1360, "height": 1100})
            load = os.getloadavg()[0]
            figures = {"load_before": round(load, 1), **measure(Bench(lab, page), arguments.moves)}
            figures |= {"load_after": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
            browser.close()
        finally:
            lab.close()
    show(figures)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
