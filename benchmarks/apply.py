"""Applying a template to prewarmed images: samnb beside a plain loop of ``SamPredictor`` with features set by hand.

    python -m benchmarks.apply [--images 500] [--vit-b-images 20] [--parts 10] [--threads 2] [--checkpoint FILE]

The images are windows of packaged photographs (coins, astronaut, coffee, rocket), 320 x 320, added to a session and
prewarmed; they are applied to by the same code a user calls, with the reading of embeddings from the disk and the
writing of masks into the catalog. Encodes are counted, and have to be none.

The loop gets the very prompts that the search asked the model on each image, in their order, with embeddings already
in its memory, and writes nothing: one `predict` a prompt, which gives three masks at the size of the image. So it is
spared the search, the comparing, the disk and the catalog. For each mask that was kept the loop's candidates are
looked through: the highest IoU says whether both made the same masks. The model of the loop is the official code with
the same weights; no other code runs `tiny`, so its earlier net stands in: its plain (not its fused) decoder behind
`SamPredictor`.

The two alternate within one run, a part of the images at a time; the first part is done once more before, to warm up.
A part's ratio says how far a busy machine can be trusted. ViT-B's weights are random without a checkpoint, and a
random encoder is never run: its embeddings are random numbers put into the store. What counts there is the ratio.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import samnb.session
from benchmarks.decode import _model, _predictor
from benchmarks.evaluation_set.pictures import read_picture
from samnb.masks import mask_iou
from samnb.models import load_model, tiny_sam
from samnb.models.candidates import Candidates
from samnb.models.preprocessing import input_size_of
from samnb.models.sam import variants
from samnb.models.sam.reference import import_segment_anything
from samnb.prompts import Embedding, Prompt
from samnb.session import Session
from samnb.templates import Template

RESULTS = Path(__file__).parent / "results" / "apply.json"
EARLIER = Path(__file__).parents[1] / "training" / "earlier_weights" / "tiny.safetensors"
PICTURES = ("coins", "astronaut", "coffee", "rocket")
SIDE = 320
EVERYTHING = {"min_score": 0.0, "min_similarity": -1.0, "max_area_ratio": 1e6, "max_objects": 8}
"""For random weights: masks are kept whatever they are, so that there are some to write and compare."""

Asked = dict[str, list[Prompt]]


def main() -> None:
    """Measure, print and keep."""
    options = _options()
    import torch

    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"threads": options.threads, "parts": options.parts, "image": [SIDE, SIDE]}
    if options.images:
        model = load_model("tiny", checkpoint=EARLIER)
        predictor = import_segment_anything().SamPredictor(tiny_sam.build_sam(EARLIER))
        figures["tiny of 0.1"] = _measured(model, predictor, options.images, options.parts)
    if options.vit_b_images:
        with tempfile.TemporaryDirectory() as folder:
            decoder = _model(Path(folder), options.checkpoint)
        named = "vit_b" if options.checkpoint else "vit_b, random weights"
        figures[named] = _measured(decoder, _predictor(decoder), options.vit_b_images, options.parts, made_up=True)
    print(json.dumps(figures, indent=1))
    options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, help="for tiny; 0: leave it out")
    parser.add_argument("--vit-b-images", type=int, default=20, help="0: leave it out")
    parser.add_argument("--parts", type=int, default=10, help="how often the two take turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="of vit_b; random weights without it")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def _measured(model: Any, predictor: Any, images: int, parts: int, *, made_up: bool = False) -> dict[str, Any]:
    samnb.session.load_model = lambda *args, **options: model  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, Session(folder) as session:
        session.add(_windows(images))
        if made_up:
            _fill(session)
        else:
            session.prewarm(show=False).wait()
        embeddings = {image.id: session.embedding(image)[0] for image in session.images()}
        template, encodes = _template(session, made_up=made_up), model.encodes
        asked: Asked = {}

        def ours(part: list[str]) -> None:
            last = list(session.apply_stream(template, images=part))[-1]
            assert (last["computed"], last["encoded"], last["failed"]) == (len(part), 0, 0)

        def plain(part: list[str]) -> None:
            for image in part:
                for prompt in asked.get(image, ()):
                    _official(predictor, embeddings[image], prompt)

        shared = [list(embeddings)[number::parts] for number in range(min(parts, images))]
        with _noting(model, embeddings, asked):
            ours(shared[0])
            plain(shared[0])
            session.undo_apply(template)
            asked.clear()
            times = _alternating(ours, plain, shared)
        kept = {image: [a.mask for a in session.annotations(image=image)] for image in embeddings}
        prompts = sum(map(len, asked.values()))
        ratios = [other / own for own, other in zip(*times, strict=True)]
        return {
            "images": images,
            "encodes": model.encodes - encodes,
            "prompts": prompts,
            "masks kept": sum(map(len, kept.values())),
            "samnb apply, images/s": round(images / sum(times[0]), 2),
            "SamPredictor loop, images/s": round(images / sum(times[1]), 2),
            "times as fast": round(sum(times[1]) / sum(times[0]), 2),
            "times as fast, each part": [round(ratio, 2) for ratio in ratios],
            **_compared(predictor, embeddings, asked, kept),
        }


def _windows(count: int) -> list[NDArray[np.uint8]]:
    """Windows of photographs at other places and scales, all different."""
    rng, found = np.random.default_rng(0), []
    pictures = [np.asarray(read_picture(name)) for name in PICTURES]
    for number in range(count):
        pixels = pictures[number % len(pictures)]
        side = int(rng.integers(200, min(pixels.shape[:2])))
        y, x = (int(rng.integers(0, length - side + 1)) for length in pixels.shape[:2])
        part = np.ascontiguousarray(pixels[y : y + side, x : x + side])
        found.append(np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8))
    return found


def _fill(session: Session) -> None:
    """Embeddings as random as the weights, smooth enough to have places."""
    for number, image in enumerate(session.images()):
        values = np.random.default_rng(number).normal(
            scale=0.3, size=(variants.DIM, variants.GRID_SIZE, variants.GRID_SIZE)
        )
        tensor = np.stack([cv2.GaussianBlur(channel, (9, 9), 2) for channel in values.astype(np.float32)])
        embedding = Embedding(
            {"image_embedding": tensor}, image.size_hw, input_size_of(image.size_hw, variants.IMAGE_SIZE)
        )
        session.cache.put(session._encoder.key(image.pixel_hash), embedding, about={})


def _template(session: Session, *, made_up: bool) -> Template:
    """From one click in the middle of the first image."""
    first = session.images()[0]
    session.accept(session.predict(first, points=[(SIDE / 2, SIDE / 2)]), category="object")
    template = session.save_template(session.template("object").with_parameters(**(EVERYTHING if made_up else {})))
    session.remove(session.annotations(image=first)[0])
    return template


@contextmanager
def _noting(model: Any, embeddings: dict[str, Embedding], asked: Asked) -> Iterator[None]:
    """While inside, the prompts of searches are noted by image id."""
    propose, ids = model.propose, {_known_by(embedding): image for image, embedding in embeddings.items()}

    def noting(embedding: Embedding, prompts: Sequence[Prompt]) -> list[Candidates]:
        asked.setdefault(ids[_known_by(embedding)], []).extend(prompts)
        return propose(embedding, prompts)

    model.propose = noting
    try:
        yield
    finally:
        del model.propose


def _known_by(embedding: Embedding) -> bytes:
    return embedding.tensors["image_embedding"][:, ::16, ::16].tobytes()


def _alternating(
    ours: Callable[[list[str]], None], plain: Callable[[list[str]], None], shared: list[list[str]]
) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for part in shared:
        for way, kept in zip((ours, plain), times, strict=True):
            start = time.perf_counter()
            way(part)
            kept.append(time.perf_counter() - start)
    return times


def _compared(
    predictor: Any, embeddings: dict[str, Embedding], asked: Asked, kept: dict[str, list[NDArray[np.bool_]]]
) -> dict[str, Any]:
    """For each mask kept, the most alike of what the loop makes of its image's prompts; at most 20 images."""
    ious: list[float] = []
    for image in [image for image in kept if kept[image]][:20]:
        made = [mask for prompt in asked.get(image, ()) for mask in _official(predictor, embeddings[image], prompt)]
        ious += [max(mask_iou(mask, one) for one in made) for mask in kept[image]]
    if not ious:
        return {"masks compared": 0}
    return {"masks compared": len(ious), "lowest IoU": round(min(ious), 5), "median IoU": round(median(ious), 5)}


def _official(predictor: Any, embedding: Embedding, prompt: Prompt) -> NDArray[np.bool_]:
    import torch

    predictor.features = torch.tensor(embedding.tensors["image_embedding"], dtype=torch.float32)[None]
    predictor.original_size, predictor.input_size = embedding.original_size, embedding.input_size
    predictor.is_image_set = True
    masks: NDArray[np.bool_] = predictor.predict(np.array(prompt.points), np.array(prompt.point_labels))[0]
    return masks


if __name__ == "__main__":
    main()
