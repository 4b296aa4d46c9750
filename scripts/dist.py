"""`make dist`: wheel and sdist, the same bytes each time, and the wheel tried in a clean environment elsewhere."""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SMOKE_TEST = """
import tempfile
from pathlib import Path
import numpy as np
import samnb

assert "site-packages" in samnb.__file__, samnb.__file__
y, x = np.ogrid[:96, :128]
disc = (x - 60) ** 2 + (y - 50) ** 2 < 30 ** 2
folder = Path(tempfile.mkdtemp())
with samnb.Session(folder / "session") as session:
    session.add(np.where(disc[..., None], np.uint8(210), np.uint8(50)).repeat(3, axis=2), dataset="discs")
    image = session.images()[0]
    prediction = session.predict(image, points=[(60, 50)])
    assert (prediction.mask & disc).sum() / (prediction.mask | disc).sum() > 0.8
    session.accept(prediction, category="disc")
    for name in ("coco", "labelme", "masks", "voc", "yolo", "table", "recipe"):
        session.export(name, folder / f"{name}.json" if name in ("coco", "recipe") else
                       folder / ("table.csv" if name == "table" else name))
with samnb.Session(folder / "session") as session:
    assert session.predict(image.id, points=[(60, 50)]).cache_hit
print("smoke test: passed")
"""

QUICKSTART = """
import nbformat, sys
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=600).execute()
print("quickstart: every cell has run")
"""


def main() -> None:
    """Build, compare, install, try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-environment", action="store_true", help="only build and compare")
    parser.add_argument("--environment", type=Path, help="where to make it, and keep it (default: a temporary folder)")
    parser.add_argument("--pip-args", default="", help="for torch and torchvision, as PIP_ARGS of make")
    parser.add_argument("--newest", action="store_true", help="any versions, not those of constraints.txt")
    arguments = parser.parse_args()
    files = build(ROOT / "dist")
    if arguments.no_environment:
        return
    wheel = next(file for file in files if file.suffix == ".whl")
    place = arguments.environment or Path(tempfile.mkdtemp(prefix="samnb-clean-"))
    try:
        try_wheel(wheel, place.resolve(), shlex.split(arguments.pip_args), newest=arguments.newest)
    finally:
        if arguments.environment is None:
            shutil.rmtree(place, ignore_errors=True)


def build(folder: Path) -> list[Path]:
    """Build wheel and sdist twice; SystemExit if their bytes differ."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as other:
        for place in (folder, Path(other)):
            run([sys.executable, "-m", "build", "--outdir", str(place), str(ROOT)], quiet=True)
        files = sorted(folder.iterdir())
        for file in files:
            if digest(file) != digest(Path(other) / file.name):
                raise SystemExit(f"{file.name}: two builds have different bytes.")
            print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, the same twice, SHA-256 {digest(file)}")
    return files


def try_wheel(wheel: Path, place: Path, pip_args: list[str], *, newest: bool = False) -> None:
    """Install the wheel into a new environment and run everything that a user starts with, away from the repository."""
    if ROOT in (place, *place.parents):
        raise SystemExit(f"{place}: expected a folder outside the repository, so that its sources are not found.")
    print(f"a clean environment in {place} …", flush=True)
    venv.create(place / "venv", with_pip=True)
    work = place / "work"
    work.mkdir(exist_ok=True)
    python = str(place / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not newest:
        pip += ["-c", str(ROOT / "constraints.txt")]
    run([*pip, *pip_args, "torch", "torchvision"], cwd=work)
    run([*pip, f"{wheel}[lab,demo]"], cwd=work)
    samnb = [python, "-m", "samnb.cli"]
    run([*samnb, "doctor"], cwd=work)
    run([*samnb, "demo", "demo"], cwd=work)
    run([*samnb, "notebooks", "notebooks"], cwd=work)
    run([python, "-c", QUICKSTART, "notebooks/01_quickstart.ipynb"], cwd=work)
    run([python, "-c", SMOKE_TEST], cwd=work)
    print(f"{wheel.name} works in a clean environment.")


def run(command: list[str], *, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Run a command without the paths of this one; SystemExit if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    # A build reads the time of this variable, if it is set, into the files; without it all builds are alike.
    environment.pop("SOURCE_DATE_EPOCH", None)
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=quiet)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command[:4])} … failed.\n{(done.stdout or '') + (done.stderr or '') if quiet else ''}"
        )


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
