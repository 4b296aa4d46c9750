"""Make docs/images/tiny_good.jpg and tiny_fails.jpg: the embedded model's answers to one click on the evaluation set.

    python docs/model_pictures.py

Each tile has the wanted outline in white, the answer tinted, the click as a dot, and the IoU. The good ones are the
medians of their set, not the best; the failures are the worst of all that a user would notice.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.evaluation_set import Case, load_cases
from samnb.masks import mask_iou, overlay
from samnb.masks.clicks import first_click
from samnb.models import load_model
from samnb.prompts import Prompt

IMAGES = Path(__file__).parent / "images"
TILE, COLUMNS = 260, 4
LEAST_AREA = 0.004
"""Share of the picture below which nobody would notice a failure."""


@dataclass(frozen=True, eq=False)
class Answer:
    """One case, the click on it, the answer and how good it is."""

    case: Case
    click: tuple[float, float]
    mask: np.ndarray
    iou: float


def answers() -> list[Answer]:
    """One click on every case."""
    model, found, embeddings = load_model("tiny"), [], {}
    for case in load_cases():
        if id(case.pixels) not in embeddings:
            embeddings[id(case.pixels)] = case.pixels, model.encode(case.pixels)
        click = first_click(case.mask)
        prediction = model.decode(embeddings[id(case.pixels)][1], Prompt.of(points=[click]))
        found.append(Answer(case, click, prediction.mask, mask_iou(prediction.mask, case.mask)))
    return found


def tile(answer: Answer) -> np.ndarray:
    """(TILE, TILE, 3) uint8: a square around the object, with space to show leaks."""
    case = answer.case
    x, y, w, h = cv2.boundingRect((case.mask | (answer.mask & (case.mask.mean() > 0.05))).astype(np.uint8))
    side = int(min(max(w, h) * 1.5 + 20, max(case.mask.shape)))
    left = int(np.clip(x + w / 2 - side / 2, 0, max(case.mask.shape[1] - side, 0)))
    top = int(np.clip(y + h / 2 - side / 2, 0, max(case.mask.shape[0] - side, 0)))
    window = slice(top, top + side), slice(left, left + side)
    scale = TILE / max(case.mask[window].shape)
    size = tuple(max(int(v * scale), 1) for v in case.mask[window].shape[::-1])
    view = np.asarray(cv2.resize(np.ascontiguousarray(case.pixels[window]), size, interpolation=cv2.INTER_AREA))
    drawn, wanted = (
        cv2.resize(m[window].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) for m in (answer.mask, case.mask)
    )
    view = overlay(view, [drawn > 0], colors=["#ff8000"])
    outlines = cv2.findContours(wanted, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    cv2.drawContours(view, outlines, -1, (255, 255, 255), 1)
    spot = (int((answer.click[0] - left) * scale), int((answer.click[1] - top) * scale))
    cv2.circle(view, spot, 5, (0, 0, 0), -1)
    cv2.circle(view, spot, 4, (0, 255, 120), -1)
    whole = np.full((TILE + 22, TILE, 3), 255, np.uint8)
    whole[: view.shape[0], : view.shape[1]] = view
    caption = f"{case.label[:26]}: {answer.iou:.2f}"
    cv2.putText(whole, caption, (4, TILE + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return whole


def sheet(chosen: list[Answer], path: Path) -> None:
    """Write tiles in rows of COLUMNS."""
    tiles = [tile(answer) for answer in chosen]
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles) - len(tiles) % COLUMNS, COLUMNS)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(path)


def main() -> None:
    """Choose and write."""
    found = [answer for answer in answers() if answer.case.mask.mean() > LEAST_AREA]
    by_set: dict[str, list[Answer]] = {}
    for answer in sorted(found, key=lambda a: a.iou):
        by_set.setdefault(answer.case.set_name, []).append(answer)
    middle = [rows[int(len(rows) * at)] for rows in by_set.values() for at in (0.5,)]
    photographs = by_set["photographs"]
    good = middle + [photographs[int(len(photographs) * at)] for at in (0.6, 0.7, 0.8, 0.9)]
    sheet(good[:8], IMAGES / "tiny_good.jpg")
    seen: dict[str, Answer] = {}
    for answer in photographs + by_set["silhouettes"]:
        seen.setdefault(answer.case.image, answer)
    sheet(sorted(seen.values(), key=lambda a: a.iou)[:8], IMAGES / "tiny_fails.jpg")


if __name__ == "__main__":
    main()
