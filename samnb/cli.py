"""`samnb …`: the same Session without a notebook."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SamnbError, StoreError

if TYPE_CHECKING:
    from .session import Session

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for an error samnb knows, 2 for wrong usage."""
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

    models = commands.add_parser("models", help="the models and their weight files")
    models.set_defaults(run=_models)

    status = commands.add_parser("status", help="a session at a glance")
    add = commands.add_parser("add", help="add pictures")
    prewarm = commands.add_parser("prewarm", help="encode what is not cached yet")
    export = commands.add_parser("export", help="write annotations for other tools")
    for command, run in ((status, _status), (add, _add), (prewarm, _prewarm), (export, _export)):
        command.add_argument("session", type=Path, help="the session folder")
        command.add_argument("--model", default="tiny")
        command.add_argument("--checkpoint", type=Path)
        command.add_argument("--device", default="auto")
        command.set_defaults(run=run)
    add.add_argument("sources", nargs="+", help="files, folders, globs")
    for command in (add, prewarm, export):
        command.add_argument("--dataset", default="default" if command is add else None)
    export.add_argument("format", help="coco or masks")
    export.add_argument("path", type=Path, help="file or folder to write")
    return parser


def _session(arguments: argparse.Namespace) -> Session:
    # Late, so that `samnb --help` answers at once.
    from .session import Session

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
    from .demo import run

    return run(arguments.folder)


def _models(arguments: argparse.Namespace) -> None:
    from .models import available_models

    for model in available_models():
        size = f"{(model.size_bytes or 0) / 1e6:,.0f} MB"
        where = "ships with samnb" if model.bundled else model.file_name
        print(f"{model.name:<8}{where:<28}{size:>10}  {model.description}")


def _status(arguments: argparse.Namespace) -> None:
    with _session(arguments) as session:
        print(session.status())


def _add(arguments: argparse.Namespace) -> int:
    with _session(arguments) as session:
        # One source that leads nowhere is an error; among several it is only reported.
        source = arguments.sources[0] if len(arguments.sources) == 1 else arguments.sources
        report = session.add(source, dataset=arguments.dataset)
        print(report)
        return 1 if report.failed and not report.images else 0


def _prewarm(arguments: argparse.Namespace) -> int:
    from .progress import summary_text

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
        print(session.export(arguments.format, arguments.path, dataset=arguments.dataset))


if __name__ == "__main__":
    raise SystemExit(main())
