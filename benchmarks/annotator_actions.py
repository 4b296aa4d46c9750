"""How many actions of the hand an object costs in the annotator, and how long the computer lets it wait.

    python -m benchmarks.annotator_actions [--objects 30] [--pictures 5] [--json F]

A recorded script on photographs of the evaluation set, whose masks give the boxes: a box round each object, a click
where the mask is still wrong, Enter, the next image. It is played twice: `by hand` presses Enter for each object, `on
next` lets the next box accept the mask before it. An action is a press, a drag or a click. Without a browser: `wait`
is the time from the end of an action to the mask on its way to the page. Then the same click with 2,000 annotations on
a picture of 12 megapixels, and the second opening of an annotator. Goals: 2.2 actions an object; a mask within 100 ms
(median) and 200 ms (95 %); opened within 1.5 s. The load and the processor's name are printed beside: keep the machine
quiet, or read `processor`, the time that all threads of the process worked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.evaluation_set import Case, load_cases
from samnb.images import encode_png
from samnb.masks import encode_rle, mask_area, mask_bbox, mask_iou
from samnb.masks.clicks import next_click
from samnb.prompts import BACKGROUND
from samnb.records import NewAnnotation
from samnb.session import Session
from samnb.widgets import Annotator

RESULTS = Path(__file__).parent / "results" / "annotator_actions.json"
GOOD, MOST_CLICKS = 0.8, 2
"""A mask of this IoU is accepted as it is; otherwise up to so many clicks correct it."""


# Seconds, for a machine that others use too.
_PATIENCE = 600


class Hand:
    """Works an annotator, counts its actions, and measures the waits for masks."""

    def __init__(self, annotator: Annotator):
        self.annotator, self.actions = annotator, 0
        self.waits: list[float] = []
        self.worked: list[float] = []

    def act(self, action: Callable[..., object], *arguments: Any) -> None:
        """One action of the hand."""
        self.actions += 1
        action(*arguments)

    def wait(self, action: Callable[..., object], *arguments: Any) -> None:
        """One action, and the wait for the mask it gives."""
        start, worked = time.perf_counter(), time.process_time()
        self.act(action, *arguments)
        self.annotator._editor.wait(_PATIENCE)  # the mask alone; outlines of other objects follow when they can
        self.waits.append(time.perf_counter() - start)
        self.worked.append(time.process_time() - worked)


def chosen(objects: int, pictures: int) -> list[list[Case]]:
    """Cases by picture: those photographs that have the most objects, as many objects of each as are asked for."""
    by_image: dict[str, list[Case]] = {}
    for case in load_cases():
        by_image.setdefault(case.image, []).append(case)
    most = sorted(by_image.values(), key=len, reverse=True)[:pictures]
    each = -(-objects // len(most))
    cases = [group[:each] for group in most]
    left = objects - sum(map(len, cases))
    for place, group in enumerate(most):
        more = group[len(cases[place]) : len(cases[place]) + max(left, 0)]
        cases[place] += more
        left -= len(more)
    return cases


def box_of(case: Case) -> tuple[float, float, float, float]:
    """The object's box as a hand draws it: a hundredth of its side too large."""
    x, y, width, height = mask_bbox(case.mask)
    rim = 0.01 * max(width, height)
    tall, wide = case.mask.shape
    return max(x - rim, 0.0), max(y - rim, 0.0), min(x + width + rim, wide), min(y + height + rim, tall)


