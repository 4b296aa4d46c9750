"""`samnb evaluate`: a model evaluated on known masks, in a terminal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NothingToMeasure
from .inspect import OpenSession
from .terminal import say

if TYPE_CHECKING:
    from ..evaluation.cases import Case
    from ..evaluation.report import ModelReport


def add_evaluate_command(commands: Any, open_session: OpenSession) -> argparse.ArgumentParser:
    """Add it to the sub-commands of a parser, without the arguments that name a session."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a model on masks that are known",
        description="Simulated clicks on masks that are known: how good is a model on these pictures, and how fast? "
        "The masks are a session's annotations by hand, those of a COCO file, or mask pictures in a folder.",
    )
    parser.add_argument("--coco", type=Path, metavar="FILE", help="a COCO file, with --images")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="mask pictures, --images elsewhere or beside them")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the pictures are")
    parser.add_argument("--category", help="only this one")
    parser.add_argument("--baselines", metavar="NAMES", default="", help="with commas between, or: all")
    parser.add_argument("--max-clicks", type=int, default=20, metavar="N", help="the cap for one object (default: 20)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many objects, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--on", metavar="ADDRESS", help="of a SESSION: the workers of the Dask scheduler there do it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, also those of each object")
    parser.set_defaults(run=lambda arguments: _evaluate(arguments, open_session), wrong_usage=parser.error)
    return parser


def _evaluate(arguments: argparse.Namespace, open_session: OpenSession) -> int:
    from tqdm import tqdm

    sources = [source for source in (arguments.session, arguments.coco, arguments.masks) if source is not None]
    unused = (arguments.images and arguments.session) or (arguments.dataset and not arguments.session)
    if len(sources) != 1 or unused or (arguments.coco and not arguments.images):
        arguments.wrong_usage(
            "expected one of: SESSION [--dataset NAME], --coco FILE --images DIR, --masks DIR [--images DIR]"
        )
    with tqdm(desc="evaluate", unit=" objects", leave=False, disable=None) as bar:

        def on_case(case: Case) -> object:
            return bar.update()

        report = _of_session(arguments, open_session, on_case) if arguments.session else _of_files(arguments, on_case)
    say(report)
    if arguments.json:
        _write_json(arguments.json, report.as_dict())
    return 0 if report.overall.cases else 1


def _write_json(path: Path, values: dict[str, Any]) -> None:
    from ..atomic_files import cannot_write, write_atomic

    try:
        write_atomic(path, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise cannot_write(path.parent, path, error) from error


def _of_session(
    arguments: argparse.Namespace, open_session: OpenSession, on_case: Callable[[Case], object]
) -> ModelReport:
    with open_session(arguments) as session:
        return session.evaluate_model(
            dataset=arguments.dataset,
            category=arguments.category,
            max_clicks=arguments.max_clicks,
            baselines=_baselines(arguments.baselines),
            limit=arguments.limit,
            seed=arguments.seed,
            on=arguments.on,
            on_case=on_case,
        )


def _of_files(arguments: argparse.Namespace, on_case: Callable[[Case], object]) -> ModelReport:
    from ..evaluation.baselines import make_baseline
    from ..evaluation.evaluate import evaluate
    from ..evaluation.file_cases import read_coco, read_masks
    from ..models import load_model

    if arguments.coco:
        cases = read_coco(arguments.coco, arguments.images)
    else:
        cases = read_masks(arguments.masks, arguments.images or arguments.masks)
    cases = cases.of_category(arguments.category).sampled(arguments.limit, seed=arguments.seed)
    if not cases.sources and not cases.failed:
        raise NothingToMeasure(str(arguments.coco or arguments.masks))
    return evaluate(
        load_model(arguments.model, checkpoint=arguments.checkpoint, device=arguments.device),
        cases,
        baselines=[make_baseline(name) for name in _baselines(arguments.baselines)],
        max_clicks=arguments.max_clicks,
        seed=arguments.seed,
        on_case=on_case,
    )


def _baselines(names: str) -> list[str]:
    from ..evaluation.baselines import BASELINES

    return list(BASELINES) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
