"""`samnb lab` in an empty folder: JupyterLab opens on the quickstart, which runs to its end."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from samnb.cli.notebooks import QUICKSTART
from tests.support.waiting import wait_until

from .lab import NotebookPage, _environment, _free_port

pytestmark = pytest.mark.browser


@pytest.fixture
def address(tmp_path):
    """Where a JupyterLab answers that `samnb lab` started, in a folder that was empty."""
    port, folder = _free_port(), tmp_path / "empty"
    folder.mkdir()
    options = [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    with (tmp_path / "server.log").open("w+") as output:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "samnb.cli", "lab", "--no-browser", "--", *options),
                "--LabApp.expose_app_in_browser=True",
            ],
            cwd=folder,
            env=_environment(tmp_path),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def answers():
            if server.poll() is not None:
                output.seek(0)
                raise AssertionError("samnb lab ended:\n" + output.read()[-3000:])
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=2) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        try:
            wait_until("samnb lab answers", answers)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()  # JupyterLab and its kernels end with the command
            server.wait(180)


@pytest.mark.slow
def test_the_quickstart_opens_and_runs_to_its_end(browser, address):
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.goto(address)  # the address that a person opens
    notebook = NotebookPage(None, page)
    notebook.wait_for_kernel()
    assert page.evaluate("jupyterapp.shell.currentWidget.context.path") == QUICKSTART
    notebook.start("notebook:run-all-cells")
    notebook.wait_until_run()
    assert notebook.cells()[-1]["source"] == "session.close()"
    page.close()
