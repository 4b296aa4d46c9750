"""Train the embedded model for a given number of minutes.

``python -m training.train --scenes FOLDER --out FOLDER --minutes 74`` writes ``checkpoint.pt`` (to go on from, with
``--resume``) and ``tiny.safetensors`` (to ship) every two minutes, and a line of figures now and then to
``progress.jsonl``. The schedule follows elapsed minutes, not steps, so a slower machine gets fewer steps but the same
curve.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.distributed
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from samnb.models import tiny
from training.losses import next_clicks, total_loss
from training.samples import Batch, Samples

CROPS_END, MIXED_END = 0.2, 0.45
"""Share of the minutes after which the stages of crops are over; whole scenes come last."""

LEARNING_RATE, LAST_RATE, WARM_UP = 1.5e-3, 1e-6, 60
EMA_DECAY, EMA_EVERY = 0.998, 4
BOX_SHARE, BOX_AND_CLICK_SHARE = 0.15, 0.05
SECOND_ROUND_SHARE, THIRD_ROUND_SHARE, MASK_PROMPT_SHARE = 0.5, 0.2, 0.6


@dataclass(frozen=True, eq=False)
class Prompts:
    """What the prompt encoder is given; see there."""

    points: tuple[Tensor, Tensor] | None
    boxes: Tensor | None
    masks: Tensor | None = None

    def with_clicks(self, clicks: Tensor, labels: Tensor, masks: Tensor | None) -> Prompts:
        """Add one click to each prompt."""
        coords, kinds = clicks[:, None], labels[:, None]
        if self.points is not None:
            coords, kinds = torch.cat([self.points[0], coords], 1), torch.cat([self.points[1], kinds], 1)
        return Prompts((coords, kinds), self.boxes, masks)


def first_prompts(batch: Batch, chance: float) -> Prompts:
    """Choose by `chance` (0..1) what a batch is prompted with: a click, a box, or both."""
    points = (batch.clicks[:, None], torch.ones(len(batch.clicks), 1))
    if chance < BOX_SHARE:
        return Prompts(None, batch.boxes)
    if chance < BOX_SHARE + BOX_AND_CLICK_SHARE:
        return Prompts(points, batch.boxes)
    return Prompts(points, None)


def batch_loss(sam: Any, batch: Batch, chances: list[float], half: bool) -> tuple[Tensor, dict[str, float]]:
    """Run one batch through one to three rounds of prompts.

    Parameters
    ----------
    sam
        The model in training.
    batch
        Images and wanted objects.
    chances
        Three numbers in 0..1: kind of prompt, number of rounds, whether later rounds are shown the logits before them.
    half
        Compute convolutions in bfloat16.
    """
    grid = batch.images.shape[-1] // tiny.STRIDE
    sam.prompt_encoder.image_embedding_size = (grid, grid)
    sam.prompt_encoder.origin = batch.origin
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        embeddings = sam.image_encoder(batch.images)
    embeddings = embeddings.repeat_interleave(len(batch.targets) // len(batch.images), 0)
    prompts = first_prompts(batch, chances[0])
    logits, scores = decode(sam, embeddings, prompts, half)
    loss, figures = total_loss(logits, scores, batch.targets)
    rounds = 1 + (chances[1] < SECOND_ROUND_SHARE) + (chances[1] < THIRD_ROUND_SHARE)
    for number in range(2, rounds + 1):
        picked = scores[:, 1:].argmax(1) + 1
        shown = logits[torch.arange(len(logits)), picked].detach()
        clicks, labels = next_clicks(shown, batch.targets)
        prompts = prompts.with_clicks(clicks, labels, shown[:, None] if chances[2] < MASK_PROMPT_SHARE else None)
        logits, scores = decode(sam, embeddings, prompts, half)
        extra, after = total_loss(logits, scores, batch.targets)
        loss = loss + extra
        figures.update({f"best_{number}": after["best"], f"scored_{number}": after["scored"]})
    loss = loss * (1 + 0.2 * (rounds - 1)) / rounds
    return loss, figures


def decode(sam: Any, embeddings: Tensor, prompts: Prompts, half: bool) -> tuple[Tensor, Tensor]:
    """Decode one prompt per embedding (or all of one image): mask logits and scores, float32."""
    # Positions lose pixels in bfloat16, so the prompt encoder stays in float32.
    sparse, dense = sam.prompt_encoder(prompts.points, prompts.boxes, prompts.masks)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits, scores = sam.mask_decoder.predict_masks(embeddings, sam.prompt_encoder.get_dense_pe(), sparse, dense)
    return logits.float(), scores.float()


def make_optimizer(sam: nn.Module) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    weights = [p for p in sam.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in sam.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": 0.03}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)


def learning_rate(step: int, progress: float, highest: float = LEARNING_RATE) -> float:
    """Linear warm-up by steps, then a cosine by elapsed share of the minutes."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (highest - LAST_RATE) * cosine)


