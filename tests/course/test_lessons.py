"""With the teacher's solutions in the place of the exercises, every lesson runs, and every check says right."""

from __future__ import annotations

import asyncio
import inspect
import sys
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from pathlib import Path
from typing import Any

import nbformat
import pytest

COURSE = Path(__file__).parents[2] / "notebooks" / "course"
sys.path.insert(0, str(COURSE))

import checks  # noqa: E402
import solutions  # noqa: E402

LESSONS = sorted(COURSE.glob("*.ipynb"))


async def run_with_solutions(lesson: Path) -> list[checks.Verdict]:
    """Run the code cells in this process; returns what the check cells say."""
    names: dict[str, Any] = {"__name__": "lesson"}
    verdicts = []
    for number, cell in enumerate(nbformat.read(lesson, as_version=4).cells):
        if cell.cell_type != "code":
            continue
        if exercise := cell.metadata.get("exercise"):
            names |= {name: getattr(solutions, name) for name in exercise}
            continue
        mode = "eval" if cell.source.startswith("checks.") else "exec"
        # The last line of a check cell is its verdict; above it there may be a line that prepares the answer.
        *before, last = cell.source.split("\n")
        if mode == "exec" and last.startswith("checks."):
            exec("\n".join(before), names)
            mode = "eval"
        source = last if mode == "eval" else cell.source
        program = compile(source, f"{lesson.name}, cell {number}", mode, flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(program, names)
        if inspect.isawaitable(value):
            await value
        if mode == "eval":
            verdicts.append(value)
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_solutions_solve_the_lesson(lesson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    verdicts = asyncio.run(run_with_solutions(lesson))
    assert len(verdicts) == 3
    assert [verdict for verdict in verdicts if not verdict.right] == []


def test_there_are_six_lessons_and_every_exercise_is_in_one() -> None:
    assert [path.stem[:2] for path in LESSONS] == [f"{number}_" for number in range(1, 7)]
    text = "".join(path.read_text(encoding="utf-8") for path in LESSONS)
    assert [check.__name__ for check in checks.CHECKS if f"checks.{check.__name__}(" not in text] == []
