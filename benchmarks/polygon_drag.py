"""How many frames a second a drag of one of 1,000 vertices has in the page, and what its release costs the kernel.

    python -m benchmarks.polygon_drag [--vertices 1000] [--seconds 4] [--json F]

The page draws the drag by itself: `samnb/ui/annotator/vertex_overlay.js` runs here in Chromium on a page of its own,
without JupyterLab. The kernel gets the finished drag: it changes the mask of a picture of 12 megapixels and sends the
new vertices. Without Playwright or Chromium only the kernel is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from json import dumps
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from samnb.masks.outline import Outline
from samnb.ui.annotator.draft import PackedMask
from samnb.ui.annotator.vertex_overlay import VertexOverlay
from samnb.ui.annotator.viewport import Viewport

RESULTS = Path(__file__).parent / "results" / "polygon_drag.json"
SIZE_HW = (3000, 4000)
STAGE = (960, 720)

_PAGE = """
<style>.samnb-stage { position: relative; width: 960px; height: 720px; } .samnb-pointer-listener { position: absolute;
inset: 0; } #overlay { position: absolute; inset: 0; pointer-events: none; }
canvas { width: 100%; height: 100%; }</style>
<div class="samnb-stage"><div class="samnb-pointer-listener"></div><div id="overlay"></div></div>
"""

_RUN = """async ([code, flat, view, size]) => {
  const { default: overlay } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const values = { points: new DataView(new Float32Array(flat).buffer), lengths: [flat.length / 2], still_open: false,
    view, size, tool: "polygon", color: "#1e88e5", version: 1 };
  const model = { get: (name) => values[name], on() {}, off() {}, send() {} };
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  window.frames_drawn = [];
  CanvasRenderingContext2D.prototype.clearRect = function (...box) {
    const now = performance.now(), last = window.frames_drawn.at(-1);
    if (now !== last) window.frames_drawn.push(now);
    return clear.apply(this, box);
  };
  overlay.render({ model, el: document.getElementById("overlay") });
}"""


def star(count: int) -> Outline:
    """A ring of so many vertices around the middle of the picture."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = 1000 + 250 * (np.arange(count) % 2)
    middle = np.array([SIZE_HW[1] / 2, SIZE_HW[0] / 2])
    return Outline((middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1),), 1.0)


def in_the_page(outline: Outline, seconds: float) -> dict[str, float]:
    """Frames a second of a drag, their processor time, and the time between two."""
    from playwright.sync_api import sync_playwright

    from tests.browser.lab import CHROMIUM_FLAGS

    view = Viewport((SIZE_HW[1], SIZE_HW[0]), STAGE)
    names = ("chromium", "google-chrome")
    path = os.environ.get("SAMNB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        page = browser.new_page(viewport={"width": 1000, "height": 760})
        page.set_content(_PAGE)
        flat = outline.rings[0].astype(np.float32).ravel().tolist()
        left, top = view.offset
        page.evaluate(_RUN, [VertexOverlay._esm, flat, [view.scale, left, top, STAGE[0]], list(view.image_size)])
        box = page.locator(".samnb-stage").bounding_box()
        assert box is not None
        left, top = view.to_stage(*outline.rings[0][0])
        x, y = box["x"] + left, box["y"] + top
        page.mouse.move(x, y)
        page.mouse.down()
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        used = busy_seconds(devtools)
        started = time.perf_counter()
        page.evaluate("window.frames_drawn.length = 0")
        number = 0
        while time.perf_counter() - started < seconds:
            number += 1
            page.mouse.move(x + 40 * np.sin(number / 9), y + 40 * np.cos(number / 9))
        used = busy_seconds(devtools) - used
        frames = page.evaluate("window.frames_drawn")
        page.mouse.up()
        browser.close()
    gaps = np.diff(frames)
    return {
        "moves_per_s": round(number / seconds, 1),
        "frames_per_s": round(1000 * len(gaps) / (frames[-1] - frames[0]), 1),
        "processor_ms_per_frame": round(1000 * used / len(frames), 2),
        "p95_between_frames_ms": round(float(np.percentile(gaps, 95)), 1),
    }


def busy_seconds(devtools: Any) -> float:
    """Processor time of the page's thread so far: unlike frames a second, it does not depend on what else runs."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def in_the_kernel(outline: Outline, rounds: int = 9) -> dict[str, float]:
    """Milliseconds of a release: the new mask, its packing, and the vertices for the page."""
    mask, overlay, view = outline.fill(SIZE_HW), VertexOverlay(), Viewport((SIZE_HW[1], SIZE_HW[0]), STAGE)
    times: dict[str, list[float]] = {"edit": [], "pack": [], "send": []}
    for number in range(rounds):
        x, y = outline.rings[0][number * 37]
        after = outline.moved(0, number * 37, (x + 60, y - 40))
        marks = [time.perf_counter()]
        edited = outline.edited(mask, after)
        marks.append(time.perf_counter())
        PackedMask.of(edited)
        marks.append(time.perf_counter())
        overlay.show(after.rings, view)
        marks.append(time.perf_counter())
        for name, seconds in zip(times, np.diff(marks), strict=True):
            times[name].append(1000 * float(seconds))
    return {f"{name}_ms": round(median(each), 1) for name, each in times.items()}


def main(vertices: int, seconds: float, json: Path) -> None:
    """Print the figures, and keep them."""
    outline, load = star(vertices), os.getloadavg()[0]
    kept: dict[str, object] = {"vertices": vertices, "picture": list(SIZE_HW), "kernel": in_the_kernel(outline)}
    try:
        kept["page"] = in_the_page(outline, seconds)
    except ImportError:
        print("the page was not measured: it needs Playwright")
    kept["cores"], kept["load"] = os.cpu_count(), [round(load, 1), round(os.getloadavg()[0], 1)]
    print(dumps(kept, indent=1))
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_text(dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path, default=RESULTS)
    main(**vars(parser.parse_args()))
