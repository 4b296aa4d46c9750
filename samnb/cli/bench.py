"""`samnb bench`: how fast a model is here, in a terminal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..atomic_files import cannot_write, write_atomic
from ..bench import PICTURES, bench
from .terminal import say


def add_bench_command(commands: Any) -> None:
    """Add it to the sub-commands of a parser."""
    parser = commands.add_parser(
        "bench",
        help="how fast a model is here, beside segment-anything's own predictor",
        description="Encoding, a click, many clicks, one click on many pictures, a whole prewarm: each in turns with "
        "SamPredictor on the same weights. vit_b takes about ten minutes on two cores with --rounds 1 --pictures 2.",
    )
    parser.add_argument("model", nargs="?", default="mobile_sam", help="default: mobile_sam")
    parser.add_argument(
        "--checkpoint", help="the weight file; or: random, which is the default where none is installed"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of each side (default: 3)")
    parser.add_argument("--pictures", type=int, default=PICTURES, metavar="N", help=f"how many (default: {PICTURES})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: samnb-bench-MODEL.json in this folder")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    report = bench(
        arguments.model,
        checkpoint=arguments.checkpoint,
        rounds=max(1, arguments.rounds),
        pictures=max(1, arguments.pictures),
        on_step=lambda name: say(f"… {name}"),
    )
    say(f"\n{report}")
    place = arguments.json or Path(f"samnb-bench-{arguments.model}.json")
    try:
        write_atomic(place, (json.dumps(report.as_dict(), indent=1) + "\n").encode())
    except OSError as error:
        raise cannot_write(place.parent, place, error) from error
    say(f"→ {place}")
