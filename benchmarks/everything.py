"""`segment_everything` beside segment-anything's ``SamAutomaticMaskGenerator``: the same masks, and how long they take.

    python -m benchmarks.everything [--points 16] [--rounds 3] [--threads 2] [--checkpoint FILE] [--json FILE]

Both sides get the same cached features of three photographs; no encoder runs while the clock does. Without a
checkpoint ViT-B has random weights (seed 0): the work is the same, and the masks are noise, so both thresholds are put
where the scores of these masks leave the widest gap, and suppression is off (the boxes of noise are all alike). The two
sides alternate. The embedded model `tiny` (trained) is measured on a photograph of a megapixel, and on the evaluation
set's coins and nuclei for what it finds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.compare_versions import processor
from benchmarks.evaluation_set.labelled import HERE, read_labels
from benchmarks.evaluation_set.pictures import read_picture
from samnb.masks import mask_iou
from samnb.models.sam.reference import import_segment_anything
from samnb.prompts import Embedding
from samnb.proposals import Everything, Search
from samnb.session import Session

RESULTS = Path(__file__).parent / "results" / "everything.json"
COINS = HERE.parents[1] / "tests" / "data" / "coins" / "coins_masks.png"
NUCLEI = HERE / "labels" / "nuclei_masks.png"
PHOTOGRAPHS = ("coffee", "chelsea", "rocket")
LEAST_RECALL_IOU = {"coins": 0.8, "nuclei": 0.5}


def main() -> None:
    """Measure, print and keep."""
    options = _options()
    import torch

    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"processor": processor(), "threads": options.threads, "points_per_side": options.points}
    with tempfile.TemporaryDirectory() as folder:
        figures["tiny"] = _tiny(Path(folder) / "tiny", options)
        figures["vit_b"] = _vit_b(Path(folder), options)
    print(json.dumps(figures, indent=1))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=16, help="clicks along a side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="of vit_b; random weights without it")
    parser.add_argument("--model", default="tiny", help="the embedded model, or another, for what is found")
    parser.add_argument("--weights", type=Path, help="of that model")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


# -- the embedded model ----------------------------------------------------------------------------------------


def _tiny(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What it finds and how long a megapixel takes; trained weights."""
    found: dict[str, Any] = {}
    with Session(folder, model=options.model, checkpoint=options.weights, device="cpu") as session:
        for name, labels in (("coins", COINS), ("nuclei", NUCLEI)):
            [image] = session.add(read_picture(name), show=False).images
            proposals = session.segment_everything(image)
            found[name] = recall(read_labels(labels), [one.mask for one in proposals], LEAST_RECALL_IOU[name])
        pixels = cv2.resize(read_picture("coffee"), (1224, 816), interpolation=cv2.INTER_CUBIC)
        [image] = session.add(pixels, show=False).images
        session.embedding(image)
        before, times = session.model.encodes, []
        query = session.everything(points_per_side=options.points)
        for _ in range(options.rounds + 1):
            session.forget_proposals()
            started, busy = time.perf_counter(), time.process_time()
            masks = session.segment_everything(image, points_per_side=options.points)
            times.append((time.perf_counter() - started, time.process_time() - busy))
        found["a megapixel"] = {
            "seconds": round(median(wall for wall, _ in times[1:]), 2),
            "processor seconds": round(median(busy for _, busy in times[1:]), 2),
            "masks": len(masks),
            "encodes": session.model.encodes - before,
            "parameters": query.as_dict(),
        }
    return found


def recall(wanted: Sequence[NDArray[np.bool_]], masks: Sequence[NDArray[np.bool_]], least: float) -> dict[str, Any]:
    """Of the wanted masks, those that one of `masks` meets with an IoU of at least `least`."""
    best = [max((mask_iou(one, mask) for mask in masks), default=0.0) for one in wanted]
    return {"found": sum(iou >= least for iou in best), "of": len(wanted), "IoU": least, "proposals": len(masks)}


# -- beside segment-anything -----------------------------------------------------------------------------------


