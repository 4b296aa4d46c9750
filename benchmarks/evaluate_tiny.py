"""The coins yardstick: one click on each of 24 coins, the embedded model against flood fill and GrabCut.

``python -m benchmarks.evaluate_tiny`` prints a table and, with ``--json FILE``, writes the figures. A click is the
deepest pixel of a coin (the peak of its distance transform); the figure is the mean IoU with the stored mask.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

MASKS = Path(__file__).parents[1] / "tests" / "data" / "coins" / "coins_masks.png"

FLOOD_TOLERANCES = [10, 15, 20, 25, 30, 40, 50, 60, 80]
GRABCUT_RADII = [6, 8, 12, 16, 20, 24, 30]

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Click = tuple[int, int]


def gallery_masks(grey: Pixels) -> npt.NDArray[np.uint8]:
    """Label the coins as scikit-image's gallery does: (H, W), 0 for the table and 1 upward for the coins."""
    from scipy import ndimage
    from skimage import filters, morphology, segmentation

    markers = np.zeros_like(grey)
    markers[grey < 30], markers[grey > 150] = 1, 2
    solid = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(grey), markers) - 1)
    labels, _ = ndimage.label(morphology.remove_small_objects(solid, max_size=63))
    return labels.astype(np.uint8)


def load_coins() -> tuple[Pixels, list[Mask]]:
    """Return the (303, 384, 3) uint8 picture and its 24 masks."""
    from skimage import data

    labels: npt.NDArray[Any] = np.asarray(cv2.imread(str(MASKS), cv2.IMREAD_UNCHANGED))
    pixels = np.repeat(data.coins()[..., None], 3, -1)
    return pixels, [labels == number for number in range(1, int(labels.max()) + 1)]


def deepest_pixel(mask: Mask) -> Click:
    """Return x, y of the pixel furthest from the outline."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; two empty masks are alike."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def flood_fill(pixels: Pixels, click: Click, tolerance: float) -> Mask:
    """Flood from the click over grey levels within `tolerance`."""
    from skimage import segmentation

    return segmentation.flood(pixels[..., 0].astype(np.int16), click[::-1], tolerance=tolerance)


def flood_and_mend(pixels: Pixels, click: Click, tolerance: float) -> Mask:
    """Flood in the smoothed picture, then fill the holes: the best that can be made of flooding here."""
    from scipy import ndimage

    smooth: Pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.0), np.uint8)
    return ndimage.binary_fill_holes(flood_fill(smooth, click, tolerance))


def grab_cut(pixels: Pixels, click: Click, radius: int) -> Mask:
    """GrabCut from a sure disc of 3 pixels and a probable disc of `radius` pixels round the click."""
    trimap = np.full(pixels.shape[:2], cv2.GC_PR_BGD, np.uint8)
    far = cv2.circle(np.zeros_like(trimap), click, 3 * radius, 1, -1)
    trimap[far == 0] = cv2.GC_BGD
    cv2.circle(trimap, click, radius, cv2.GC_PR_FGD, -1)
    cv2.circle(trimap, click, 3, cv2.GC_FGD, -1)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, trimap, None, *models, 5, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)


def tuned(
    method: Callable[[Pixels, Click, Any], Mask], values: list[Any], pixels: Pixels, masks: list[Mask]
) -> dict[str, Any]:
    """Run a baseline with every value of its one knob.

    Returns
    -------
    dict
        `iou`, the mean IoU with the value that does best on these very coins, which is more than a user could know;
        that `value`; and `untuned`, the mean over all values.
    """
    clicks = [deepest_pixel(mask) for mask in masks]
    tried = {value: [iou(method(pixels, c, value), m) for c, m in zip(clicks, masks, strict=True)] for value in values}
    means = {value: float(np.mean(ious)) for value, ious in tried.items()}
    best = max(means, key=lambda value: means[value])
    return {"iou": means[best], "value": best, "untuned": float(np.mean(list(means.values())))}


def evaluate_tiny(pixels: Pixels, masks: list[Mask], weights: Path | None = None) -> dict[str, Any]:
    """Click, correct once, and box every coin with the embedded model.

    Returns
    -------
    dict
        Mean IoUs: `scored` (one click, the mask of highest score), `best` (best of three), `single` (the model's
        single-mask answer), `second` (after one corrective click), `box`; `score_error` (mean distance of score and
        IoU), the lists `each` and `each_best`, and the milliseconds `encode_ms` and `decode_ms`.
    """
    from samnb.models import tiny
    from samnb.models.sam.reference import import_segment_anything

    predictor = import_segment_anything().SamPredictor(tiny.build_sam(weights or tiny.WEIGHTS))
    encode_ms = _milliseconds(lambda: predictor.set_image(pixels))
    rows: dict[str, list[float]] = {key: [] for key in ("scored", "best", "single", "second", "box", "score_error")}
    for mask in masks:
        points, labels = np.array([deepest_pixel(mask)]), np.array([1])
        answers, scores, low = predictor.predict(points, labels, multimask_output=True)
        ious = [iou(answer, mask) for answer in answers]
        picked = int(scores.argmax())
        rows["scored"].append(ious[picked])
        rows["best"].append(max(ious))
        rows["score_error"].append(float(np.abs(scores - ious).mean()))
        rows["single"].append(iou(predictor.predict(points, labels, multimask_output=False)[0][0], mask))
        rows["second"].append(_second_click(predictor, mask, answers[picked], low[picked], points))
        y, x = np.nonzero(mask)
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
        answers, scores, _ = predictor.predict(box=box, multimask_output=True)
        rows["box"].append(iou(answers[int(scores.argmax())], mask))
    decode_ms = _milliseconds(lambda: predictor.predict(points, labels, multimask_output=True, return_logits=True))
    means = {key: float(np.mean(values)) for key, values in rows.items()}
    times = {"encode_ms": encode_ms, "decode_ms": decode_ms}
    return {**means, "each": rows["scored"], "each_best": rows["best"], **times}


def _second_click(
    predictor: Any, mask: Mask, answer: Mask, low: npt.NDArray[np.float32], points: npt.NDArray[Any]
) -> float:
    """IoU after one more click into the deepest error, with the first answer given back as mask prompt."""
    missed, extra = mask & ~answer, answer & ~mask
    kind = int(missed.sum() >= extra.sum())
    click = deepest_pixel(missed if kind else extra)
    both, labels = np.vstack([points, click]), np.array([1, kind])
    answers, scores, _ = predictor.predict(both, labels, mask_input=low[None], multimask_output=True)
    return iou(answers[int(scores.argmax())], mask)


def _milliseconds(call: Callable[[], Any], repeats: int = 9) -> float:
    """Median time of a call after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1000)


def run(weights: Path | None = None) -> dict[str, Any]:
    """Measure the model and both baselines."""
    pixels, masks = load_coins()
    return {
        "tiny": evaluate_tiny(pixels, masks, weights),
        "flood": tuned(flood_fill, FLOOD_TOLERANCES, pixels, masks),
        "flood and mend": tuned(flood_and_mend, FLOOD_TOLERANCES, pixels, masks),
        "grabcut": tuned(grab_cut, GRABCUT_RADII, pixels, masks),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="another safetensors file than the shipped one")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--write-masks", action="store_true", help="make the stored masks again and stop")
    arguments = parser.parse_args()
    if arguments.write_masks:
        from skimage import data

        cv2.imwrite(str(MASKS), gallery_masks(data.coins()))
        return
    figures = run(arguments.weights)
    for name, row in figures.items():
        print(name, {key: round(value, 3) for key, value in row.items() if not isinstance(value, list)})
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
