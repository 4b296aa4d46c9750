"""What the pages show exists: each call of a session binds to its method, each command of a code block is parsed."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator

import pytest

import samnb
from samnb.cli import _parser

from .test_readme import PAGES, python_blocks

OWNERS = {"session": samnb.Session, "samnb": samnb}


def snippets(page) -> Iterator[str]:
    """The Python blocks of a page, and each `piece of code` in a sentence."""
    yield from (code for _, _, code in python_blocks(page))
    sentences = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", sentences)


def calls(code: str) -> Iterator[tuple[str, inspect.Signature, list[int], dict[str, int]]]:
    """Each call of a session's method, or a function of samnb: its code, the signature, stand-ins for what is given."""
    try:
        tree = ast.parse(code)
    except SyntaxError:  # a shell command, a file's name, a magic of IPython
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        if not isinstance(owner, ast.Name) or owner.id not in OWNERS:
            continue
        given = [keyword.arg for keyword in node.keywords if keyword.arg]
        function = getattr(OWNERS[owner.id], node.func.attr, None)
        assert function is not None, f"{owner.id} has no {node.func.attr}: {ast.unparse(node)}"
        itself = [0] if owner.id == "session" else []
        places = [0 for one in node.args if not isinstance(one, ast.Starred) and ast.unparse(one) != "..."]
        yield ast.unparse(node), inspect.signature(function), itself + places, dict.fromkeys(given, 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_call_that_a_page_shows_has_the_arguments_of_its_function(page) -> None:
    for code in snippets(page):
        for call, signature, places, given in calls(code):
            try:
                signature.bind_partial(*places, **given)
            except TypeError as error:
                pytest.fail(f"{page.name}: {call}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_one(page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks = [block for kind, block in found if kind in ("", "bash", "sh")]
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            command = re.split(r" \| | > | && |;| #", line)[0].strip()
            # Words in capitals, and what the shell fills in, stand for others; ": " is in what a command prints.
            if command.startswith("samnb ") and not re.search(r"…|\$|\b[A-Z]{2,}\b|[\[|]|: ", command):
                _parser().parse_args(shlex.split(command)[1:])


def test_the_pages_show_calls() -> None:
    assert sum(1 for page in PAGES for code in snippets(page) for _ in calls(code)) > 100
