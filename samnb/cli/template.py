"""`samnb template make|list|save|load|apply`: templates in a terminal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .inspect import OpenSession
from .many import add_apply_options, run_apply
from .terminal import option, say


def add_template_commands(commands: Any, open_session: OpenSession) -> tuple[argparse.ArgumentParser, ...]:
    """Add them to the sub-commands of a parser, with the arguments after the session; returns the five."""
    template = commands.add_parser("template", help="make, list, save, load and apply templates")
    actions = template.add_subparsers(required=True, metavar="ACTION")
    make = actions.add_parser("make", help="from the annotations by hand, or by a phrase")
    listed = actions.add_parser("list", help="those that are saved, with their versions")
    save = actions.add_parser("save", help="write one as a file, for other sessions")
    load = actions.add_parser("load", help="read a file that save wrote")
    apply = actions.add_parser("apply", help="the same as samnb apply")
    make.add_argument("--category", dest="categories", action="append", metavar="NAME", help="as often as wanted")
    make.add_argument("--strategy", help="match_all, match, fixed or phrase")
    make.add_argument("--phrase", help='such as "yellow taxi", for a model that knows words')
    make.add_argument(
        "--set", dest="options", metavar="NAME=VALUE", type=option, action="append", default=[],
        help="a parameter, such as min_score=0.3",
    )  # fmt: skip
    add_apply_options(apply)
    for command, run in ((make, _make), (listed, _list), (save, _save), (load, _load), (apply, run_apply)):
        command.set_defaults(run=lambda arguments, run=run: run(arguments, open_session))
    return make, listed, save, load, apply


def add_template_arguments(parsers: tuple[argparse.ArgumentParser, ...]) -> None:
    """Add the arguments that come after the session."""
    make, _, save, load, apply = parsers
    for command in (make, save):
        command.add_argument("template", metavar="NAME")
    apply.add_argument("template", metavar="TEMPLATE", help="the name of a saved template")
    save.add_argument("file", type=Path, metavar="FILE")
    load.add_argument("file", type=Path, metavar="FILE")


def _make(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    with open_session(arguments) as session:
        given = {name: getattr(arguments, name) for name in ("categories", "strategy", "phrase")}
        chosen = {name: value for name, value in given.items() if value is not None}
        say(session.template(arguments.template, **chosen, **dict(arguments.options)))


def _list(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    from ..templates import Template

    with open_session(arguments) as session:
        catalog = session.catalog
        found = [Template.from_dict(catalog.template(name, v), version=v) for name, v in sorted(catalog.templates())]
    for template in found:
        say(repr(template))
    if not found:
        say("No templates. Make one with: samnb template make SESSION NAME")


def _save(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    with open_session(arguments) as session:
        say(session.find_template(arguments.template).save(arguments.file))


def _load(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    from ..templates import Template

    with open_session(arguments) as session:
        say(repr(session.save_template(Template.load(arguments.file))))
