"""`samnb add`, `prewarm`, `export`, `import` and the other commands of a session folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .evaluate import add_evaluate_command
from .find import add_find_command
from .inspect import add_inspect_commands
from .many import add_many_commands
from .template import add_template_arguments, add_template_commands
from .terminal import option, say

if TYPE_CHECKING:
    from ..session import Session


def add_session_commands(commands: Any) -> None:
    """Add the commands that open a session to the sub-commands of a parser."""
    inspect = add_inspect_commands(commands, _opened)
    add = commands.add_parser("add", help="add pictures")
    prewarm, apply, review, sync = add_many_commands(commands, _opened)
    templates = add_template_commands(commands, _opened)
    export = commands.add_parser("export", help="write annotations for other tools")
    take = commands.add_parser("import", help="take annotations from files of other tools")
    evaluate, find = add_evaluate_command(commands, _opened), add_find_command(commands, _opened)
    for command in (*inspect, add, prewarm, apply, review, sync, *templates, export, take, evaluate, find):
        command.add_argument(
            "session", type=Path, help="the session folder", nargs="?" if command is evaluate else None
        )
        command.add_argument("--model", default="tiny")
        command.add_argument("--checkpoint", type=Path)
        command.add_argument("--device", default="auto")
    find.add_argument("phrase", nargs="?", metavar="PHRASE", help='such as "yellow taxi"')
    add.add_argument("sources", nargs="+", help="files, folders, globs, zip files, addresses such as s3://…, manifests")
    add.add_argument("--hash", choices=("now", "later"), default="now", help="later: read the pictures when needed")
    add.add_argument("--on", metavar="ADDRESS", help="the workers of the Dask scheduler there read them")
    add.add_argument("--stack", metavar="AXES", help='slices become images: "all", or axes such as "z" or "t,z"')
    apply.add_argument("template", metavar="TEMPLATE", help="the name of a saved template")
    add_template_arguments(templates)
    for command in (add, prewarm, apply, review, templates[-1], export, take, evaluate, find):
        command.add_argument("--dataset", default="default" if command is add else None)
    export.add_argument("format", help="coco, geojson, labelme, masks, recipe, table, tiff, voc, yolo or zarr")
    export.add_argument("path", type=Path, help="file or folder to write")
    take.add_argument("format", help="coco, labelme, masks, voc or yolo")
    take.add_argument("path", type=Path, help="file or folder to read")
    take.add_argument("--images", type=Path, metavar="DIR", help="add the pictures it names from there")
    take.add_argument("--by-hand", action="store_true", help="they count as made by hand: for templates, evaluate")
    take.add_argument("--from-boxes", action="store_true", help="the model draws the masks of objects that are boxes")
    for command in (export, take):
        command.add_argument(
            "--set", dest="options", metavar="NAME=VALUE", type=option, action="append", default=[],
            help="an option of the format, such as polygons=true; docs/exchange.md has them",
        )  # fmt: skip
    for command, run in ((add, _add), (export, _export), (take, _import)):
        command.set_defaults(run=run)


def _opened(arguments: argparse.Namespace) -> Session:
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


def _add(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as session:
        # A single missing source is an error; among several it is only reported.
        source = arguments.sources[0] if len(arguments.sources) == 1 else arguments.sources
        axes = (arguments.stack or "").split(",")
        stack = None if axes == [""] else True if axes == ["all"] else axes
        try:
            options: Any = {"stack": stack, "hash": arguments.hash, "on": arguments.on}
            report = session.add(source, dataset=arguments.dataset, **options)
        except KeyboardInterrupt as stopped:
            say(f"\n{stopped}" if str(stopped) else "\nBroken off; what was written is kept.", error=True)
            return 130
        say(report)
        return 1 if report.failed and not report.images else 0


def _export(arguments: argparse.Namespace) -> None:
    with _opened(arguments) as session:
        say(session.export(arguments.format, arguments.path, dataset=arguments.dataset, **dict(arguments.options)))


def _import(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as session:
        named: dict[str, Any] = {
            name: getattr(arguments, name) for name in ("dataset", "images", "by_hand", "from_boxes")
        }
        named |= dict(arguments.options)
        try:
            report = session.import_(arguments.format, arguments.path, **named)
        except KeyboardInterrupt as stopped:
            say(f"\n{stopped}" if str(stopped) else "\nBroken off; what was written is kept.", error=True)
            return 130
        say(report)
        return 1 if report.failed and not report.images else 0