def stage_of(progress: float, ends: Sequence[float] = (CROPS_END, MIXED_END)) -> str:
    """Name the stage at a share of the minutes; `ends` are the shares at which the first two stages are over."""
    return next((stage for stage, end in zip(("crops", "mixed"), ends, strict=True) if progress < end), "scenes")


class Trainer:
    """A run: the model, its moving average, the optimiser, steps and minutes so far.

    Several single-threaded processes that average their gradients replace torch's threads: on a machine that others use
    too, threads wait for each other thousands of times a step, processes once.

    Parameters
    ----------
    arguments
        The command line, see `main`.
    rank
        Which of the processes this is; the first one keeps the time, reports and saves.
    """

    def __init__(self, arguments: argparse.Namespace, rank: int = 0) -> None:
        self.arguments, self.rank = arguments, rank
        self.out: Path = arguments.out
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(arguments.seed)
        self.sam = tiny.build_sam(None)
        if arguments.start:
            begin_with(self.sam, arguments.start)
        self.sam.train()
        for layer in self._batch_norms():
            layer.momentum = 0.02  # a batch holds few pictures: a longer memory than the usual ten batches
            layer.train(not arguments.keep_norms)
        self.average = copy.deepcopy(self.sam).eval()
        self.optimizer = make_optimizer(self.sam)
        self.step, self.seconds = 0, 0.0
        if arguments.resume and (self.out / "checkpoint.pt").exists():
            self._load()

    @property
    def progress(self) -> float:
        """Share of the minutes that has passed."""
        return self.seconds / (60 * self.arguments.minutes)

    def run(self) -> None:
        """Train until the minutes are over, saving every two."""
        saved, start = self.seconds, time.monotonic() - self.seconds
        stage, samples, window = "", None, []
        while self.progress < 1:
            due = stage_of(self.progress, self.arguments.stages)
            if samples is None or due != stage:
                stage = due
                samples = Samples(self.arguments.scenes, stage, self.arguments.seed)
                if stage == "scenes":  # a batch is one picture now: its statistics would be its own
                    for layer in self._batch_norms():
                        layer.eval()
            window.append(self.train_step(samples.batch(self.step, self.rank), time.monotonic() - start))
            if self.step % self.arguments.report == 0:
                self._report(stage, window)
                window = []
            if self.seconds - saved > 120:
                self.save()
                saved = self.seconds
        self.save()

    def _batch_norms(self) -> list[nn.BatchNorm2d]:
        return [layer for layer in self.sam.modules() if isinstance(layer, nn.BatchNorm2d)]

    def train_step(self, batch: Batch, seconds: float) -> dict[str, float]:
        """Take one step at `seconds` since the run began; all processes take it alike."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.progress, self.arguments.rate)
        chance = torch.Generator().manual_seed(self.arguments.seed * 1_000_003 + self.step)
        loss, figures = batch_loss(self.sam, batch, torch.rand(3, generator=chance).tolist(), self.arguments.half)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.seconds = self._share(seconds)
        norm = float(nn.utils.clip_grad_norm_(self.sam.parameters(), 1.0))
        if math.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._average()
        return {"loss": float(loss.detach()), **figures}

    def _share(self, seconds: float) -> float:
        """Average the gradients over the processes; return the first one's clock."""
        if self.arguments.processes == 1:
            return seconds
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.sam.parameters()]
        clock = torch.tensor([seconds if self.rank == 0 else 0.0])
        flat = torch.cat([g.flatten() for g in gradients] + [clock])
        torch.distributed.all_reduce(flat)
        seconds = float(flat[-1])
        flat /= self.arguments.processes
        sizes = [g.numel() for g in gradients]
        for parameter, mean in zip(self.sam.parameters(), flat[:-1].split(sizes), strict=True):
            parameter.grad = mean.view_as(parameter)
        return seconds

    @torch.no_grad()
    def _average(self) -> None:
        if self.rank or self.step % EMA_EVERY:
            return
        keep = min(EMA_DECAY, (1 + self.step) / (10 + self.step)) ** EMA_EVERY
        pairs = list(zip(self.average.state_dict().values(), self.sam.state_dict().values(), strict=True))
        old, fresh = zip(*[pair for pair in pairs if pair[0].is_floating_point()], strict=True)
        torch._foreach_lerp_(list(old), list(fresh), 1 - keep)
        for kept, new in pairs:
            if not kept.is_floating_point():
                kept.copy_(new)

    def _report(self, stage: str, window: list[dict[str, float]]) -> None:
        if self.rank:
            return
        names = sorted({name for figures in window for name in figures})
        means = {}
        for name in names:
            values = [figures[name] for figures in window if name in figures]
            means[name] = round(sum(values) / len(values), 3)
        minutes = round(self.seconds / 60, 2)
        line = json.dumps({"step": self.step, "minutes": minutes, "stage": stage, **means})
        print(line, flush=True)
        with (self.out / "progress.jsonl").open("a") as file:
            file.write(line + "\n")

    def save(self) -> None:
        """Write the checkpoint and the shippable weights, each by way of a temporary file."""
        if self.rank:
            return
        state = {
            "sam": self.sam.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.out / "checkpoint.partial"
        torch.save(state, partial)
        os.replace(partial, self.out / "checkpoint.pt")
        export(self.average, self.out / "tiny.safetensors", self._metadata())

    def _metadata(self) -> dict[str, str]:
        return {
            "seed": str(self.arguments.seed),
            "steps": str(self.step),
            "minutes": f"{self.seconds / 60:.1f}",
            "command": self.arguments.command,
            "commit": _commit(),
            "torch": torch.__version__,
        }

    def _load(self) -> None:
        state = torch.load(self.out / "checkpoint.pt")
        self.sam.load_state_dict(state["sam"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def begin_with(sam: nn.Module, weights: Path) -> None:
    """Load weights of the same net, or of one that knew less.

    Blocks they do not know begin as identities; inputs they do not know, behind those they do, begin without weight.

    Raises
    ------
    ValueError
        The file holds tensors this net does not have.
    """
    known, own = load_file(weights), sam.state_dict()
    for name, value in known.items():
        if name in own and value.ndim == 2 and value.shape[1] < own[name].shape[1]:
            known[name] = nn.functional.pad(value, (0, own[name].shape[1] - value.shape[1]))
    missing, unexpected = sam.load_state_dict(known, strict=False)
    if unexpected:
        raise ValueError(f"{weights}: expected weights of this net; got also {unexpected[:3]}")
    print(json.dumps({"start": weights.name, "new tensors": len(missing)}), flush=True)


def export(sam: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write weights as safetensors: matrices in float16, vectors and statistics as they are."""
    tensors: dict[str, Any] = {}
    for name, value in sam.state_dict().items():
        small = value.is_floating_point() and value.ndim > 1 and "positional" not in name
        tensors[name] = (value.half() if small else value).contiguous()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    os.replace(partial, path)


def _commit() -> str:
    answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return answer.stdout.strip() or "unknown"


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True, help="folder written by training.render")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=74)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="each computes with one thread")
    parser.add_argument("--report", type=int, default=50, help="steps between two lines of figures")
    parser.add_argument("--half", action="store_true", help="convolutions in bfloat16; faster where the CPU has it")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="highest learning rate")
    ends = (CROPS_END, MIXED_END)
    parser.add_argument("--stages", type=float, nargs=2, default=ends, help="shares at which crops and mixed sizes end")
    parser.add_argument("--keep-norms", action="store_true", help="batch normalisation keeps the statistics of --start")
    parser.add_argument("--start", type=Path, help="weights to begin with instead of chance")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args(argv)
    shown = list(argv if argv is not None else sys.argv[1:])
    for flag in ("--scenes", "--out", "--start"):  # local folders say nothing about the recipe
        if flag in shown:
            shown[shown.index(flag) + 1] = "FOLDER"
    arguments.command = " ".join(["python -m training.train", *shown])
    return arguments


def run_process(rank: int, arguments: argparse.Namespace) -> None:
    """Be one of the processes of a run."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if arguments.processes > 1:
        meeting = f"file://{arguments.meeting}"
        torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=arguments.processes)
    Trainer(arguments, rank).run()


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    arguments = parse(argv)
    if arguments.processes == 1:
        return run_process(0, arguments)
    with tempfile.TemporaryDirectory() as folder:
        arguments.meeting = Path(folder) / "meeting"
        torch.multiprocessing.spawn(run_process, (arguments,), nprocs=arguments.processes)


if __name__ == "__main__":
    main()
