"""`samnb doctor`: green where all is well; each fault is named with what to do about it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from samnb import Session, cli
from samnb.cli import checks
from samnb.cli.doctor import findings
from samnb.prompts import Prompt


def states(found: list[checks.Finding]) -> dict[str, str]:
    return {finding.subject: finding.state for finding in found}


def test_a_complete_installation_has_no_problem(tmp_path, capsys):
    assert cli.main(["doctor", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "✓ model tiny" in told
    assert "✓ extensions" in told
    assert "✗" not in told
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_json_has_the_same_findings(tmp_path, capsys):
    assert cli.main(["doctor", str(tmp_path), "--json"]) == 0
    subjects = [finding["subject"] for finding in json.loads(capsys.readouterr().out)]
    assert subjects == [finding.subject for finding in findings(tmp_path)]


def test_a_check_that_fails_itself_is_a_problem_and_the_next_ones_run(tmp_path, monkeypatch):
    def broken():
        raise OSError("libtorch is not there")
        yield

    monkeypatch.setattr(checks, "model", broken)
    found = list(findings(tmp_path))
    problem = next(finding for finding in found if finding.state == "problem")
    assert (problem.subject, "libtorch" in problem.found) == ("model tiny", True)
    assert states(found)["free space"] == "good"


def test_a_wrong_mask_is_a_problem(monkeypatch):
    import samnb.models

    real = samnb.models.load_model

    def elsewhere(*arguments, **options):
        model = real(*arguments, **options)
        # A click beside the disc gives the mask of the ground.
        model.decode = lambda embedding, prompt: type(model).decode(model, embedding, Prompt.of(points=[(5, 5)]))
        return model

    monkeypatch.setattr(samnb.models, "load_model", elsewhere)
    assert next(checks.model()).state == "problem"


def test_a_missing_package_is_named(monkeypatch):
    real = checks._version
    monkeypatch.setattr(checks, "_version", lambda name: None if name == "ipycanvas" else real(name))
    problem = next(finding for finding in checks.packages() if finding.state == "problem")
    assert problem.found == "missing: ipycanvas"
    assert problem.advice == "pip install ipycanvas"


def test_without_jupyterlab_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(checks, "_version", lambda name: None)
    assert next(checks.front_end()).advice == 'pip install "samnb[lab,demo]"'


def test_a_jupyterlab_that_loses_canvases_is_a_warning(monkeypatch):
    real = checks._version
    monkeypatch.setattr(checks, "_version", lambda name: "4.4.9" if name == "jupyterlab" else real(name))
    assert next(checks.front_end()).state == "warning"


def test_the_command_of_another_environment_is_a_warning(tmp_path, monkeypatch):
    other = tmp_path / "jupyter-lab"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert states(list(checks.front_end()))["jupyter-lab"] == "warning"


def test_missing_and_disabled_extensions(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_jupyter_folders", lambda kind: [str(tmp_path)])
    found = checks._extensions()
    assert found.state == "problem"
    assert "anywidget" in found.found
    for name in checks.EXTENSIONS:
        (tmp_path / "labextensions" / name).mkdir(parents=True)
        (tmp_path / "labextensions" / name / "package.json").write_text("{}")
    assert checks._extensions().state == "good"
    config = tmp_path / "labconfig" / "page_config.json"
    config.parent.mkdir()
    config.write_text('{"disabledExtensions": {"ipycanvas": true, "other": true, "anywidget": false}}')
    assert checks._extensions().found == "disabled in JupyterLab: ipycanvas"


def test_a_setting_that_cannot_be_parsed_is_named(monkeypatch):
    monkeypatch.setenv("SAMNB_CACHE_TTL", "soon")
    assert "SAMNB_CACHE_TTL" in next(checks.settings()).found


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(tmp_path):
    tmp_path.chmod(0o500)
    assert states(list(checks.folder(tmp_path)))["folder"] == "problem"


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refused(self, mode=0o666, exist_ok=True):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refused)
    found = next(checks.folder(tmp_path / "new" / "session"))
    assert found.state == "problem"
    assert str(tmp_path) in found.found


def test_a_full_disk_and_a_network_disk(tmp_path, monkeypatch):
    from samnb.catalog import file_systems
    from samnb.store import limits

    monkeypatch.setattr(limits.Limits, "to_leave_free", lambda self, folder: 2**60)
    monkeypatch.setattr(file_systems, "mount_of", lambda path: file_systems.Mount("/home", "nfs4"))
    found = states(list(checks.folder(tmp_path)))
    assert found["free space"] == "problem"
    assert found["file system"] == "warning"


def test_a_session_is_counted_and_a_damaged_one_is_a_problem(tmp_path):
    with Session(tmp_path) as session:
        session.add(np.zeros((20, 30, 3), np.uint8))
    assert next(checks.session(tmp_path)).found == "1 image, 0 cached, 0 annotations"
    (tmp_path / "catalog.db").write_bytes(b"no database, and longer than a header" * 100)
    assert next(checks.session(tmp_path)).state == "problem"


def test_a_folder_that_is_not_there_is_a_problem(tmp_path):
    [found] = checks.session(tmp_path / "misspelt")
    assert (found.state, found.found) == ("problem", f"there is no folder {tmp_path / 'misspelt'}")
    [found] = checks.session(tmp_path)
    assert found.state == "note"


def test_a_tier_that_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMNB_CACHE_REMOTE", "redis://127.0.0.1:9/0")
    found = next(checks.tiers())
    assert found.state == "problem"
    assert "127.0.0.1:9" in found.found
    monkeypatch.setenv("SAMNB_CACHE_REMOTE", f"file://{tmp_path}")
    assert next(checks.tiers()).state == "good"
