"""Train the embedded net's pyramid and decoder on cached backbone maps, for a given number of minutes.

``python -m training.train --cache cache --out run --minutes 120`` writes ``checkpoint.pt``
every two minutes (``--resume`` goes on from it), ``tiny.safetensors`` (to ship) with it, and a line of figures now and
then to ``progress.jsonl``. The learning rate stays, then falls along a cosine, by elapsed minutes.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from samnb.models.tiny import fills
from samnb.models.tiny.answer import Answer, ImageSide
from samnb.models.tiny.backbone import GIVEN, STAGES, LiteBackbone
from samnb.models.tiny.crop_pass import windows_of
from samnb.models.tiny.image_encoder import Pyramid
from samnb.models.tiny.mask_decoder import MaskDecoder
from training.feature_cache import load_backbone
from training.losses import first_pass_loss, next_clicks, second_pass_loss
from training.samples import Batch, LiteSamples

RATE, LAST_RATE, WARM_UP = 2e-3, 1e-5, 150
FLAT_SHARE = 0.5
"""Share of the minutes after which the learning rate begins to fall."""

NORMS_REST = 0.65
"""Share of the minutes after which batch normalisation keeps its statistics: a batch holds few pictures."""

EMA_DECAY, EMA_EVERY = 0.998, 4
SECOND_ROUND_SHARE, THIRD_ROUND_SHARE, EARLIER_SHARE = 0.4, 0.12, 0.7
TARGET_WINDOW_SHARE = 0.3
"""How often the second pass looks where the object is, and not where the first pass saw it."""

CROP_SHARE = 0.5
"""For how many of the prompts the second pass is taken."""

CELLS, CELL_WEIGHTS = (32, 40, 48), (0.35, 0.35, 0.3)
"""Sides of the crops in cells."""

FIRST_UPPER = GIVEN[1] + 1
"""The first stage after the map at stride 8."""

UPPER_WEIGHT = f"upper.stages.{FIRST_UPPER}.0.expand.weight"
UPPER_RATE = 0.1
"""Learning rate of the backbone's stages, as a share of the others': they know a lot already."""

LONGEST_STEP = 30.0
"""Seconds that one step may count: a process that was halted was not training."""


class UpperStages(nn.Module):
    """The backbone's stages from stride 16 on: they begin from the map at stride 8, which the cache holds."""

    def __init__(self, backbone: LiteBackbone) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(
            {str(number): backbone.stages[number] for number in range(FIRST_UPPER, len(STAGES))}
        )

    def forward(self, map8: Tensor) -> list[Tensor]:
        """Map (B, 40, S, S) at stride 8 to the maps at strides 16 and 32."""
        given, x = [], map8
        for number, stage in self.stages.items():
            x = stage(x)
            if int(number) in GIVEN:
                given.append(x)
        return given


class LiteNet(nn.Module):
    """What is trained: the pyramid and the decoder, and with `upper` the backbone's stages from stride 16 on."""

    def __init__(self, upper: UpperStages | None = None) -> None:
        super().__init__()
        self.pyramid, self.decoder, self.upper = Pyramid(), MaskDecoder(), upper

    def image_side(self, batch: Batch) -> ImageSide:
        """The image side of a batch."""
        maps = [values.contiguous(memory_format=torch.channels_last) for values in batch.maps]
        if self.upper is not None:
            maps[2:] = self.upper(maps[1])
        semantic, middle, fine = self.pyramid(maps)
        entry = {"semantic": semantic, "middle": middle, "fine": fine, "colours": batch.colours}
        return self.decoder.image_side(entry)


def choose_masks(rng: np.random.Generator, answer: Answer, ious: Tensor) -> Tensor:
    """(B,) a mask of each prompt: the single one, the best, the one that would be shown, or any of the three.

    Candidates that are neither the best nor shown are scored, too, when one is chosen: they must have been seen.
    """
    best, shown = ious[:, 1:].argmax(1) + 1, answer.scores[:, 1:].argmax(1) + 1
    kinds = torch.from_numpy(rng.choice(4, size=len(best), p=[0.15, 0.3, 0.3, 0.25])).to(best.device)
    any_of = torch.from_numpy(rng.integers(1, ious.shape[1], size=len(best))).to(best.device)
    return torch.stack([torch.zeros_like(best), best, shown, any_of]).gather(0, kinds[None])[0]


