"""`samnb …`: the command line of a session."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bench import add_bench_command
from ..errors import NothingToMeasure, SamnbError, StoreError, UnknownName
from .cache import add_cache_commands
from .inspect import add_look_commands
from .replay import add_replay_command

if TYPE_CHECKING:
    from ..evaluation.cases import Case
    from ..evaluation.report import ModelReport
    from ..session import Session

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a `SamnbError`, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(message)s")
    try:
        return arguments.run(arguments) or 0
    except SamnbError as error:
        print(f"samnb: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="samnb", description="Segment Anything in notebooks, encoded once.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole job on packaged pictures, without a browser")
    demo.add_argument("folder", nargs="?", type=Path, help="where to write (default: demo-output)")
    demo.set_defaults(run=_demo)

    models = commands.add_parser("models", help="the models, their weight files and what they are good for")
    models.add_argument("name", nargs="?", help="print the card of this one; or: download")
    models.add_argument("what", nargs="?", metavar="MODEL", help="with download: whose weights to fetch")
    models.add_argument("--folder", type=Path, help="with download: where to put them")
    models.set_defaults(run=_models)

    settings = commands.add_parser("settings", help="the environment variables, what holds and where it comes from")
    settings.set_defaults(run=_settings)
    add_cache_commands(commands)
    add_replay_command(commands)
    add_bench_command(commands)

    looks = [(command, None) for command in add_look_commands(commands, _session)]
    add = commands.add_parser("add", help="add pictures")
    prewarm = commands.add_parser("prewarm", help="encode what is not cached yet")
    export = commands.add_parser("export", help="write annotations for other tools")
    take = commands.add_parser("import", help="take annotations from files of other tools")
    evaluate = _add_evaluate(commands)
    runs = ((add, _add), (prewarm, _prewarm), (export, _export), (take, _import), (evaluate, _evaluate))
    for command, run in (*looks, *runs):
        command.add_argument(
            "session", type=Path, help="the session folder", nargs="?" if command is evaluate else None
        )
        command.add_argument("--model", default="tiny")
        command.add_argument("--checkpoint", type=Path)
        command.add_argument("--device", default="auto")
        if run is not None:
            command.set_defaults(run=run)
    add.add_argument("sources", nargs="+", help="files, folders, globs, zip files")
    for command in (add, prewarm, export, take, evaluate):
        command.add_argument("--dataset", default="default" if command is add else None)
    export.add_argument("format", help="coco, labelme, masks, recipe, table, voc or yolo")
    export.add_argument("path", type=Path, help="file or folder to write")
    take.add_argument("format", help="coco, labelme or masks")
    take.add_argument("path", type=Path, help="file or folder to read")
    take.add_argument("--images", type=Path, metavar="DIR", help="add the pictures it names from there")
    take.add_argument("--by-hand", action="store_true", help="they count as made by hand: for templates, evaluate")
    for command in (export, take):
        command.add_argument(
            "--set", dest="options", metavar="NAME=VALUE", type=_option, action="append", default=[],
            help="an option of the format, such as polygons=true; docs/exchange.md has them",
        )  # fmt: skip
    return parser


def _option(text: str) -> tuple[str, Any]:
    """``polygons=true`` as a name and a value: JSON, or else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE; got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, also those of each object")
    parser.set_defaults(wrong_usage=parser.error)
    return parser


def _session(arguments: argparse.Namespace) -> Session:
    # Late, so that `samnb --help` answers at once.
    from ..session import Session

    if (
        arguments.run is not _add
        and not (arguments.session / "catalog.db").exists()
        and "DATABASE_URL" not in os.environ
    ):
        raise StoreError(
            f"{arguments.session}: no session there. Make one with: samnb add {arguments.session} PICTURES"
        )
    options = {name: getattr(arguments, name) for name in ("model", "checkpoint", "device")}
    return Session(arguments.session, **options)


def _demo(arguments: argparse.Namespace) -> int:
    from ..demo import run

    return run(arguments.folder)