def play(folder: Path, groups: list[list[Case]], *, on_next: bool) -> dict[str, Any]:
    """Annotate everything; actions and seconds an object, and how good the masks are."""
    with Session(folder) as session:
        for number, group in enumerate(groups):
            session.add((f"{number}.png", encode_png(group[0].pixels)), dataset="photographs", show=False)
        session.prewarm(show=False).wait()
        annotator = Annotator(session, dataset="photographs")
        annotator.accept_on_next = on_next
        annotator.category = "object"
        annotator.wait()
        hand, ious, start = Hand(annotator), [], time.perf_counter()
        for place, group in enumerate(groups):
            for case in group:
                hand.wait(annotator.drag_box, *box_of(case))
                for _ in range(MOST_CLICKS):
                    mask = annotator.mask
                    if mask is None or mask_iou(mask, case.mask) >= GOOD:
                        break
                    click = next_click(case.mask, mask)
                    if click is None:
                        break
                    (x, y), label = click
                    hand.wait(annotator.click, x, y, label == BACKGROUND)
                ious.append(0.0 if annotator.mask is None else mask_iou(annotator.mask, case.mask))
                if not on_next:
                    hand.act(annotator.accept)
            if place + 1 < len(groups) or on_next:
                hand.act(annotator.mark_image, "done")
        seconds = time.perf_counter() - start
        saved = len(session.annotations())
        annotator.close()
    objects = sum(map(len, groups))
    assert saved == objects, f"{saved} of {objects} objects were saved"
    return {
        "objects": objects,
        "actions_an_object": round(hand.actions / objects, 2),
        "computer_seconds_an_object": round(seconds / objects, 3),
        "wait_ms_median": round(1e3 * median(hand.waits), 1),
        "wait_ms_p95": round(1e3 * float(np.percentile(hand.waits, 95)), 1),
        "processor_ms_median": round(1e3 * median(hand.worked), 1),
        "mean_iou": round(float(np.mean(ious)), 3),
    }


def crowded(folder: Path, annotations: int, clicks: int) -> dict[str, Any]:
    """A click on a picture of 12 megapixels with many annotations, and opening it the second time."""
    rng = np.random.default_rng(0)
    pixels = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((4000, 3000)))
    with Session(folder) as session:
        [image] = session.add(pixels, dataset="large", show=False).images
        session.prewarm(show=False).wait()
        rows, columns = np.mgrid[:50, :50]
        disc = np.hypot(columns - 25, rows - 25) < 24
        new = []
        for number in range(annotations):
            mask = np.zeros((3000, 4000), bool)
            x, y = 60 * (number % 60), 80 * (number // 60)
            mask[y : y + 50, x : x + 50] = disc
            about: Any = {"rle": encode_rle(mask), "bbox": mask_bbox(mask), "area": mask_area(mask), "source": "hand"}
            new.append(NewAnnotation(image.id, f"kind {number % 5}", **about))
        session.catalog.add_annotations(new)
        opened, worked = [], []
        for _ in range(3):
            start, cpu = time.perf_counter(), time.process_time()
            annotator = Annotator(session)
            opened.append(time.perf_counter() - start)
            worked.append(time.process_time() - cpu)
            annotator.wait(_PATIENCE)
            annotator.close()
        annotator = Annotator(session)
        annotator.wait(_PATIENCE)
        hand = Hand(annotator)
        for number in range(clicks + 1):
            annotator.clear()
            annotator.wait(_PATIENCE)
            hand.wait(annotator.click, 300.0 + 150 * number, 2800.0)
        waits, of_click = hand.waits[1:], hand.worked[1:]
        annotator.close()
    return {
        "annotations": annotations,
        "megapixels": 12,
        "click_ms_median": round(1e3 * median(waits), 1),
        "click_ms_p95": round(1e3 * float(np.percentile(waits, 95)), 1),
        "click_processor_ms_median": round(1e3 * median(of_click), 1),
        "opening_s_warm": round(min(opened[1:]), 2),
        "opening_processor_s_warm": round(min(worked[1:]), 2),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Measure and print, or with --json write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=30)
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--annotations", type=int, default=2000)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--json", type=Path, default=None, help=f"for example {RESULTS}")
    given = parser.parse_args()
    groups = chosen(given.objects, given.pictures)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = {
            "machine": {"processor": processor(), "cores": os.cpu_count(), "load_at_start": round(load, 1)},
            "by hand": play(place / "hand", groups, on_next=False),
            "on next": play(place / "next", groups, on_next=True),
            "crowded": crowded(place / "crowded", given.annotations, given.clicks),
        }
    text = json.dumps(found, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