def training_windows(rng: np.random.Generator, answer: Answer, which: Tensor, targets: Tensor) -> Tensor:
    """Crops round one mask of each prompt; now and then, and where these miss the object, round the target."""
    prompts, everyone = answer.prompts, torch.arange(len(which), device=which.device)
    seen = windows_of(answer.logits[everyone, which][:, None].detach(), prompts)
    wanted = torch.where(targets[:, None] > 0.5, 4.0, -4.0)
    around = windows_of(nn.functional.max_pool2d(wanted, 4), prompts)
    frame, device = targets.shape[-1], targets.device
    zoom = torch.from_numpy(np.exp(rng.normal(0, 0.15, len(which)))).float().to(device)
    side = (around[:, 2] * zoom).clamp(40, frame)
    shift = torch.from_numpy(rng.normal(0, 0.05, (len(which), 2))).float().to(device) * side[:, None]
    corner = around[:, :2] + (around[:, 2] - side)[:, None] / 2 + shift
    corner = torch.minimum(corner.clamp(min=0), (frame - side)[:, None])
    around = torch.cat([corner, side[:, None]], 1)
    low, high = torch.maximum(seen[:, :2], around[:, :2]), torch.minimum(*(w[:, :2] + w[:, 2:] for w in (seen, around)))
    common = (high - low).clamp(min=0).prod(1) / torch.minimum(seen[:, 2], around[:, 2]).square()
    far = (common < 0.6) | (seen[:, 2] < 0.6 * around[:, 2])
    forced = torch.from_numpy(rng.random(len(which)) < TARGET_WINDOW_SHARE).to(device)
    return torch.where((far | forced)[:, None], around, seen)


def batch_loss(net: LiteNet, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
    """Run one batch through one to three rounds of prompts, both passes each."""
    images, prompts = net.image_side(batch), batch.prompts
    chances = rng.random(3)
    rounds = 1 + (chances[0] < SECOND_ROUND_SHARE) + (chances[0] < THIRD_ROUND_SHARE)
    device = batch.targets.device
    total, figures = torch.zeros((), device=device), dict[str, float]()
    count = len(batch.targets)
    for number in range(1, rounds + 1):
        answer = net.decoder.first_pass(images, batch.owners, prompts)
        first = first_pass_loss(answer, batch.targets)
        which = choose_masks(rng, answer, first.ious)
        # The second pass costs more than the first: it learns from some of the prompts.
        some = np.sort(rng.permutation(count)[: math.ceil(count * CROP_SHARE)])
        chosen = torch.from_numpy(some).to(device)
        targets, masks = batch.targets[chosen], which[chosen]
        part = answer.of(chosen)
        windows = training_windows(rng, part, masks, targets)
        cells = int(rng.choice(CELLS, p=CELL_WEIGHTS))
        refined = net.decoder.crop_pass(images, part, masks[:, None], windows, cells)
        again, more = second_pass_loss(refined, targets, first.ious[chosen, masks])
        total = total + first.loss + again
        suffix = "" if number == 1 else f"_{number}"
        figures.update({name + suffix: value for name, value in (first.figures | more).items()})
        if number < rounds:
            shown = nn.functional.interpolate(
                answer.logits[torch.arange(count, device=device), which][:, None].detach(),
                scale_factor=2.0,
                mode="bilinear",
            )
            shown[chosen] = refined.in_frame().detach()
            wanted = nn.functional.avg_pool2d(batch.targets[:, None], 2)[:, 0]
            clicks, labels = next_clicks(shown[:, 0], wanted)
            clicks, labels = clicks.to(device), labels.to(device)
            prompts = prompts.with_click(clicks, labels, shown if chances[1] < EARLIER_SHARE else None)
    return total * (1 + 0.2 * (rounds - 1)) / rounds, figures


def learning_rate(step: int, progress: float, highest: float) -> float:
    """Linear warm-up by steps, flat, then a cosine by elapsed share of the minutes."""
    fall = min(max((progress - FLAT_SHARE) / (1 - FLAT_SHARE), 0.0), 1.0)
    cosine = 0.5 * (1 + math.cos(math.pi * fall))
    return min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (highest - LAST_RATE) * cosine)


