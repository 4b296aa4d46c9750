"""What a GPU makes of samnb, in one run of at most eight minutes.

    python -m benchmarks.gpu [--model vit_b] [--checkpoint FILE] [--seconds 480] [--json benchmarks/results/gpu.json]

Parts, one after the other; what no time is left for is listed:

- ``encode``: images a second by precision, attention and batch. The reference takes turns with each: the official
  encoder in float32, one image at a time, with the copies of `SamPredictor`.
- ``peers``: `SamPredictor` and transformers' ``SamModel`` as their users call them, with pictures and not tensors.
- ``decode``: clicks a second, one by one and 64 in one call.
- ``everything``: seconds of a megapixel with a grid of 16 × 16 clicks.
- ``prewarm``: from JPEG files of 12 megapixels to the store, with 16 readers.
- ``compile``: the encoder by `torch.compile`, which takes a minute or more before its first answer.

Without a checkpoint the weights are random: the work is the same, but masks say nothing, so that their IoU is told only
with one. Where torch finds no GPU nothing is measured, and the reason is printed; ``--device cpu --small`` tries the
script itself.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.prewarm import make_pictures
from samnb.encoding.storage_check import random_prompts
from samnb.models import REGISTRY
from samnb.models.sam.model import SamModel
from samnb.models.sam.reference import import_segment_anything
from samnb.models.weights.checkpoints import open_checkpoint
from samnb.prompts import Embedding, Prompt
from samnb.session import Session

PRECISIONS = ("float32", "float16", "bfloat16")
READERS = 16
SIZE = (768, 1024)
MODELS = ("vit_b", "vit_l", "vit_h")


@dataclass
class Bench:
    """The run: its options, pictures, the reference and its embeddings, and when it must end."""

    options: argparse.Namespace
    folder: Path
    ends: float
    checkpoint: Path = field(init=False)
    pictures: list[np.ndarray] = field(init=False)
    reference: SamModel = field(init=False)
    truth: list[Embedding] = field(init=False)

    def __post_init__(self) -> None:
        import torch

        official = import_segment_anything()
        self.checkpoint = self.options.checkpoint or self.folder / f"{self.options.model}.pth"
        if not self.checkpoint.exists():
            torch.manual_seed(0)
            torch.save(official.sam_model_registry[self.options.model]().state_dict(), self.checkpoint)
        count = self.options.pictures
        self.pictures = [np.random.default_rng(n).integers(0, 256, (*SIZE, 3), np.uint8) for n in range(count)]
        self.reference = self.open(fast_attention=False, precision="float32")
        self.truth = [self.reference.encode(pixels) for pixels in self.pictures]

    @property
    def on_gpu(self) -> bool:
        """Whether the device counts its memory, and can run out of it."""
        return str(self.options.device).startswith("cuda")

    def open(self, **options: Any) -> SamModel:
        """The model, with these options of `SamModel`."""
        entry = REGISTRY[self.options.model]
        weights = open_checkpoint(entry.info, self.checkpoint)
        plain: Any = entry.load(entry.info, weights, device=self.options.device)
        return SamModel(entry.info, weights, plain.config, device=self.options.device, **options)

    def reset_peak(self) -> None:
        """Forget the peak of the GPU's memory so far."""
        import torch

        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_mib(self) -> int | None:
        """The peak of the GPU's memory since `reset_peak`."""
        import torch

        return round(torch.cuda.max_memory_allocated() / 2**20) if self.on_gpu else None

    def alternate(self, work: Callable[[], Any], images: int) -> dict[str, float]:
        """Median images a second of `work`, which gives arrays, and times the reference in turns."""
        pairs = []
        for _ in range(self.options.rounds):
            theirs = rate(lambda: [self.reference.encode(pixels) for pixels in self.pictures], len(self.pictures))
            pairs.append((rate(work, images), theirs))
        return {
            "images_a_second": round(median(ours for ours, _ in pairs), 2),
            "times_reference": round(median(ours / theirs for ours, theirs in pairs), 2),
        }


