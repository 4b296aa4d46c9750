"""`main`, the command `samnb …`: the command line of a session."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import SamnbError
from .bench import add_bench_command
from .cache import add_cache_commands
from .doctor import add_doctor_command
from .models import add_models_command
from .notebooks import add_notebook_commands
from .replay import add_replay_command
from .session import add_session_commands
from .terminal import LogFormatter, say

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a `SamnbError`, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, handlers=[handler])
    try:
        return arguments.run(arguments) or 0
    except SamnbError as error:
        say(f"samnb: {error}", error=True)
        return 1
    except BrokenPipeError:  # the reader of ``samnb … | head`` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own flush at the end would fail
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="samnb", description="Segment Anything in notebooks, encoded once.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole job on packaged pictures, without a browser")
    demo.add_argument("folder", nargs="?", type=Path, help="where to write (default: demo-output)")
    demo.set_defaults(run=_demo)

    add_notebook_commands(commands)
    add_doctor_command(commands)
    add_models_command(commands)

    settings = commands.add_parser("settings", help="the environment variables, what holds and where it comes from")
    settings.set_defaults(run=_settings)
    add_cache_commands(commands)
    add_replay_command(commands)
    add_bench_command(commands)
    add_session_commands(commands)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    from ..demo import run

    return run(arguments.folder)


def _settings(arguments: argparse.Namespace) -> None:
    from ..settings import settings_text

    say(settings_text())
