"""The checks of `samnb doctor`: each looks at one part of the installation and yields findings."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from ..cards import count_text, size_text
from ..errors import SamnbError
from ..json_files import read_json

State = Literal["good", "note", "warning", "problem"]

#: The front-end extension that each widget package brings, by its name in JupyterLab.
EXTENSIONS = {
    "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets",
    "anywidget": "anywidget",
    "ipycanvas": "ipycanvas",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    subject : str
        What was looked at.
    state : {"good", "note", "warning", "problem"}
        A note is about an option that is not used; a warning limits something; a problem stops something.
    found : str
        What was found.
    advice : str
        What to do about it; "" where nothing is to be done.
    """

    subject: str
    state: State
    found: str
    advice: str = ""


# -- packages ---------------------------------------------------------------------------------------------


def packages() -> Iterator[Finding]:
    """Python, and the packages that samnb cannot do without."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "good", f"{python}, {sys.executable}")
    missing = [name for name in _required("samnb") if _version(name) is None]
    if missing:
        yield Finding("packages", "problem", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    else:
        named = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "sqlalchemy")
        yield Finding("packages", "good", ", ".join(f"{name} {_version(name)}" for name in named))
    two = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if two:
        yield Finding(
            "OpenCV",
            "warning",
            f"opencv-python-headless and {two[0]} write the same files",
            f"pip uninstall {' '.join(two)}; then pip install --force-reinstall opencv-python-headless",
        )


def _required(package: str) -> list[str]:
    """Names of the packages that one needs without any extra."""
    lines = metadata.requires(package) or []
    return [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# -- model ------------------------------------------------------------------------------------------------


def device() -> Iterator[Finding]:
    """What models compute on."""
    import torch

    from ..models.devices import resolve_device

    name = resolve_device("auto")
    if name == "cuda":
        yield Finding("device", "good", f"cuda: {torch.cuda.get_device_name(0)}, torch {torch.__version__}")
        return
    found = f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        yield Finding(
            "device",
            "warning",
            f"{found}; there is an NVIDIA driver, and this torch cannot use it",
            "install the CUDA build of torch and torchvision",
        )
    else:
        yield Finding("device", "good", found)


def model() -> Iterator[Finding]:
    """The model in the package: it finds a bright disc on a dark ground, or something is broken."""
    import numpy as np

    from ..models import load_model
    from ..prompts import Prompt

    y, x = np.ogrid[:96, :128]
    disc = (x - 60) ** 2 + (y - 50) ** 2 < 30**2
    pixels = np.where(disc[..., None], np.uint8(210), np.uint8(50)).repeat(3, axis=2)
    tiny = load_model("tiny", device="cpu")
    mask = tiny.decode(tiny.encode(pixels), Prompt.of(points=[(60, 50)])).mask
    iou = (mask & disc).sum() / (mask | disc).sum()
    if iou > 0.8:
        yield Finding("model tiny", "good", "loads, encodes a picture and finds a disc on it")
    else:
        yield Finding(
            "model tiny",
            "problem",
            f"the mask of a disc has IoU {iou:.2f}, expected more than 0.8",
            "pip install --force-reinstall samnb, and report it if that does not help",
        )


def weights() -> Iterator[Finding]:
    """Weight files of other models."""
    from ..models import available_models
    from ..models.registry import installed
    from ..models.weights.checkpoints import checkpoint_folders

    names = [info.name for info in available_models() if not info.bundled and info.file_name and installed(info)]
    folder = checkpoint_folders()[0]
    if names:
        yield Finding("other models", "good", f"installed: {', '.join(names)}")
    else:
        yield Finding("other models", "note", f"no weight files in {folder}", "samnb models lists what there is")


# -- JupyterLab -------------------------------------------------------------------------------------------


def front_end() -> Iterator[Finding]:
    """JupyterLab, its kernel, and the extensions that show the widgets."""
    lab, kernel = _version("jupyterlab"), _version("ipykernel")
    if lab is None or kernel is None:
        missing = " and ".join(name for name, version in (("JupyterLab", lab), ("ipykernel", kernel)) if not version)
        yield Finding("JupyterLab", "note", f"{missing} not installed here", 'pip install "samnb[lab,demo]"')
    elif re.match(r"4\.4\.|4\.5\.0a[0-3]", lab):
        yield Finding(
            "JupyterLab",
            "warning",
            f"{lab} loses canvases that were scrolled out of sight",
            "pip install --upgrade jupyterlab, or set the notebook's windowing mode to defer",
        )
    else:
        yield Finding("JupyterLab", "good", f"{lab}, ipykernel {kernel}, ipywidgets {_version('ipywidgets')}")
    other = _other_lab()
    if other:
        yield Finding(
            "jupyter-lab",
            "warning",
            f"the command is of another environment: {other}",
            f"start it with: samnb lab, or: {sys.executable} -m jupyterlab",
        )
    yield _extensions()


def _other_lab() -> str:
    """Path of the `jupyter-lab` that a terminal starts, if it is not this Python's; else ""."""
    command = shutil.which("jupyter-lab")
    if command is None or _version("jupyterlab") is None:
        return ""
    own = Path(sys.prefix).resolve()
    return "" if own in Path(command).absolute().parents or own in Path(command).resolve().parents else command


