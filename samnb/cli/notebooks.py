"""`samnb notebooks DIR` and `samnb lab`: the notebooks that come with samnb, copied to where they can be changed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..atomic_files import write_atomic
from ..cards import count_text
from ..errors import PackageMissing, StoreError
from .terminal import say

QUICKSTART = "01_quickstart.ipynb"

# The teacher's answers are copied only when they are asked for.
_SOLUTIONS = "solutions.py"


def add_notebook_commands(commands: Any) -> None:
    """Add both to the sub-commands of a parser."""
    notebooks = commands.add_parser(
        "notebooks",
        help="write all notebooks into a folder: the tour and the course",
        description="Writes the notebooks of samnb into a folder. Files that are there already stay as they are.",
    )
    notebooks.add_argument("folder", type=Path, metavar="DIR", help="made if it is missing")
    notebooks.add_argument("--overwrite", action="store_true", help="replace notebooks of the same name")
    notebooks.add_argument("--solutions", action="store_true", help="also the solutions of the course, for teachers")
    notebooks.set_defaults(run=_notebooks)
    lab = commands.add_parser(
        "lab",
        help="open JupyterLab on a copy of the quickstart",
        description=f"Copies {QUICKSTART} into the current folder, unless one is there, and opens JupyterLab on it. "
        "What stands after -- is passed on to JupyterLab: samnb lab -- --port 9999",
    )
    lab.add_argument("--no-browser", action="store_true", help="only print the address (also where no display is)")
    lab.add_argument("jupyter", nargs="*", metavar="-- OPTION", help="options of JupyterLab")
    lab.set_defaults(run=_lab)


def notebooks_folder() -> Path:
    """The folder of the notebooks: inside the package that pip installed, or else beside it in a clone.

    Raises
    ------
    StoreError
        There is none: the installation is not complete.

    Examples
    --------
    >>> (notebooks_folder() / "01_quickstart.ipynb").exists()
    True
    """
    package = Path(__file__).resolve().parents[1]
    # A wheel holds them as samnb/notebooks; a clone, also one installed with pip -e, has them at its root only.
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / QUICKSTART).exists():
            return folder
    raise StoreError(
        f"{package / 'notebooks'}: no notebooks there. Expected those that come with samnb; "
        "install it again: pip install --force-reinstall --no-deps samnb"
    )


def copy_notebooks(
    folder: Path, *, only: str = "", overwrite: bool = False, solutions: bool = False
) -> tuple[list[Path], list[Path]]:
    """Copy the notebooks into a folder.

    Parameters
    ----------
    folder : Path
        Made if it is missing; folders inside are kept, such as ``course/``.
    only : str
        The name of a single notebook; "": all.
    overwrite : bool
        Replace files that are there.
    solutions : bool
        Also the solutions of the course.

    Returns
    -------
    written, kept : list of Path
        The copies, and the files that were there and stayed.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> [path.name for path in copy_notebooks(place, only="01_quickstart.ipynb")[0]]
    ['01_quickstart.ipynb']
    >>> copy_notebooks(place, only="01_quickstart.ipynb")[0]
    []
    """
    home = notebooks_folder()
    found = [
        path
        for path in sorted([*home.glob("*.ipynb"), *home.glob("course/*.ipynb"), *home.glob("course/*.py")])
        if only in ("", path.name) and (solutions or path.name != _SOLUTIONS)
    ]
    written: list[Path] = []
    kept: list[Path] = []
    for path in found:
        target = folder / path.relative_to(home)
        if target.exists() and not overwrite:
            kept.append(target)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, path.read_bytes())
        written.append(target)
    return written, kept


def _notebooks(arguments: argparse.Namespace) -> None:
    written, kept = copy_notebooks(arguments.folder, overwrite=arguments.overwrite, solutions=arguments.solutions)
    for path in written:
        say(path)
    if kept:
        say(f"{len(kept)} were there and stay as they are; --overwrite replaces them.")
    say(f"{count_text(len(written), 'file')} written to {arguments.folder}. Open them: jupyter lab {arguments.folder}")


def _lab(arguments: argparse.Namespace) -> int:
    if find_spec("jupyterlab") is None:
        raise PackageMissing("samnb lab", "JupyterLab", "lab,demo", "Without a browser: samnb demo.")
    copy_notebooks(Path(), only=QUICKSTART)
    say(f"Opening JupyterLab on {QUICKSTART}. Stop it with Ctrl-C.")
    return _become(_lab_command(arguments))


def _become(command: list[str]) -> int:
    """Go on as this command: on POSIX it takes the place of this process, so a signal to stop reaches it."""
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)
    try:
        return subprocess.run(command).returncode
    except KeyboardInterrupt:  # JupyterLab got it as well, and ends by itself
        return 0


def _lab_command(arguments: argparse.Namespace) -> list[str]:
    # The JupyterLab of this very Python, so that its kernel has samnb.
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{QUICKSTART}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if arguments.no_browser or not _has_display():
        command.append("--no-browser")
    return [*command, *arguments.jupyter]


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
