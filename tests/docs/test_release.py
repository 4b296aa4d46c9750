"""The files of a release agree with pyproject.toml and with the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import samnb

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = ROOT / "packaging" / "Dockerfile"
#: Names that conda-forge has instead.
CONDA = {
    "opencv-python-headless": "opencv",
    "xxhash": "python-xxhash",
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
}


def minimums(lines: list[str]) -> dict[str, str]:
    """Name and least version of requirements, under conda's names."""
    found = (re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*>=\s*([\w.]+)", line) for line in lines)
    return {CONDA.get(match[1], match[1]): match[2] for match in found if match}


def test_the_version_is_the_same_everywhere() -> None:
    version = samnb.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert (citation["version"], recipe["context"]["version"], newest and newest[1]) == (version, version, version)


def test_the_constraints_name_each_package_once() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    names = [line.partition("==")[0].lower() for line in lines]
    assert sorted(set(names)) == sorted(names)
    assert {"torch", "numpy", "aiobotocore", "botocore"} <= set(names)


def test_the_conda_files_need_what_the_package_needs() -> None:
    needed = minimums(PROJECT["dependencies"])
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    run = minimums([line for line in recipe["requirements"]["run"] if not line.startswith("python ")])
    assert run == needed
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    listed = [line for line in environment if isinstance(line, str)]
    listed += next(line["pip"] for line in environment if isinstance(line, dict))
    found = minimums([line.replace("pytorch-cpu", "pytorch") for line in listed])
    extras = PROJECT["optional-dependencies"]
    assert found == needed | minimums(extras["lab"]) | minimums(extras["demo"])


def test_the_image_of_the_lab_server_is_not_root_and_keeps_the_token() -> None:
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    user = max(number for number, line in enumerate(lines) if line.startswith("USER "))
    assert not any(line.startswith("USER root") for line in lines)
    assert next(number for number, line in enumerate(lines) if line.startswith("CMD ")) > user
    assert "token=" not in "\n".join(lines)


def test_the_image_of_the_lab_server_has_the_tested_versions() -> None:
    of_the_server = DOCKERFILE.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    installs = [line for line in of_the_server.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert all("-c /wheels/constraints.txt" in line for line in installs)


@pytest.mark.skipif(shutil.which("sh") is None, reason="the command of the image needs a shell")
@pytest.mark.parametrize("token", ["", "secret"])
@pytest.mark.parametrize("home", ["of the image", "empty volume"])
def test_the_image_of_the_lab_server_starts_with_any_home(tmp_path: Path, home: str, token: str) -> None:
    """Its command, with programs that only say what they were asked."""
    programs, folder = tmp_path / "programs", tmp_path / "home"
    programs.mkdir()
    (folder / "notebooks").mkdir(parents=True)
    if home == "empty volume":
        (folder / "notebooks").rmdir()
    for name in ("samnb", "jupyter", "jupyterhub-singleuser"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (programs / name).chmod(0o755)
    command = next(
        json.loads(line.removeprefix("CMD "))
        for line in DOCKERFILE.read_text(encoding="utf-8").splitlines()
        if line.startswith("CMD ")
    )
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "JUPYTERHUB_API_TOKEN": token}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    copied = ["samnb notebooks notebooks"] if home == "empty volume" else []
    server = "jupyterhub-singleuser" if token else "jupyter lab --ip=0.0.0.0 --no-browser"
    assert done.stdout.splitlines() == [*copied, server]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make dist` builds it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("samnb-*.whl"))


@pytest.mark.slow
def test_a_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    assert wheel.name.startswith(f"samnb-{samnb.__version__}-")
    names = set(zipfile.ZipFile(wheel).namelist())
    notebooks = {
        f"samnb/{path.relative_to(ROOT)}"
        for place in ("*.ipynb", "course/*.ipynb", "course/*.py", "course/*.md")
        for path in (ROOT / "notebooks").glob(place)
    }
    assert {name for name in names if name.startswith("samnb/notebooks/")} == notebooks
    assert {"samnb/py.typed", "samnb/models/tiny/weights/tiny.safetensors"} <= names
    assert {name.rsplit("/", 1)[-1] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert {name.split("/")[0] for name in names} == {"samnb", f"samnb-{samnb.__version__}.dist-info"}


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, with the dependencies of this environment; `make dist` installs everything anew."""
    installed, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    zipfile.ZipFile(wheel).extractall(installed)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(installed)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert str(installed) in run("-c", "import samnb; print(samnb.__file__)")
    assert "✗" not in run("-m", "samnb.cli", "doctor")
    assert "masks written" in run("-m", "samnb.cli", "demo")
    run("-m", "samnb.cli", "notebooks", "all")
    assert (work / "all" / "01_quickstart.ipynb").exists()
    assert (work / "all" / "course" / "checks.py").exists()
    assert not (work / "all" / "course" / "solutions.py").exists()
