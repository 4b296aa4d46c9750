"""`samnb doctor`: what is installed, whether it works, and what to do about the rest."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from . import checks
from .checks import Finding
from .terminal import say

_MARKS = {"good": "✓", "note": "·", "warning": "⚠", "problem": "✗"}


def add_doctor_command(commands: Any) -> None:
    """Add it to the sub-commands of a parser."""
    doctor = commands.add_parser(
        "doctor",
        help="what is installed, whether it works, and what to do about the rest",
        description="Checks packages, device, model, JupyterLab, settings, and a folder for sessions. "
        "The exit status is 1 if something does not work. Nothing is changed.",
    )
    doctor.add_argument("folder", nargs="?", type=Path, default=Path(), help="a session folder (default: this one)")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def findings(folder: Path) -> Iterator[Finding]:
    """All findings, one after the other; a check that fails itself is a problem, and the next one runs."""
    yield Finding("samnb", "good", f"{__version__} on {platform.system()} {platform.machine()}")
    every: dict[str, Callable[[], Iterator[Finding]]] = {
        "packages": checks.packages,
        "device": checks.device,
        "model tiny": checks.model,
        "other models": checks.weights,
        "JupyterLab": checks.front_end,
        "settings": checks.settings,
        "folder": partial(checks.folder, folder),
        "session": partial(checks.session, folder),
        "remote tiers": checks.tiers,
    }
    for name, check in every.items():
        try:
            yield from check()
        except Exception as error:  # whatever is broken is what this command reports
            advice = "pip install --force-reinstall samnb; report it if that does not help"
            yield Finding(name, "problem", f"{type(error).__name__}: {error}", advice)


def _doctor(arguments: argparse.Namespace) -> int:
    seen = []
    for finding in findings(arguments.folder):
        seen.append(finding)
        if not arguments.json:
            say(_line(finding))
    count = {state: sum(finding.state == state for finding in seen) for state in _MARKS}
    if arguments.json:
        say(json.dumps([asdict(finding) for finding in seen], indent=1))
    elif count["problem"] or count["warning"]:
        say(f"\n{count['problem']} problems, {count['warning']} warnings. What to do stands behind each →.")
    else:
        say("\nEverything works.")
    return 1 if count["problem"] else 0


def _line(finding: Finding) -> str:
    line = f"{_MARKS[finding.state]} {finding.subject:<13} {finding.found}"
    return f"{line}\n{'':>16}→ {finding.advice}" if finding.advice else line