def _extensions() -> Finding:
    folders = [Path(folder) / "labextensions" for folder in _jupyter_folders("data")]
    missing = [name for name in EXTENSIONS if not any((folder / name / "package.json").exists() for folder in folders)]
    disabled = [name for name in EXTENSIONS if name in _disabled()]
    if missing:
        packages = " ".join(EXTENSIONS[name] for name in missing)
        return Finding(
            "extensions",
            "problem",
            f"missing in JupyterLab: {', '.join(missing)}",
            f"pip install --force-reinstall --no-deps {packages}; restart JupyterLab, reload the page",
        )
    if disabled:
        return Finding(
            "extensions",
            "problem",
            f"disabled in JupyterLab: {', '.join(disabled)}",
            f"jupyter labextension enable {disabled[0]}; reload the page",
        )
    return Finding("extensions", "good", ", ".join(EXTENSIONS))


def _disabled() -> set[str]:
    names: set[str] = set()
    for folder in _jupyter_folders("config"):
        file = Path(folder) / "labconfig" / "page_config.json"
        if file.exists():
            try:
                config = read_json(file)
            except (OSError, ValueError):  # JupyterLab reports the file itself
                continue
            listed = config.get("disabledExtensions", {}) if isinstance(config, dict) else {}
            names |= {name for name in listed if not isinstance(listed, dict) or listed[name]}
    return names


def _jupyter_folders(kind: Literal["data", "config"]) -> list[str]:
    """Where Jupyter looks; without jupyter_core only the folder of this environment."""
    try:
        from jupyter_core.paths import jupyter_config_path, jupyter_path
    except ImportError:
        return [os.path.join(sys.prefix, *{"data": ("share", "jupyter"), "config": ("etc", "jupyter")}[kind])]
    return list(jupyter_path() if kind == "data" else jupyter_config_path())


# -- folders and settings ---------------------------------------------------------------------------------


def settings() -> Iterator[Finding]:
    """The environment variables that are set."""
    from ..settings import SETTINGS, setting

    named = []
    for each in SETTINGS:
        try:
            if setting(each.name) is not None:
                named.append(each.name)
        except SamnbError as error:
            yield Finding("settings", "problem", str(error), f"unset {each.name}, or see docs/settings.md")
    yield Finding("settings", "good", f"set: {', '.join(named)}" if named else "all at their defaults")


def folder(place: Path) -> Iterator[Finding]:
    """A folder for sessions: whether it can be written, has room, and lies on a disk of this machine."""
    from ..atomic_files import staging_path
    from ..catalog.file_systems import is_network, mount_of
    from ..store.limits import Limits, space

    there = next(each for each in (place.absolute(), *place.absolute().parents) if each.is_dir())
    try:
        with staging_path(there) as partial:
            partial.write_bytes(b"written by samnb doctor")
    except (OSError, SamnbError) as error:
        yield Finding("folder", "problem", f"{there} cannot be written: {error}", "choose another folder")
    else:
        yield Finding("folder", "good", f"{there} can be written")
    mount = mount_of(there)
    if mount is not None and is_network(mount.kind):
        yield Finding(
            "file system",
            "warning",
            f"{mount.kind}, of another computer: no catalog in a SQLite file",
            "DATABASE_URL=sqlite:////local/disk/catalog.db, or a PostgreSQL (docs/installation.md)",
        )
    free, kept = space(there).free, Limits().to_leave_free(there)
    if free <= kept:
        yield Finding(
            "free space",
            "problem",
            f"{size_text(free)}, and {size_text(kept)} stay free for others",
            "make room, or lower SAMNB_CACHE_MIN_FREE_BYTES",
        )
    else:
        yield Finding("free space", "good", f"{size_text(free)}; {size_text(kept)} of them stay free for others")


def session(place: Path) -> Iterator[Finding]:
    """A session in that folder: its catalog opens, and its embeddings have the right form."""
    if not (place / "catalog.db").exists() and "DATABASE_URL" not in os.environ:
        makes = "samnb add SESSION PICTURES makes one"
        if place.is_dir():
            yield Finding("session", "note", f"none in {place.absolute()}", f"samnb doctor SESSION checks one; {makes}")
        else:
            yield Finding("session", "problem", f"there is no folder {place.absolute()}", f"check the name; {makes}")
        return
    from ..session import Session

    try:
        with Session(place) as opened:
            status = opened.status()
    except (SamnbError, OSError) as error:
        yield Finding("session", "problem", str(error), "a copy of catalog.db from a backup, if it is damaged")
        return
    images, annotations = count_text(status.images, "image"), count_text(status.annotations, "annotation")
    yield Finding("session", "good", f"{images}, {status.cached} cached, {annotations}")


def tiers() -> Iterator[Finding]:
    """The remote tiers of ``SAMNB_CACHE_REMOTE``: each is asked for a key that no tier has."""
    from ..settings import setting
    from ..store.remote.tiers import open_tiers

    try:
        urls = setting("SAMNB_CACHE_REMOTE")
        if not urls:
            return
        with open_tiers(urls) as remote:
            remote.contains("0" * 64)
            stats = remote.stats()
    except SamnbError as error:
        yield Finding("remote tiers", "problem", str(error), "see docs/sharing.md")
        return
    for tier in stats:
        state: State = "good" if tier.state == "up" else "problem"
        advice = "" if state == "good" else "start it, or correct SAMNB_CACHE_REMOTE; samnb works without it meanwhile"
        yield Finding("remote tier", state, " · ".join(filter(None, [tier.name, tier.state, tier.error])), advice)
