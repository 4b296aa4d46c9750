"""How long segment-anything's encoders take here: the official forward, samnb's, and the limit of the machine.

    python -m benchmarks.encode [--models vit_b vit_l vit_h] [--rounds 1] [--threads 2] [--busy 0] [--json F]

Both run behind ``SamPredictor.set_image``, with the same random weights: the work is that of trained ones. Position
tables are random too, so that they matter. The two alternate within one run, so that a busy machine is busy for both,
and processor time stands beside wall time: the ratios are the figures to trust. ViT-B sees three pictures, the others
one. The limit is the time of one large bare matrix product, scaled to the sums that an image needs. Memory is measured
in a process of its own for each side. With ``--busy 2``, two processes compute all the while, as on a shared server.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samnb.models.sam.fast_encoder import linear, use_fast_encoder
from samnb.models.sam.reference import import_segment_anything

RESULTS = Path(__file__).parent / "results" / "encode.json"
SHAPES = {"landscape": (768, 1024), "portrait": (1024, 683), "square": (900, 900)}
"""(H, W) in pixels."""
CLICKS = 51
Seconds = tuple[float, float]
"""Wall, processor."""


def main() -> None:
    """Measure each model in a process of its own, print and write."""
    options = _options()
    if options.child:
        print(json.dumps(_child(options)))
        return
    kept = json.loads(options.json.read_text()) if options.json.exists() else {}
    for model in options.models:
        with _busy(options.busy):
            row = _in_own_process(options, model, "times")
        if options.busy:  # beside the figures of a quiet machine
            models = kept.setdefault("models", {})
            models.setdefault(model, {})[f"beside_{options.busy}_busy"] = row
            options.json.write_text(json.dumps(kept, indent=1) + "\n")
            print(json.dumps({model: row}, indent=1), flush=True)
            continue
        memory = {side: _in_own_process(options, model, side) for side in ("official", "samnb")}
        row["memory_mb"] = memory | {
            f"ratio_{key}": round(memory["samnb"][key] / memory["official"][key], 3) for key in memory["samnb"]
        }
        kept = {"machine": _machine(options.threads), "models": {**kept.get("models", {}), model: row}}
        options.json.write_text(json.dumps(kept, indent=1) + "\n")
        print(json.dumps({model: row}, indent=1), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--models", nargs="+", default=["vit_b"], choices=["vit_b", "vit_l", "vit_h"])
    parser.add_argument("--rounds", type=int, default=1, help="turns on each picture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute meanwhile; no memory is measured")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--child", choices=["times", "official", "samnb"], help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep so many other processes computing within the context."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _in_own_process(options: argparse.Namespace, model: str, what: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.encode", "--models", model, "--child", what]
    command += ["--rounds", str(options.rounds), "--threads", str(options.threads)]
    # How threads wait for each other is left as a user has it; OMP_WAIT_POLICY=passive makes samnb's side slower.
    env = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    (model,) = options.models
    predictor = _predictor(model)
    if options.child == "times":
        shapes = SHAPES if model == "vit_b" else {"landscape": SHAPES["landscape"]}
        return _times(predictor, shapes, options.rounds)
    return _memory(predictor, fast=options.child == "samnb")


def _predictor(model: str) -> Any:
    """A ``SamPredictor`` of that size, with random weights."""
    import torch

    official = import_segment_anything()
    torch.manual_seed(0)
    sam = official.sam_model_registry[model]().requires_grad_(False).eval()
    for name, parameter in sam.image_encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return official.SamPredictor(sam)


# -- time and agreement --------------------------------------------------------------------------------


def _times(predictor: Any, shapes: dict[str, tuple[int, int]], rounds: int) -> dict[str, Any]:
    encoder = predictor.model.image_encoder
    sums, bare = _products(encoder), _Bare(encoder)
    use_fast_encoder(encoder)
    seconds: dict[str, list[Seconds]] = {"official": [], "samnb": [], "limit": []}
    rows: dict[str, Any] = {}
    for name, shape in shapes.items():
        pixels = _picture(shape)
        clicks = _clicks(CLICKS // len(shapes), shape)
        for turn in range(rounds):
            answers = {}
            for side in ("official", "samnb"):
                use_fast_encoder(encoder, wanted=side == "samnb")
                seconds[side].append(_timed(partial(predictor.set_image, pixels)))
                _say(f"{name} {turn + 1}, {side}", seconds[side][-1])
                answers[side] = predictor.get_image_embedding().clone(), _masks(predictor, clicks)
            product = _timed(bare)
            seconds["limit"].append((product[0] * sums / bare.sums, product[1] * sums / bare.sums))
            _say(f"{name} {turn + 1}, limit", seconds["limit"][-1])
        rows[name] = {"height_width": shape} | _agreement(answers["official"], answers["samnb"])
    return {
        "weights": "random",
        "gflop": round(sums / 1e9),
        "rounds": len(seconds["samnb"]),
        "median_seconds_wall_processor": {
            side: [round(median(column), 2) for column in zip(*pairs, strict=True)] for side, pairs in seconds.items()
        },
        "official_over_samnb_wall_processor": _ratios(seconds["official"], seconds["samnb"]),
        "samnb_over_limit_wall_processor": _ratios(seconds["samnb"], seconds["limit"]),
        "pictures": rows,
    }


def _timed(work: Callable[[], Any]) -> Seconds:
    started, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - busy


def _say(what: str, seconds: Seconds) -> None:
    print(f"{what:28} {seconds[0]:7.2f} s wall {seconds[1]:7.2f} s processor", file=sys.stderr, flush=True)


def _ratios(above: list[Seconds], below: list[Seconds]) -> list[float]:
    """Median over the turns of a ratio, for wall and processor."""
    return [round(median(a[n] / b[n] for a, b in zip(above, below, strict=True)), 3) for n in (0, 1)]


def _picture(shape: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2
    from skimage import data

    return np.asarray(cv2.resize(data.astronaut(), (shape[1], shape[0])), np.uint8)


def _clicks(count: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    return np.random.default_rng(0).random((count, 1, 2)) * (shape[1], shape[0])


def _masks(predictor: Any, clicks: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    label = np.ones(1, np.int64)
    return [predictor.predict(point, label, multimask_output=False)[0][0] for point in clicks]


def _agreement(official: Any, ours: Any) -> dict[str, Any]:
    pairs = list(zip(official[1], ours[1], strict=True))
    return {
        "largest_difference": float((official[0] - ours[0]).abs().max()),
        "largest_value": float(official[0].abs().max()),
        "masks": len(pairs),
        "masks_identical": sum(np.array_equal(a, b) for a, b in pairs),
        "mask_pixels_that_differ": int(sum((a != b).sum() for a, b in pairs)),
        "mask_cover_least_most": [round(float(f([a.mean() for a, _ in pairs])), 3) for f in (min, max)],
    }


# -- the limit -----------------------------------------------------------------------------------------


def _products(encoder: Any) -> int:
    """Additions and multiplications in the matrix products that an image needs, padding left out."""
    height, width, dim = encoder.pos_embed.shape[1:]
    tokens, out = height * width, encoder.neck[0].out_channels
    total = 2 * tokens * (3 * encoder.patch_embed.proj.kernel_size[0] ** 2 * dim + dim * out + 9 * out * out)
    for block in encoder.blocks:
        keys = block.window_size**2 or tokens
        tables = (block.window_size * 2 or height + width) if block.attn.use_rel_pos else 0
        linear = 4 * dim * dim + 2 * dim * block.mlp.lin1.out_features
        total += 2 * tokens * (linear + 2 * keys * dim + tables * dim)
    return int(total)


class _Bare:
    """The MLP's first matrix product, all tokens at once, ten times, and nothing else; by torch or oneDNN."""

    def __init__(self, encoder: Any):
        import torch

        dim, hidden = encoder.blocks[0].mlp.lin1.in_features, encoder.blocks[0].mlp.lin1.out_features
        tokens = encoder.pos_embed.shape[1] * encoder.pos_embed.shape[2]
        self.x, self.w, self.out = torch.randn(tokens, dim), torch.randn(hidden, dim), torch.empty(tokens, hidden)
        self.sums = 10 * 2 * tokens * dim * hidden
        ways: list[Callable[[], Any]] = [
            lambda: torch.mm(self.x, self.w.t(), out=self.out),
            lambda: linear(self.x, self.w),
        ]
        for way in ways:  # the first uses of a processor's routines take longer
            way()
        self._product = min(ways, key=lambda way: min(_timed(way)[0] for _ in range(3)))

    def __call__(self) -> None:
        for _ in range(10):
            self._product()


# -- memory --------------------------------------------------------------------------------------------


def _memory(predictor: Any, *, fast: bool) -> dict[str, int]:
    """Peak of the process in MB, weights and libraries in it, and how far that is above the moment before."""
    use_fast_encoder(predictor.model.image_encoder, wanted=fast)
    pixels = _picture(SHAPES["landscape"])
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * os.sysconf("SC_PAGE_SIZE")
    predictor.set_image(pixels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
    return {"peak": round(peak / 1e6), "above_resting": round((peak - before) / 1e6)}


def _machine(threads: int) -> dict[str, Any]:
    import torch

    names = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "name" in line
    ]
    load = round(os.getloadavg()[0], 1)
    processor = names[0] if names else platform.processor()
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "load": load,
    }


if __name__ == "__main__":
    main()
