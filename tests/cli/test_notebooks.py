"""`samnb notebooks` and `samnb lab`: copies that stay, and a JupyterLab of this Python."""

from __future__ import annotations

import sys

import pytest

from samnb import cli
from samnb.cli import notebooks
from samnb.errors import StoreError


def test_all_notebooks_are_written_once(tmp_path, capsys):
    assert cli.main(["notebooks", str(tmp_path / "new" / "folder")]) == 0
    quickstart = tmp_path / "new" / "folder" / notebooks.QUICKSTART
    source = notebooks.notebooks_folder()
    assert quickstart.read_bytes() == (source / notebooks.QUICKSTART).read_bytes()
    assert {path.name for path in quickstart.parent.glob("*.ipynb")} == {path.name for path in source.glob("*.ipynb")}
    quickstart.write_text("mine")
    capsys.readouterr()
    assert cli.main(["notebooks", str(quickstart.parent)]) == 0
    assert "--overwrite" in capsys.readouterr().out
    assert quickstart.read_text() == "mine"
    assert cli.main(["notebooks", str(quickstart.parent), "--overwrite"]) == 0
    assert quickstart.read_text() != "mine"


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The command that would have been started, in an empty current folder."""
    commands = []

    def become(command):
        commands.append(command)
        return 0

    monkeypatch.setattr(notebooks, "_become", become)
    monkeypatch.chdir(tmp_path)
    return commands


def test_lab_opens_a_copy_in_the_current_folder(started, tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    (tmp_path / notebooks.QUICKSTART).write_text("mine")
    assert cli.main(["lab", "--", "--port", "9999"]) == 0
    (command,) = started
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--LabApp.default_url=/lab/tree/{notebooks.QUICKSTART}" in command
    assert command[-2:] == ["--port", "9999"]
    assert "--no-browser" not in command
    assert (tmp_path / notebooks.QUICKSTART).read_text() == "mine"


def test_lab_without_a_display_opens_no_browser(started, tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cli.main(["lab"]) == 0
    assert "--no-browser" in started[0]
    assert (tmp_path / notebooks.QUICKSTART).stat().st_size > 1000


def test_lab_without_jupyterlab_names_the_extra(started, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "find_spec", lambda name: None)
    assert cli.main(["lab"]) == 1
    assert 'pip install "samnb[lab,demo]"' in capsys.readouterr().err
    assert started == []


def test_an_installation_without_notebooks_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(notebooks, "__file__", str(tmp_path / "samnb" / "cli" / "notebooks.py"))
    with pytest.raises(StoreError, match="no notebooks there"):
        notebooks.notebooks_folder()
