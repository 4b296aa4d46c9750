"""What a run did, to look at: its curves, and its masks on unseen scenes.

``python -m training.report --run FOLDER`` reads ``progress.jsonl`` and ``tiny.safetensors`` and writes ``curves.png``,
``samples.jpg`` and ``report.md`` beside them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from samnb.masks import overlay
from samnb.models import tiny
from training.evaluate import unseen_batch
from training.generator import KINDS
from training.train import decode, first_prompts

CURVES = {"best": "best of three", "scored": "by score", "best_2": "two clicks, best", "best_3": "three clicks, best"}


def read_progress(run: Path) -> list[dict[str, Any]]:
    """The lines of figures of a run, oldest first."""
    lines = (run / "progress.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "step" in row]


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean IoU in training, and the loss, against steps, smoothed over a twentieth of the run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    window = max(len(rows) // 20, 1)
    for axes, names in ((left, CURVES), (right, {"loss": "loss", "score_error": "error of the scores"})):
        for name, label in names.items():
            points = [(row["step"], row[name]) for row in rows if name in row]
            if len(points) < 2:
                continue
            steps, values = np.array(points, float).T
            smooth = np.convolve(
                np.pad(values, (window // 2, window - 1 - window // 2), "edge"), np.ones(window) / window
            )
            axes.plot(steps, smooth[window - 1 : window - 1 + len(steps)], label=label)
        axes.set_xlabel("step")
        axes.legend()
        axes.grid(alpha=0.3)
    left.set_title("mean IoU on training samples (size of crops changes with the stage)", fontsize=9)
    figure.savefig(path, dpi=90)


@torch.inference_mode()
def draw_samples(weights: Path, path: Path, scenes: int = 2) -> None:
    """A strip for each kind of scene: what was clicked, and the mask of highest score."""
    sam = tiny.build_sam(weights)
    rows = []
    for kind in KINDS:
        views = [_view(sam, kind, index) for index in range(scenes)]
        rows.append(np.hstack([np.hstack(view) for view in views]))
    sheet = cv2.resize(np.vstack(rows), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _view(sam: Any, kind: str, index: int) -> list[npt.NDArray[np.uint8]]:
    """The scene, the wanted objects, the masks drawn: three (S, S, 3) pictures."""
    batch = None
    while batch is None:
        batch, index = unseen_batch(kind, index, 4), index + 100
    embedding = sam.image_encoder(batch.images)
    logits, scores = decode(sam, embedding, first_prompts(batch, 1.0), half=False)
    best = logits[torch.arange(len(logits)), scores[:, 1:].argmax(1) + 1]
    size = (tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    mean, std = np.array(tiny.PIXEL_MEAN), np.array(tiny.PIXEL_STD)
    pixels = np.clip(batch.images[0].numpy().transpose(1, 2, 0) * std + mean, 0, 255).astype(np.uint8)
    wanted = [cv2.resize(t.numpy(), size) > 0.5 for t in batch.targets]
    drawn = [cv2.resize(b.numpy(), size) > 0 for b in best]
    views = [pixels, overlay(pixels, wanted), overlay(pixels, drawn)]
    for view in views[1:]:
        for x, y in batch.clicks.numpy():
            cv2.circle(view, (int(x), int(y)), 5, (255, 255, 255), -1)
    return views


def write_report(run: Path) -> Path:
    """Write the three files; returns the path of ``report.md``."""
    rows = read_progress(run)
    draw_curves(rows, run / "curves.png")
    draw_samples(run / "tiny.safetensors", run / "samples.jpg")
    last = rows[-1] if rows else {}
    text = ["# A training run", "", f"{last.get('step', 0):,} steps in {last.get('minutes', 0):.0f} minutes.", ""]
    text += ["![curves](curves.png)", "", "Scene, wanted objects, drawn masks (highest score, one click):", ""]
    text += ["![samples](samples.jpg)", ""]
    (run / "report.md").write_text("\n".join(text))
    return run / "report.md"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    print(write_report(parser.parse_args().run))


if __name__ == "__main__":
    main()