def rate(work: Callable[[], Any], count: int) -> float:
    """How many a second; what runs on the GPU has ended when `work` returns, since it gives arrays."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def mask_iou(model: SamModel, ours: list[Embedding], theirs: list[Embedding], prompts: list[Prompt]) -> float:
    """Mean over the prompts on each image, of the mask that the reference scores best."""
    found = []
    for one, other in zip(ours, theirs, strict=True):
        for prompt in prompts:
            truth, answer = model.decode(other, prompt), model.decode(one, prompt)
            best = int(np.argmax(truth.scores))
            a, b = truth.masks[best], answer.masks[best]
            found.append(float((a & b).sum() / max(1, (a | b).sum())))
    return round(float(np.mean(found)), 5)


def encode(bench: Bench) -> Iterator[dict[str, Any]]:
    """One row for each precision, attention and batch."""
    prompts = random_prompts(SIZE, 16)
    for precision in PRECISIONS:
        for fast in (False, True):
            model = bench.open(fast_attention=fast, precision=precision)
            prepared = [model.prepare(pixels) for pixels in bench.pictures]
            for size in bench.options.batches:
                batches = [prepared[start : start + size] for start in range(0, len(prepared), size)]

                def ours(model: SamModel = model, batches: Any = batches) -> list[Embedding]:
                    return [one for batch in batches for one in model.encode_prepared(batch)]

                embeddings = ours()
                bench.reset_peak()
                row = {"precision": precision, "attention": "fast" if fast else "official", "batch": size}
                row |= bench.alternate(ours, len(bench.pictures))
                pairs = zip(embeddings, bench.truth, strict=True)
                apart = (np.abs(a.tensors["image_embedding"] - b.tensors["image_embedding"]).max() for a, b in pairs)
                row |= {"peak_mib": bench.peak_mib(), "largest_difference": float(max(apart))}
                if bench.options.checkpoint:
                    row["mask_iou"] = mask_iou(bench.reference, embeddings, bench.truth, prompts)
                yield row


def peers(bench: Bench) -> Iterator[dict[str, Any]]:
    """How their own users would call them."""
    import torch

    official = import_segment_anything()
    sam = official.sam_model_registry[bench.options.model](checkpoint=str(bench.checkpoint)).to(bench.options.device)
    predictor = official.SamPredictor(sam)

    def theirs() -> None:
        for pixels in bench.pictures:
            predictor.set_image(pixels)
            predictor.get_image_embedding().cpu()

    theirs()
    yield {"who": "SamPredictor"} | bench.alternate(theirs, len(bench.pictures))
    del sam
    try:
        from transformers import SamConfig, SamImageProcessor, SamVisionConfig
        from transformers import SamModel as TransformersSam
    except ImportError as error:
        yield {"who": "transformers", "not measured": str(error)}
        return
    size: dict[str, Any] = {
        "vit_b": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
        "vit_l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
        "vit_h": {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16},
    }[bench.options.model]
    net = TransformersSam(SamConfig(vision_config=SamVisionConfig(**size))).eval().to(bench.options.device)
    processor = SamImageProcessor()

    @torch.inference_mode()
    def others() -> None:
        for pixels in bench.pictures:
            inputs = processor(pixels, return_tensors="pt").to(bench.options.device)
            net.get_image_embeddings(inputs["pixel_values"]).cpu()

    others()
    yield {"who": "transformers, float32"} | bench.alternate(others, len(bench.pictures))


def decode(bench: Bench) -> Iterator[dict[str, Any]]:
    """Clicks on an embedding that is there."""
    model, prompts = bench.open(), random_prompts(SIZE, 64)
    embedding = model.encode(bench.pictures[0])
    ways: dict[str, Callable[[], Any]] = {
        "one by one": lambda: [model.decode(embedding, prompt) for prompt in prompts],
        "64 in one call": lambda: model.decode_many([(embedding, prompt) for prompt in prompts]),
    }
    for way, work in ways.items():
        work()
        bench.reset_peak()
        rates = [rate(work, len(prompts)) for _ in range(bench.options.rounds)]
        yield {"way": way, "clicks_a_second": round(median(rates), 1), "peak_mib": bench.peak_mib()}


def everything(bench: Bench) -> Iterator[dict[str, Any]]:
    """A grid of clicks on a picture whose embedding is there."""
    options: Any = {"model": bench.options.model, "checkpoint": bench.checkpoint, "device": bench.options.device}
    with Session(bench.folder / "everything", **options) as session:
        [image] = session.add(bench.pictures[0], show=False).images
        session.embedding(image)
        bench.reset_peak()
        seconds = []
        for _ in range(1 + bench.options.rounds):  # the first one warms up
            session.forget_proposals()
            started = time.perf_counter()
            # Masks of random weights are noise: all are kept or none, which is no figure; so none must pass.
            session.segment_everything(image, points_per_side=16, pred_iou_thresh=0.99)
            seconds.append(time.perf_counter() - started)
        yield {"points_per_side": 16, "seconds": round(median(seconds[1:]), 3), "peak_mib": bench.peak_mib()}


def prewarm(bench: Bench) -> Iterator[dict[str, Any]]:
    """Files to embeddings on disk."""
    pictures = bench.folder / "jpegs"
    make_pictures(pictures, bench.options.jpegs)
    os.environ["SAMNB_READERS"] = str(READERS)
    options: Any = {"model": bench.options.model, "checkpoint": bench.checkpoint, "device": bench.options.device}
    with Session(bench.folder / "prewarm", **options) as session:
        session.add(pictures, show=False)
        session.predict(session.images()[0], points=[(10, 10)])  # loads the model
        for precise in ("first", "again"):
            for image in session.images():
                session.cache.remove(session._encoder.key(image.pixel_hash, image.size_hw))
            bench.reset_peak()
            started = time.perf_counter()
            *_, last = session.prewarm_stream()
            seconds = time.perf_counter() - started
            row = {"run": precise, "images_a_second": round(last["computed"] / seconds, 2), "failed": last["failed"]}
            yield row | {"readers": READERS, "cores": os.cpu_count(), "peak_mib": bench.peak_mib()}


def compiled(bench: Bench) -> Iterator[dict[str, Any]]:
    """`torch.compile` of the encoder, in the precision that is used on a GPU."""
    import torch

    for on in (False, True):
        model = bench.open()
        batch = [model.prepare(pixels) for pixels in bench.pictures[:8]]
        work = partial(model.encode_prepared, batch)
        work()
        started = time.perf_counter()
        if on:
            model._encoder = torch.compile(model._encoder)
            work()
        warm = time.perf_counter() - started
        rates = [rate(work, len(batch)) for _ in range(bench.options.rounds)]
        yield {"compiled": on, "seconds_to_compile": round(warm, 1), "images_a_second": round(median(rates), 2)}


PARTS: dict[str, Callable[[Bench], Iterator[dict[str, Any]]]] = {
    "peers": peers,
    "decode": decode,
    "everything": everything,
    "prewarm": prewarm,
    "encode": encode,
    "compile": compiled,
}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The tables, and what was left out."""
    import torch

    bench = Bench(options, folder, time.monotonic() + options.seconds)
    found: dict[str, Any] = {
        "model": options.model,
        "weights": options.checkpoint.name if options.checkpoint else "random",
        "device": torch.cuda.get_device_name() if bench.on_gpu else options.device,
        "torch": torch.__version__,
        "left_out": [],
    }
    for name in options.parts:
        rows = found[name] = []
        try:
            for row in PARTS[name](bench):
                rows.append(row)
                print(name, row, flush=True)
                if time.monotonic() > bench.ends:
                    found["left_out"].append(f"{name}, after {len(rows)} rows: no time")
                    break
        except torch.OutOfMemoryError as error:
            found["left_out"].append(f"{name}, after {len(rows)} rows: {error}")
    return found


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="vit_b", choices=MODELS)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--jpegs", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=480, help="no row is begun after so many")
    parser.add_argument("--device", default="cuda", help="cpu: to try the script itself")
    parser.add_argument("--small", action="store_true", help="one picture, one round, to try the script itself")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    if options.small:
        options.batches, options.pictures, options.jpegs, options.rounds = [1], 1, 2, 1
    return options


def main() -> None:
    """Measure, print, and keep; or say why not."""
    options = parse()
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"Nothing measured: torch {torch.__version__} finds no CUDA device on this machine.")
        return
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(measure(options, Path(folder)), indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
