"""What storing embeddings as float16 or int8 does to masks: IoU with the masks of float32 storage.

    python benchmarks/storage_precision.py [--prompts 200] [--vit-b [--checkpoint sam_vit_b_01ec64.pth]] [--json FILE]

``tiny`` (trained) on three packaged pictures. With --vit-b also ViT-B on one of them, which takes a minute or two;
without a checkpoint its weights are random: the arithmetic is the same, the masks mean nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samnb.encoding.storage_check import compare_storage
from samnb.models import Model, load_model
from samnb.prompts import Embedding
from samnb.store.codecs import compress
from samnb.store.entry import make_key, number_width, round_trip, serialize

RESULTS = Path(__file__).parent / "results" / "storage_precision.json"
KEY = make_key("pixels", "weights", "recipe")
VIT_B_PROMPTS = 40  # 0.1 s each, three times


def main() -> None:
    """Measure, print, write."""
    options = _options()
    pictures = _pictures()
    results = [
        _measured(load_model("tiny"), "tiny", name, pixels, options.prompts) for name, pixels in pictures.items()
    ]
    if options.vit_b:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = options.checkpoint or _random_vit_b(Path(folder) / "random_vit_b.pth")
            model = load_model("vit_b", checkpoint=checkpoint, device="cpu")
            called = "vit_b" if options.checkpoint else "vit_b, random weights"
            prompts = min(options.prompts, VIT_B_PROMPTS)
            results.append(_measured(model, called, "china", pictures["china"], prompts))
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _measured(model: Model, called: str, picture: str, pixels: NDArray[np.uint8], prompts: int) -> dict[str, Any]:
    embedding = model.encode(pixels)
    report = compare_storage(model, [embedding], prompts=prompts)
    noise = {dtype: round(_decibels(embedding, dtype), 1) for dtype in ("float16", "int8")}
    shrunk = {dtype: round(_compressed(embedding, dtype), 3) for dtype in ("float32", "float16", "int8")}
    print(f"\n{called} on {picture}\n{report}")
    print("signal over noise: " + ", ".join(f"{dtype} {decibels:.1f} dB" for dtype, decibels in noise.items()))
    print(
        "shuffled and compressed to: " + ", ".join(f"{dtype} {share:.0%}" for dtype, share in shrunk.items()),
        flush=True,
    )
    return report.as_dict() | {"model": called, "picture": picture, "signal_over_noise_db": noise, "compressed": shrunk}


def _decibels(embedding: Embedding, dtype: str) -> float:
    stored = round_trip(embedding, dtype)
    signal = sum(float((tensor.astype(np.float64) ** 2).sum()) for tensor in embedding.tensors.values())
    noise = sum(
        float(((tensor.astype(np.float64) - stored.tensors[name]) ** 2).sum())
        for name, tensor in embedding.tensors.items()
    )
    return 10 * float(np.log10(signal / noise))


def _compressed(embedding: Embedding, dtype: str) -> float:
    raw = serialize(KEY, embedding, dtype=dtype, metadata={})
    return len(compress(raw, width=number_width(raw))) / len(raw)


def _pictures() -> dict[str, NDArray[np.uint8]]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    coins = np.repeat(data.coins()[..., None], 3, -1)
    return {"coins": coins, "china": np.array(load_sample_image("china.jpg")), "astronaut": data.astronaut()}


def _random_vit_b(path: Path) -> Path:
    """A weight file of random numbers; the position tables, zero at birth, are filled too."""
    import torch
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(std=0.1 if "rel_pos" in name else 0.02)
    torch.save(sam.state_dict(), path)
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prompts", type=int, default=200, help="for each picture (ViT-B: at most 40)")
    parser.add_argument("--vit-b", action="store_true", help="also ViT-B, on one picture; slow")
    parser.add_argument("--checkpoint", type=Path, help="ViT-B's weight file; random weights without it")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where to write the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
