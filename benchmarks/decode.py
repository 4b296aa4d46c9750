"""How long a prompt takes on ViT-B's decoder, its embedding in memory: samnb beside ``SamPredictor.predict``.

    python -m benchmarks.decode [--rounds 7] [--many 64] [--threads 2] [--checkpoint sam_vit_b_01ec64.pth] [--json F]

The picture has three megapixels (1536 x 2048). Both sides get the same embeddings, random numbers, and no encoder is
built; without a checkpoint the decoder's weights are random too: the work is the same, and masks as ragged as noise
are the most that scaling up can be asked. The two alternate within one run, the first round warms up. `SamPredictor`
scales three masks up and samnb the best one; `three masks` asks samnb for all. Keep the machine quiet, or read the
ratios only: on a busy one those of processor time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from samnb.models.devices import on_threads
from samnb.models.preprocessing import input_size_of
from samnb.models.sam import variants
from samnb.models.sam.model import SamModel
from samnb.models.sam.reference import import_segment_anything
from samnb.models.upscaling import official_mask, upscale_mask
from samnb.models.weights.checkpoints import ModelInfo, open_checkpoint
from samnb.prompts import Embedding, Prediction, Prompt

RESULTS = Path(__file__).parent / "results" / "decode.json"
SIZE = (1536, 2048)
PARTS = ("prompt_encoder", "mask_decoder")


def main() -> None:
    """Measure, print and keep."""
    options = _options()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder), options.checkpoint)
        images = [_embedding(seed) for seed in range(options.many)]
        model.decode(images[0], _prompts(1)[0])
    predictor = _predictor(model)
    figures: dict[str, Any] = {"picture": SIZE, "threads": options.threads, "rounds": options.rounds}
    figures["one click"] = _one_click(model, predictor, options.rounds)
    few = max(1, options.rounds // 3)
    figures[f"{options.many} prompts on one image"] = _many(
        model, predictor, [(images[0], prompt) for prompt in _prompts(options.many)], few
    )
    figures[f"one prompt on each of {options.many} images"] = _many(
        model, predictor, list(zip(images, _prompts(options.many), strict=True)), few
    )
    figures["parts on one thread, ms"] = _parts(model, options.rounds)
    print(json.dumps(figures, indent=1))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--many", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="of vit_b; random weights without it")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def _one_click(model: SamModel, predictor: Any, rounds: int) -> dict[str, Any]:
    known, prompt = _embedding(0), _prompts(1)[0]
    ways: dict[str, Callable[[], Any]] = {
        "SamPredictor": lambda: _official(predictor, known, prompt),
        "samnb": lambda: model.decode(known, prompt).mask,
        "samnb, three masks": lambda: model.decode(known, prompt).masks,
        "samnb, first click on an image": lambda: model.decode(_copy(known), prompt).mask,
    }
    return {**_alternating(ways, rounds), **_compared([model.decode(known, prompt)], predictor, [(known, prompt)])}


def _many(model: SamModel, predictor: Any, pairs: Sequence[tuple[Embedding, Prompt]], rounds: int) -> dict[str, Any]:
    """Every way ends with a mask of full size for each prompt."""
    ways: dict[str, Callable[[], Any]] = {
        "SamPredictor": lambda: [_official(predictor, *pair) for pair in pairs],
        "samnb": lambda: [prediction.mask for prediction in model.decode_many(pairs)],
        "samnb, a loop of decode": lambda: [model.decode(*pair).mask for pair in pairs],
    }
    return {**_alternating(ways, rounds), **_compared(model.decode_many(pairs[:4]), predictor, pairs[:4])}


def _parts(model: SamModel, rounds: int) -> dict[str, float]:
    import torch

    decoder = model._decoder
    assert decoder is not None
    layers = decoder._layers
    assert layers is not None
    image = torch.from_numpy(_embedding(0).tensors["image_embedding"])
    raw, known = layers.image_side(image), layers.image_side(image)
    with torch.inference_mode():
        layers.project(known)
        sparse, dense = decoder.prompt_encoder(_points(1), None, None)
        logits = layers([known], sparse, multimask=True)[0][0, 0].numpy()
    sizes: dict[str, Any] = {"frame": 1024, "input_size": input_size_of(SIZE, 1024), "original_size": SIZE}
    ways: dict[str, Callable[[], Any]] = {
        "prompt encoder": lambda: decoder.prompt_encoder(_points(1), None, None),
        "official layers": lambda: decoder.mask_decoder(
            image_embeddings=image[None],
            image_pe=decoder.position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        ),
        "embedding as rows, once an image": lambda: layers.image_side(image),
        "projections, once an image": lambda: layers.project(layers.image_side(image)),
        "layers, image not projected": lambda: layers([raw], sparse, multimask=True),
        "layers": lambda: layers([known], sparse, multimask=True),
        "official scaling, one mask": lambda: official_mask(logits, **sizes),
        "scaling, one mask": lambda: upscale_mask(logits, **sizes),
        "scaling, one small object": lambda: upscale_mask(_disc(), **sizes),
    }
    for count in (2, 4, 8, 16):
        with torch.inference_mode():
            tokens = decoder.prompt_encoder(_points(count), None, None)[0]
        ways[f"layers, {count} prompts at once, each"] = partial(layers, [known], tokens, multimask=True)
    with torch.inference_mode():
        times = _times({name: partial(_alone, way) for name, way in ways.items()}, rounds)
    each = {name: int(name.split()[1]) if name.endswith("each") else 1 for name in ways}
    return {name: round(median(wall for wall, _ in values) * 1e3 / each[name], 2) for name, values in times.items()}


def _alone(way: Callable[[], Any]) -> None:
    with on_threads(1):
        way()


def _alternating(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    times = _times(ways, rounds)
    first = times[next(iter(ways))]
    return {
        "median s": {name: round(median(wall for wall, _ in values), 4) for name, values in times.items()},
        "fastest s": {name: round(min(values)[0], 4) for name, values in times.items()},
        "median processor s": {name: round(median(busy for _, busy in values), 4) for name, values in times.items()},
        # of each round: what keeps the machine busy keeps it busy for all
        "times as fast": {name: _ratio(first, values, 0) for name, values in times.items()},
        "times less processor time": {name: _ratio(first, values, 1) for name, values in times.items()},
    }


def _ratio(first: list[tuple[float, float]], values: list[tuple[float, float]], which: int) -> float:
    return round(median(a[which] / b[which] for a, b in zip(first, values, strict=True)), 2)


def _times(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of each round but the first."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            way()
            if turn:
                times[name].append((time.perf_counter() - start, time.process_time() - busy))
    return times


def _compared(
    predictions: Sequence[Prediction], predictor: Any, pairs: Sequence[tuple[Embedding, Prompt]]
) -> dict[str, float]:
    """All masks of these predictions beside the official ones."""
    lowest, pixels, logit, largest, covered = 1.0, 0, 0.0, 0.0, []
    for prediction, pair in zip(predictions, pairs, strict=True):
        masks, _, logits = _official(predictor, *pair)
        for mask, expected in zip(prediction.masks, masks, strict=True):
            pixels += int((mask != expected).sum())
            lowest = min(lowest, float((mask & expected).sum() / max(1, (mask | expected).sum())))
            covered.append(float(expected.mean()))
        logit = max(logit, float(np.abs(prediction.low_res_logits - logits).max()))
        largest = max(largest, float(np.abs(logits).max()))
    return {
        "masks compared": len(covered),
        "median share of the picture": round(median(covered), 3),
        "lowest IoU": lowest,
        "differing pixels": pixels,
        "largest difference of a logit": logit,
        "largest logit": largest,
    }


def _official(predictor: Any, image: Embedding, prompt: Prompt) -> Any:
    import torch

    predictor.features = torch.from_numpy(image.tensors["image_embedding"])[None]
    predictor.original_size, predictor.input_size, predictor.is_image_set = image.original_size, image.input_size, True
    return predictor.predict(np.array(prompt.points), np.array(prompt.point_labels))


def _model(folder: Path, checkpoint: Path | None) -> SamModel:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    plan = variants.sam_config("vit_b")
    modules = {"prompt_encoder": plan.prompt_encoder(), "mask_decoder": plan.mask_decoder()}
    state = {f"{part}.{name}": value for part, module in modules.items() for name, value in module.state_dict().items()}
    if checkpoint is not None:
        whole = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = {name: value for name, value in whole.items() if name.startswith(PARTS)}
    path = folder / "decoder.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    info = ModelInfo("the decoder of vit_b", "sam", path.name, None, None, False, "The decoder alone.")
    model = SamModel(info, open_checkpoint(info, path), plan, device="cpu")
    model.decode(_embedding(0), _prompts(1)[0])  # reads the file, which is gone soon
    return model


def _predictor(model: SamModel) -> Any:
    import torch

    class NoEncoder(torch.nn.Module):
        """All that a predictor asks of it."""

        img_size = variants.IMAGE_SIZE

    package, decoder = import_segment_anything(), model._decoder
    assert decoder is not None
    return package.SamPredictor(package.modeling.Sam(NoEncoder(), decoder.prompt_encoder, decoder.mask_decoder))


def _embedding(seed: int) -> Embedding:
    values = np.random.default_rng(seed).normal(scale=0.3, size=(variants.DIM, variants.GRID_SIZE, variants.GRID_SIZE))
    return Embedding({"image_embedding": values.astype(np.float32)}, SIZE, input_size_of(SIZE, variants.IMAGE_SIZE))


def _copy(image: Embedding) -> Embedding:
    return Embedding(image.tensors, image.original_size, image.input_size)


def _prompts(count: int) -> list[Prompt]:
    places = np.random.default_rng(1).uniform(0, SIZE[::-1], (count, 2))
    return [Prompt.of(points=[place]) for place in places]


def _points(count: int) -> Any:
    import torch

    return torch.rand(count, 1, 2) * 1000, torch.ones(count, 1)


def _disc() -> Any:
    down, across = np.mgrid[:256, :256]
    return (15 - np.hypot(down - 90, across - 120)).astype(np.float32)


if __name__ == "__main__":
    main()
