"""From a cold interpreter to the first mask, on an image whose embedding is cached; the import of torch shown apart.

    python benchmarks/first_prediction.py [--rounds 5] [--model tiny] [--json FILE]

Each figure is of a fresh process; processes that only start, only import torch, and predict, take turns. Parts of a
prediction are told by the process itself: opening the session, importing torch, the rest of the first `predict`, and
a second one for comparison. "until the first mask" is from the start of the process, and what counts; "leaving" is what
the interpreter takes to end, most of it torch's, which a notebook does not wait for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

CHILD = """
import json, sys, time
began = time.perf_counter()
from samnb import Session
imported = time.perf_counter()
session = Session(sys.argv[1], model=sys.argv[2])
opened = time.perf_counter()
import torch
torch_there = time.perf_counter()
first = session.predict("picture.png", points=[(320, 240)])
assert first.masks.shape[1:] == (480, 640) and first.cache_hit and not session.model.encoder_built
predicted, there = time.perf_counter(), time.time()
session.predict("picture.png", points=[(100, 240)]).masks
again = time.perf_counter()
print(json.dumps({"import samnb": imported - began, "open the session": opened - imported,
    "import torch": torch_there - opened, "first prediction": predicted - torch_there, "second": again - predicted,
    "there": there, "done": time.time()}))
"""


def run(*command: str) -> tuple[float, str]:
    """Wall-clock seconds of a fresh interpreter, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


def make_session(folder: Path, model: str) -> None:
    """With one image, cached."""
    import numpy as np
    from PIL import Image

    from samnb.session import Session

    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(folder / "picture.png")
    with Session(folder / "session", model=model) as session:
        session.add(folder / "picture.png")
        session.prewarm(show=False).wait()


def measure(folder: Path, model: str, rounds: int) -> dict[str, Any]:
    """Medians, in seconds."""
    seconds: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        bare, _ = run("-c", "pass")
        torch_alone, _ = run("-c", "import torch")
        started = time.time()
        whole, said = run("-c", CHILD, str(folder / "session"), model)
        told = json.loads(said)
        until, leaving = told.pop("there") - started, whole - (told.pop("done") - started)
        found = {"bare python": bare, "python with torch": torch_alone, "whole process": whole, **told}
        found |= {"until the first mask": until, "leaving": leaving}
        if turn:  # the first brings files into memory
            for name, value in found.items():
                seconds.setdefault(name, []).append(value)
    rows = zip(seconds["until the first mask"], seconds["import torch"], strict=True)
    return {
        "model": model,
        "rounds": rounds,
        "seconds": {name: round(median(values), 3) for name, values in seconds.items()},
        "least_seconds": {name: round(min(values), 3) for name, values in seconds.items()},
        "without_torch": round(median(until - torch for until, torch in rows), 3),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_session(Path(folder), options.model)
        text = json.dumps(measure(Path(folder), options.model, options.rounds), indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
