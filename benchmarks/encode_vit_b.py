"""How long ViT-B takes to encode one picture on this machine: the official attention against samnb's.

    python benchmarks/encode_vit_b.py [--checkpoint sam_vit_b_01ec64.pth] [--rounds 3] [--threads N]

Without a checkpoint the weights are random: the work is the same. The two alternate within one run, so that a busy
machine is busy for both, and processor time is printed beside wall time. The ratio is the figure to trust.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

from samnb.models import sam
from samnb.models.attention import use_fast_attention


def main() -> None:
    """Measure and print."""
    options = _options()
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    encoder = _encoder(options.checkpoint)
    pixels = torch.randn(1, 3, sam.IMAGE_SIZE, sam.IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    results: dict[bool, Any] = {}
    seconds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with torch.inference_mode():
        for turn in range(options.rounds):
            for fast in (False, True):
                use_fast_attention(encoder, wanted=fast)
                started, busy = time.perf_counter(), time.process_time()
                results[fast] = encoder(pixels)
                seconds[fast].append((time.perf_counter() - started, time.process_time() - busy))
                print(f"round {turn + 1}  {_name(fast):8}  {_said(seconds[fast][-1])}", flush=True)
    official, ours = ([median(column) for column in zip(*seconds[fast], strict=True)] for fast in (False, True))
    print(f"median   official  {_said(official)}\nmedian   samnb     {_said(ours)}")
    print(f"official / samnb: wall {official[0] / ours[0]:.2f}, processor {official[1] / ours[1]:.2f}")
    difference = (results[True] - results[False]).abs().max().item()
    print(f"largest difference of an embedding: {difference:g} (0: bit for bit); {torch.get_num_threads()} threads")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def _encoder(checkpoint: Path | None) -> Any:
    import torch

    torch.manual_seed(0)
    encoder = sam.blueprint("vit_b").image_encoder().eval().requires_grad_(False)
    if checkpoint is not None:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        prefix = "image_encoder."
        encoder.load_state_dict({key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)})
        return encoder
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return encoder


def _name(fast: bool) -> str:
    return "samnb" if fast else "official"


def _said(pair: Any) -> str:
    wall, processor = pair
    return f"{wall:6.1f} s wall, {processor:6.1f} s processor"


if __name__ == "__main__":
    main()