class Trainer:
    """A run: the net, its moving average, the optimiser, steps and seconds so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.out: Path = arguments.out
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(arguments.seed)
        self.backbone = load_backbone(arguments.backbone)
        upper = UpperStages(copy.deepcopy(self.backbone)).requires_grad_() if arguments.upper else None
        self.net = LiteNet(upper).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if arguments.start:
            self._begin_with(arguments.start)
        self.net.to(arguments.device).train()
        if arguments.scores:
            self.net.requires_grad_(False)
            for head in (self.net.decoder.score, self.net.decoder.crop_pass.score):
                head.requires_grad_()
        self.average = copy.deepcopy(self.net).eval()
        upper_weights = [] if upper is None else list(upper.parameters())
        own = [p for part in (self.net.pyramid, self.net.decoder) for p in part.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in own if p.ndim > 1], "weight_decay": 0.03, "share": 1.0},
            {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0, "share": 1.0},
        ]
        if upper_weights and not arguments.scores:
            groups.append({"params": upper_weights, "weight_decay": 0.0, "share": UPPER_RATE})
        self.optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)
        self.step, self.seconds = 0, 0.0
        if arguments.resume and (self.out / "checkpoint.pt").exists():
            self._load()
        sizes = arguments.images, arguments.objects
        self.samples = LiteSamples(arguments.cache, arguments.seed, *sizes, real=not arguments.no_real)
        fills.THREADS = arguments.workers
        self._ahead: dict[int, Future[Batch]] = {}
        self._pool = ThreadPoolExecutor(arguments.workers) if arguments.workers > 1 else None

    @property
    def progress(self) -> float:
        """Share of the minutes that has passed."""
        return self.seconds / (60 * self.arguments.minutes)

    def run(self) -> None:
        """Train until the minutes are over."""
        (self.out / "pid").write_text(str(os.getpid()))
        saved, window = self.seconds, list[dict[str, float]]()
        while self.progress < 1 and self.step < self.arguments.steps:
            started = time.monotonic()
            if self.step % 200 == 0:
                print(json.dumps(self.samples.look()), flush=True)
            if self.progress >= NORMS_REST or self.arguments.scores:
                for layer in self.net.modules():
                    if isinstance(layer, nn.BatchNorm2d):
                        layer.eval()
            window.append(self.train_step())
            self.seconds += min(time.monotonic() - started, LONGEST_STEP)
            if self.step % self.arguments.report == 0:
                self._report(window)
                window = []
            if self.seconds - saved > 120:
                self.save()
                saved = self.seconds
        self.save()

    def train_step(self) -> dict[str, float]:
        """Take one step."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate(self.step, self.progress, self.arguments.rate)
        rng = np.random.default_rng([9, self.arguments.seed, self.step])
        batch = self._next_batch().to(self.arguments.device)
        loss, figures = batch_loss(self.net, batch, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.net.parameters(), 1.0))
        if math.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._average()
        return {"loss": float(loss.detach()), "norm": norm, **figures}

    def _next_batch(self) -> Batch:
        """The batch of this step; with several workers the next ones are drawn meanwhile."""
        if self._pool is None:
            return self.samples.batch(self.step)
        for step in range(self.step, self.step + self.arguments.workers):
            if step not in self._ahead:
                self._ahead[step] = self._pool.submit(self.samples.batch, step)
        return self._ahead.pop(self.step).result()

    @torch.no_grad()
    def _average(self) -> None:
        if self.step % EMA_EVERY:
            return
        keep = min(EMA_DECAY, (1 + self.step) / (10 + self.step)) ** EMA_EVERY
        pairs = list(zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True))
        old, fresh = zip(*[pair for pair in pairs if pair[0].is_floating_point()], strict=True)
        torch._foreach_lerp_(list(old), list(fresh), 1 - keep)

    def _report(self, window: list[dict[str, float]]) -> None:
        names = sorted({name for figures in window for name in figures})
        means = {}
        for name in names:
            values = [figures[name] for figures in window if name in figures]
            means[name] = round(sum(values) / len(values), 3)
        rate = self.optimizer.param_groups[0]["lr"]
        line = json.dumps({"step": self.step, "minutes": round(self.seconds / 60, 2), "rate": round(rate, 6), **means})
        print(line, flush=True)
        with (self.out / "progress.jsonl").open("a") as file:
            file.write(line + "\n")

    def save(self) -> None:
        """Write the checkpoint and the weights to ship, each by way of a temporary file."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.out / "checkpoint.partial"
        torch.save(state, partial)
        os.replace(partial, self.out / "checkpoint.pt")
        metadata = {"steps": str(self.step), "minutes": f"{self.seconds / 60:.1f}", "seed": str(self.arguments.seed)}
        export(self.backbone, self.average, self.out / "tiny.safetensors", metadata)

    def _load(self) -> None:
        state = torch.load(self.out / "checkpoint.pt", map_location=self.arguments.device)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _begin_with(self, weights: Path) -> None:
        known = load_file(weights)
        state = {
            name.removeprefix("image_encoder.").replace("backbone.stages", "upper.stages"): value.float()
            for name, value in known.items()
        }
        own = self.net.state_dict()
        known_stage = state.get(UPPER_WEIGHT)
        if self.net.upper is None and known_stage is not None:
            published = self.backbone.state_dict()[UPPER_WEIGHT.removeprefix("upper.")]
            if not torch.equal(known_stage.half(), published.half()):
                raise SystemExit(f"{weights}: its backbone was trained along; give --upper, too.")
        fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
        self.net.load_state_dict(fitting, strict=False)
        print(json.dumps({"start": str(weights), "tensors": len(fitting), "of": len(own)}), flush=True)


def export(backbone: nn.Module, net: LiteNet, path: Path, metadata: dict[str, str]) -> None:
    """Write weights as safetensors: matrices and the backbone in float16, other vectors as they are."""
    learned = {} if net.upper is None else net.upper.state_dict()
    named: dict[str, Any] = {
        f"image_encoder.backbone.{name}": learned.get(name, value) for name, value in backbone.state_dict().items()
    }
    named |= {f"image_encoder.pyramid.{name}": value for name, value in net.pyramid.state_dict().items()}
    named |= {f"decoder.{name}": value for name, value in net.decoder.state_dict().items()}
    tensors = {}
    for name, value in named.items():
        if name.endswith("num_batches_tracked"):
            continue
        small = value.ndim > 1 or ".backbone." in name
        tensors[name] = (value.half() if small else value.float()).cpu().contiguous().clone()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    os.replace(partial, path)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder written by training.feature_cache")
    parser.add_argument(
        "--backbone", type=Path, help="the published ImageNet weights, a .pth file; None: the package's"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--steps", type=int, default=10**9, help="stop after so many steps at the latest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=int, default=50, help="steps between two lines of figures")
    parser.add_argument("--rate", type=float, default=RATE, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="weights to begin with")
    parser.add_argument("--upper", action="store_true", help="train the backbone from stride 16 on, too")
    parser.add_argument("--scores", action="store_true", help="train only how masks are scored; masks stay as they are")
    parser.add_argument("--no-real", action="store_true", help="rendered scenes only")
    parser.add_argument("--device", default="cpu", help="cuda for a GPU; then more images, objects and workers")
    parser.add_argument("--images", type=int, default=3, help="pictures in a step")
    parser.add_argument("--objects", type=int, default=4, help="prompts on each picture")
    parser.add_argument("--workers", type=int, default=1, help="threads that draw batches and fill ahead")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(argv)


def main() -> None:
    """Command line."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    Trainer(parse()).run()


if __name__ == "__main__":
    main()
