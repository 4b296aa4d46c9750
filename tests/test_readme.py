"""The README's Python blocks run, in order, in a folder that has a `photos/` with pictures."""

from __future__ import annotations

import asyncio
import inspect
import re
import shutil
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"


def python_blocks(text: str) -> list[tuple[int, str]]:
    """(line, code) of every ```python block."""
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, m.start()) + 1, m.group(1)) for m in found]


async def run(blocks: list[tuple[int, str]]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    for line, code in blocks:
        # Newlines in front make a traceback name the README's own line.
        program = compile("\n" * line + code, str(README), "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
        pending = eval(program, names)
        if inspect.isawaitable(pending):
            await pending
    return names


def test_the_code_of_the_readme_runs(
    tmp_path: Path, demo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(demo_folder / "monday", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(README.read_text(encoding="utf-8"))
    assert blocks

    names = asyncio.run(run(blocks))

    assert names["prediction"].cache_hit
    assert (tmp_path / "coins.json").stat().st_size > 1000
    assert list((tmp_path / "masks").rglob("*.png"))
    assert "6 images" in capsys.readouterr().out


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", README.read_text(encoding="utf-8"))
    assert [link for link in links if not (README.parent / link.split("#")[0]).exists()] == []


def test_every_command_of_the_readme_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (README.parent / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"(?:^|`)make ([a-z]+)\b", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"lab", "demo", "test"} <= commands <= targets