def _models(arguments: argparse.Namespace) -> None:
    from ..models import available_models, download, model_card
    from .models import models_text

    if arguments.name == "download":
        if not arguments.what:
            raise UnknownName("model to download:", "", [info.name for info in available_models() if not info.bundled])
        print(download(arguments.what, folder=arguments.folder))
        return
    if arguments.name:
        print(model_card(arguments.name))
        return
    print(models_text())


def _settings(arguments: argparse.Namespace) -> None:
    from ..settings import settings_text

    print(settings_text())


def _add(arguments: argparse.Namespace) -> int:
    with _session(arguments) as session:
        # A single missing source is an error; among several it is only reported.
        source = arguments.sources[0] if len(arguments.sources) == 1 else arguments.sources
        try:
            report = session.add(source, dataset=arguments.dataset)
        except KeyboardInterrupt as stopped:
            print(f"\n{stopped}" if str(stopped) else "\nBroken off; what was written is kept.", file=sys.stderr)
            return 130
        print(report)
        return 1 if report.failed and not report.images else 0


def _prewarm(arguments: argparse.Namespace) -> int:
    from ..jobs import summary_text

    with _session(arguments) as session:
        job = session.prewarm(arguments.dataset)
        try:
            last = job.wait()
        except KeyboardInterrupt:
            job.cancel()
            last = job.wait()
        for event in job.events:
            if event.status == "failed":
                print(f"⚠ {event.filename}: {event['error']}", file=sys.stderr)
        print(summary_text(last))
        return 1 if last["failed"] else 0


def _export(arguments: argparse.Namespace) -> None:
    with _session(arguments) as session:
        print(session.export(arguments.format, arguments.path, dataset=arguments.dataset, **dict(arguments.options)))


def _import(arguments: argparse.Namespace) -> int:
    with _session(arguments) as session:
        named: dict[str, Any] = {name: getattr(arguments, name) for name in ("dataset", "images", "by_hand")}
        named |= dict(arguments.options)
        try:
            report = session.import_(arguments.format, arguments.path, **named)
        except KeyboardInterrupt as stopped:
            print(f"\n{stopped}" if str(stopped) else "\nBroken off; what was written is kept.", file=sys.stderr)
            return 130
        print(report)
        return 1 if report.failed and not report.images else 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    sources = [source for source in (arguments.session, arguments.coco, arguments.masks) if source is not None]
    unused = (arguments.images and arguments.session) or (arguments.dataset and not arguments.session)
    if len(sources) != 1 or unused or (arguments.coco and not arguments.images):
        arguments.wrong_usage(
            "expected one of: SESSION [--dataset NAME], --coco FILE --images DIR, --masks DIR [--images DIR]"
        )
    with tqdm(desc="evaluate", unit=" objects", leave=False, disable=None) as bar:
        measure = _of_session if arguments.session else _of_files
        report = measure(arguments, lambda case: bar.update())
    print(report)
    if arguments.json:
        _write_json(arguments.json, report.as_dict())
    return 0 if report.overall.cases else 1


def _write_json(path: Path, values: dict[str, Any]) -> None:
    from ..atomic_files import cannot_write, write_atomic

    try:
        write_atomic(path, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise cannot_write(path.parent, path, error) from error


def _of_session(arguments: argparse.Namespace, on_case: Callable[[Case], object]) -> ModelReport:
    with _session(arguments) as session:
        return session.evaluate_model(
            dataset=arguments.dataset,
            category=arguments.category,
            max_clicks=arguments.max_clicks,
            baselines=_baselines(arguments.baselines),
            limit=arguments.limit,
            seed=arguments.seed,
            on_case=on_case,
        )


def _of_files(arguments: argparse.Namespace, on_case: Callable[[Case], object]) -> ModelReport:
    from ..evaluation.baselines import make_baseline
    from ..evaluation.coco_cases import read_coco
    from ..evaluation.evaluate import evaluate
    from ..evaluation.mask_cases import read_masks
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