def _vit_b(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    sam = official_sam(options.checkpoint)
    path = folder / "vit_b.pth"
    import torch

    torch.save(sam.state_dict(), path)
    figures: dict[str, Any] = {"weights": str(options.checkpoint.name) if options.checkpoint else "random"}
    with Session(folder / "vit_b", model="vit_b", checkpoint=path, device="cpu", cache={"dtype": "float32"}) as session:
        images = session.add([read_picture(name) for name in PHOTOGRAPHS], show=False).images
        session.prewarm(show=False).wait()
        encodes = session.model.encodes
        chosen: dict[str, Any] = {"points_per_side": options.points}
        if options.checkpoint is None:
            chosen |= thresholds(session, images[0], options.points)
        figures["parameters"] = chosen
        pairs, ratios = [], []
        for image in images:
            embedding, _ = session.embedding(image)
            pixels = session.pixels(image)
            for turn in range(options.rounds):
                session.forget_proposals()
                seconds = []
                for way in ("theirs", "ours"):
                    started, busy = time.perf_counter(), time.process_time()
                    if way == "theirs":
                        theirs = official_masks(sam, embedding, pixels, chosen)
                    else:
                        ours = session.segment_everything(image, **chosen)
                    seconds.append((time.perf_counter() - started, time.process_time() - busy))
                ratios.append((seconds[0][0] / seconds[1][0], seconds[0][1] / seconds[1][1]))
                figures.setdefault("seconds, theirs and ours", []).append([round(wall, 2) for wall, _ in seconds])
                if not turn:
                    pairs.append(paired(theirs, [one.mask for one in ours]))
        figures["times as fast"] = round(median(wall for wall, _ in ratios), 2)
        figures["times less processor time"] = round(median(busy for _, busy in ratios), 2)
        figures["pairs"] = pairs
        figures["encodes"] = session.model.encodes - encodes
    return figures


def official_sam(checkpoint: Path | None = None) -> Any:
    """ViT-B of segment-anything, with random weights (seed 0) where there is no checkpoint."""
    import torch

    torch.manual_seed(0)
    return import_segment_anything().sam_model_registry["vit_b"](checkpoint and str(checkpoint)).eval()


def official_masks(
    sam: Any, embedding: Embedding, pixels: NDArray[np.uint8], parameters: dict[str, Any]
) -> list[NDArray[np.bool_]]:
    """What ``SamAutomaticMaskGenerator`` finds, its features read from an embedding."""
    import torch

    package = import_segment_anything()
    generator_module = package.automatic_mask_generator
    generator_module.batched_nms = _batched_nms  # torchvision's needs an operator that torch's processor build lacks
    generator = generator_module.SamAutomaticMaskGenerator(sam, **parameters)

    def set_image(_pixels: Any) -> None:
        predictor = generator.predictor
        predictor.features = torch.from_numpy(np.array(embedding.tensors["image_embedding"], np.float32))[None]
        predictor.original_size, predictor.input_size = embedding.original_size, embedding.input_size
        predictor.is_image_set = True

    generator.predictor.set_image = set_image
    return [one["segmentation"] for one in generator.generate(np.array(pixels))]


def _batched_nms(boxes: Any, scores: Any, _classes: Any, iou_threshold: float) -> Any:
    """Torchvision's ``nms`` for one class, with one matrix product of boxes."""
    import torch

    order = scores.argsort(descending=True, stable=True)
    some = boxes[order].double()
    low, high = torch.maximum(some[:, None, :2], some[None, :, :2]), torch.minimum(some[:, None, 2:], some[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area = (some[:, 2:] - some[:, :2]).prod(-1)
    worse = (common > iou_threshold * (area[:, None] + area[None] - common)).numpy()
    left, kept = np.ones(len(order), bool), []
    for number in range(len(order)):
        if left[number]:
            kept.append(number)
            left &= ~worse[number]
    return order[torch.tensor(kept, dtype=torch.long)]


def thresholds(session: Session, image: Any, points: int) -> dict[str, float]:
    """Where the scores and stabilities of an image's masks leave the widest gap about their middle."""
    logits = session.predict(image, points=[(image.width / 2, image.height / 2)]).low_res_logits
    offset = float(np.std(logits)) / 20
    search = Search(image, session._encoder, session._templates.features)
    free = {"pred_iou_thresh": 0, "stability_score_offset": offset, "box_nms_thresh": 1.0}
    found = Everything(points, **free, stability_score_thresh=1e-6).find(search)
    score = max(_gap([one.score for one in found]), 0.0)
    stability = _gap([one.stability for one in found if one.score > score])
    return {**free, "pred_iou_thresh": score, "stability_score_thresh": stability}


def _gap(values: list[float]) -> float:
    middle = np.sort(values)[int(0.4 * len(values)) : int(0.6 * len(values)) + 2]
    widest = int(np.diff(middle).argmax())
    return float((middle[widest] + middle[widest + 1]) / 2)


def paired(theirs: list[NDArray[np.bool_]], ours: list[NDArray[np.bool_]]) -> dict[str, Any]:
    """Masks of both sides that have each other as the nearest, and the lowest IoU of such a pair."""
    ious = np.array([[mask_iou(one, other) for other in ours] for one in theirs])
    if not ious.size:
        return {"theirs": len(theirs), "ours": len(ours), "pairs": 0}
    best = ious.argmax(1)
    mutual = [number for number, other in enumerate(best) if ious[:, other].argmax() == number]
    lowest = min(float(ious[number, best[number]]) for number in mutual)
    return {"theirs": len(theirs), "ours": len(ours), "pairs": len(mutual), "lowest IoU": round(lowest, 4)}


if __name__ == "__main__":
    main()
