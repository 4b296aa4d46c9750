"""`samnb models`: every model with its size, its licence, and what is missing to run it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnknownName
from .terminal import say

if TYPE_CHECKING:
    from ..models import ModelInfo


def add_models_command(commands: Any) -> None:
    """Add it to the sub-commands of a parser."""
    models = commands.add_parser("models", help="the models, their weight files and what they are good for")
    models.add_argument("name", nargs="?", help="print the card of this one; or: download")
    models.add_argument("what", nargs="?", metavar="MODEL", help="with download: whose weights to fetch")
    models.add_argument("--folder", type=Path, help="with download: where to put them")
    models.set_defaults(run=_models)


def _models(arguments: argparse.Namespace) -> None:
    from ..models import available_models, download, model_card

    if arguments.name == "download":
        if not arguments.what:
            raise UnknownName("model to download:", "", [info.name for info in available_models() if not info.bundled])
        say(download(arguments.what, folder=arguments.folder))
        return
    say(model_card(arguments.name) if arguments.name else models_text())


def models_text() -> str:
    """All models by name, two lines each, then the packages that failed to register one.

    >>> models_text().splitlines()[0].split()[:4]
    ['tiny', '8', 'MB', 'Apache-2.0']
    """
    from ..models import available_models, broken_plugins

    known = available_models()
    width, wide = (max(map(len, texts)) + 2 for texts in ([info.name for info in known], map(_where, known)))
    lines = []
    for info in known:
        what = f"{info.name:<{width}}{size_text(info):>9}  {info.licence:<12}{_where(info):<{wide}}"
        lines.append(f"{what}{state_of(info)}")
        lines.append(f"    {info.description}\n")
    lines += [f"⚠ not registered: {reason}" for reason in broken_plugins().values()]
    return "\n".join([*lines, "More about one, and where its weights come from: samnb models NAME"])


def size_text(info: ModelInfo) -> str:
    """Size of the weights: to the megabyte if they are published, else about four bytes per parameter."""
    if not info.file_name:
        return "none"
    about = "" if info.size_bytes else "~"
    size = info.size_bytes or 4 * info.parameters
    return f"{about}{size / 1e6:,.0f} MB" if size else "?"


def state_of(info: ModelInfo) -> str:
    """``"installed"``, or ``"not installed"`` and the packages it needs."""
    from ..models import installed, missing_packages

    missing = [] if installed(info) or not info.file_name else ["not installed"]
    if packages := missing_packages(info):
        missing.append(f'needs {" and ".join(packages)}: pip install "samnb[{info.extra}]"')
    if missing:
        return "; ".join(missing)
    return "installed"


def _where(info: ModelInfo) -> str:
    return "ships with samnb" if info.bundled else info.file_name + "/" * bool(info.files)
