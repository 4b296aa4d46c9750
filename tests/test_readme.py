"""The README's Python blocks run, then those of docs/evaluation.md, in a folder that has a `photos/` with pictures."""

from __future__ import annotations

import asyncio
import inspect
import re
import shutil
import tomllib
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
EVALUATION = ROOT / "docs" / "evaluation.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
    ROOT / "notebooks" / "course" / "README.md",
    ROOT / "training" / "README.md",
]


def python_blocks(page: Path) -> list[tuple[Path, int, str]]:
    """(page, line, code) of every ```python block."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(page, text.count("\n", 0, m.start()) + 1, m.group(1)) for m in found]


async def run(blocks: list[tuple[Path, int, str]]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    for page, line, code in blocks:
        # Newlines in front make a traceback name the page's own line.
        program = compile("\n" * line + code, str(page), "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
        pending = eval(program, names)
        if inspect.isawaitable(pending):
            await pending
    return names


@pytest.mark.slow
def test_the_code_of_the_readme_runs(
    tmp_path: Path, demo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(demo_folder / "monday", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    blocks, evaluation = python_blocks(README), python_blocks(EVALUATION)
    assert blocks
    assert evaluation

    names = asyncio.run(run([*blocks, *evaluation]))

    assert names["prediction"].cache_hit
    assert (tmp_path / "coins.json").stat().st_size > 1000
    assert list((tmp_path / "masks").rglob("*.png"))
    assert "6 images" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link.split("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:samnb|tests|benchmarks|training)/[\w/.]+)`", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_name_of_a_change_is_in_its_file() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)` in `(samnb/[\w/.]+\.py)`|`(\w+)` of `(samnb/[\w/.]+\.py)`", text)
    pairs = [(first or third, second or fourth) for first, second, third, fourth in named]
    assert len(pairs) >= 10
    missing = [(name, path) for name, path in pairs if not re.search(rf"\b{name}\b", (ROOT / path).read_text())]
    assert missing == []


def test_the_packages_are_listed_in_the_order_of_their_layers() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    height = {name.strip(): -place for place, layer in enumerate(layers) for name in layer.split("|")}
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The packages")[1].split("## ")[0]
    listed = [
        name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)/?`", row)
    ]
    assert sorted(listed) == sorted(height)
    assert [height[name] for name in listed] == sorted(height[name] for name in listed)


def test_every_command_of_the_readme_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"(?:^|`)make ([a-z]+)\b", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"lab", "demo", "test"} <= commands <= targets
