"""A model's encoder on a GPU beside segment-anything's own: images a second by precision, attention and batch.

    python benchmarks/gpu.py [--model vit_b] [--checkpoint FILE] [--batches 1 4 16] [--json benchmarks/results/gpu.json]

The reference is the official encoder in float32, one image at a time, with the copies of `SamPredictor`. Variants take
turns with it. Without a checkpoint the weights are random: the work is the same, but masks say nothing, so that their
IoU is told only with one. Where torch finds no GPU nothing is measured, and the reason is printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from samnb.encoding.storage_check import random_prompts
from samnb.models import REGISTRY
from samnb.models.sam.model import SamModel
from samnb.models.weights.checkpoints import open_checkpoint
from samnb.prompts import Embedding, Prompt

PRECISIONS = ("float32", "float16", "bfloat16")


class RandomWeights:
    """Stands for a weight file: initial weights of the model's own parts."""

    path, sha256, size_bytes = Path("random weights"), "0" * 64, 0

    def __init__(self, plan: Any):
        self._plan = plan

    def read(self) -> dict[str, Any]:
        """Every tensor under the name it has in a weight file."""
        import torch

        torch.manual_seed(0)
        parts = ("image_encoder", "prompt_encoder", "mask_decoder")
        return {f"{part}.{k}": v for part in parts for k, v in getattr(self._plan, part)().state_dict().items()}


def open_model(name: str, checkpoint: Path | None, device: str, **options: Any) -> SamModel:
    """With these options of `SamModel`."""
    entry = REGISTRY[name]
    if checkpoint is not None:
        weights: Any = open_checkpoint(entry.info, checkpoint)
        plain = entry.load(entry.info, weights, device=device)
    else:
        plain = entry.load(entry.info, RandomWeights(None), device=device)  # type: ignore[arg-type]
        weights = RandomWeights(plain.config)  # type: ignore[attr-defined]
    return SamModel(entry.info, weights, plain.config, device=device, **options)  # type: ignore[attr-defined]


def rate(work: Callable[[], Any], images: int) -> float:
    """Images a second; what runs on the GPU has ended when `work` returns, since it gives arrays."""
    started = time.perf_counter()
    work()
    return images / (time.perf_counter() - started)


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


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The table."""
    import torch

    pictures = [np.random.default_rng(n).integers(0, 256, (768, 1024, 3), np.uint8) for n in range(options.pictures)]
    prompts = random_prompts((768, 1024), 16)
    reference = open_model(options.model, options.checkpoint, options.device, fast_attention=False, precision="float32")
    truth = [reference.encode(pixels) for pixels in pictures]
    rows = []
    for precision in PRECISIONS:
        for fast in (False, True):
            wanted: Any = {"fast_attention": fast, "precision": precision}
            model = open_model(options.model, options.checkpoint, options.device, **wanted)
            prepared = [model.prepare(pixels) for pixels in pictures]
            for size in options.batches:
                batches = [prepared[start : start + size] for start in range(0, len(prepared), size)]

                def ours(model: SamModel = model, batches: Any = batches) -> list[Embedding]:
                    return [one for batch in batches for one in model.encode_prepared(batch)]

                embeddings = ours()
                on_gpu = options.device.startswith("cuda")
                if on_gpu:
                    torch.cuda.reset_peak_memory_stats()
                pairs = []
                for _ in range(options.rounds):
                    theirs = rate(lambda: [reference.encode(pixels) for pixels in pictures], len(pictures))
                    pairs.append((rate(ours, len(pictures)), theirs))
                rows.append(
                    {
                        "precision": precision,
                        "attention": "flash, positions folded" if fast else "official",
                        "batch": size,
                        "images_a_second": round(median(pair[0] for pair in pairs), 2),
                        "times_reference": round(median(a / b for a, b in pairs), 2),
                        "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20) if on_gpu else None,
                        "largest_difference": float(
                            max(
                                np.abs(a.tensors["image_embedding"] - b.tensors["image_embedding"]).max()
                                for a, b in zip(embeddings, truth, strict=True)
                            )
                        ),
                        "mask_iou": mask_iou(reference, embeddings, truth, prompts) if options.checkpoint else None,
                    }
                )
                print(rows[-1], flush=True)
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    return {"model": options.model, "device": name, "torch": torch.__version__, "rows": rows}


def main() -> None:
    """Measure, print, and keep; or say why not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="vit_b", choices=["tiny", "vit_b", "vit_l", "vit_h"])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda", help="cpu: to try the script itself")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"Nothing measured: torch {torch.__version__} finds no CUDA device on this machine.")
        return
    text = json.dumps(measure(options), indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
