"""One real JupyterLab in folders of its own, and a hand in Chromium that opens its notebooks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from tests.support.waiting import wait_until

CHROMIUM_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# Generous, as every limit here: it is spent only where something is wrong.
_SERVER_SECONDS = 180
PAGE_MILLISECONDS = 180_000
"""How long an action of Playwright may take."""
_OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # A save of its own while a test saves may end in a question to the user.
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


class Lab:
    """A JupyterLab server whose settings, workspaces and kernels live in `folder`."""

    def __init__(self, folder: Path):
        self.root, self.settings = folder / "root", folder / "settings"
        self.root.mkdir(parents=True)
        self._reset_settings()
        self.port = _free_port()
        self.output = (folder / "server.log").open("w+")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
                *(f"--port={self.port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="),
                *("--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={self.root}"),
                "--ServerApp.disable_check_xsrf=True",  # `start_over` is no page
            ],
            env=_environment(folder),
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until("JupyterLab answers", self._answers)
        except BaseException:
            self.close()
            raise

    def write(self, name: str, cells: list[str]) -> None:
        """A notebook of these code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / name)

    def url(self, name: str) -> str:
        """Where that notebook opens, in a workspace of its own."""
        workspace = "-".join(Path(name).with_suffix("").parts)
        return f"{self._address}/lab/workspaces/{workspace}/tree/{name}?reset"

    def start_over(self) -> None:
        """End all kernels and forget what was set in the page, such as its theme."""
        with urllib.request.urlopen(f"{self._address}/api/sessions", timeout=_SERVER_SECONDS) as answer:
            ids = [session["id"] for session in json.load(answer)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._end_kernel, ids))
        self._reset_settings()

    def close(self) -> None:
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.output.close()

    def _end_kernel(self, session: str) -> None:
        request = urllib.request.Request(f"{self._address}/api/sessions/{session}", method="DELETE")
        urllib.request.urlopen(request, timeout=_SERVER_SECONDS).close()

    def _reset_settings(self) -> None:
        shutil.rmtree(self.settings, ignore_errors=True)
        for name, values in _OVERRIDES.items():
            package, plugin = name.split(":")
            file = self.settings / package / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            self.output.seek(0)
            raise AssertionError("JupyterLab ended:\n" + self.output.read()[-3000:])
        try:
            with urllib.request.urlopen(f"{self._address}/api/status", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


class LabFolder:
    """A folder in the root of a running JupyterLab, for the notebooks of one module and their kernels."""

    def __init__(self, lab: Lab, name: str):
        self.lab, self.name, self.root = lab, name, lab.root / name
        self.root.mkdir()

    def write(self, name: str, cells: list[str]) -> None:
        """A notebook of these code cells."""
        self.lab.write(f"{self.name}/{name}", cells)

    def url(self, name: str) -> str:
        """Where that notebook opens, in a workspace of its own."""
        return self.lab.url(f"{self.name}/{name}")


class NotebookPage:
    """An open notebook in the browser."""

    def __init__(self, lab: Lab | LabFolder, page):
        self.lab, self.page = lab, page

    def open(self, name: str, cells: list[str], *, run: bool = True) -> NotebookPage:
        """Write the notebook, open it, wait for the kernel, run all cells."""
        self.lab.write(name, cells)
        self.page.goto(self.lab.url(name))
        self.wait_for_kernel()
        if run:
            self.start("notebook:run-all-cells")
        return self

    def wait_for_kernel(self) -> None:
        """Until the kernel of the notebook in front is idle."""
        self.page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=PAGE_MILLISECONDS,
        )

    def start(self, command: str) -> None:
        """Run a command of JupyterLab without waiting for its end; `wait_until_run` does."""
        self.page.evaluate(
            """command => {
                window.atWork = (window.atWork || 0) + 1;
                jupyterapp.commands.execute(command).finally(() => { window.atWork -= 1; });
            }""",
            command,
        )

    def save(self) -> None:
        """Save the notebook, as Ctrl+S does, and wait until it is saved.

        Not until the page calls it unchanged: an output that is updated a moment later changes it again.
        """
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")

    def reload(self) -> None:
        """Load the page anew until it shows the notebook's widgets.

        JupyterLab gives the kernel four seconds to name its widgets, then it shows none of them.
        """
        canvas, missing = self.page.locator(".samnb-stage canvas"), self.page.get_by_text("Error displaying widget")
        for _ in range(10):
            self.page.reload()
            self.wait_for_kernel()
            wait_until("the widget or JupyterLab's excuse", lambda: canvas.count() or missing.count())
            if canvas.count():
                return

    def wait_until_run(self, *, seconds: float = 300) -> None:
        """Until every cell has run; a cell's error fails the test with its traceback.

        And until the commands of `start` have ended: after the last cell JupyterLab may take the focus.
        """
        wait_until("all cells have run", lambda: all(c.get("execution_count") for c in self.cells()), seconds=seconds)
        wait_until("JupyterLab is done with it", lambda: not self.page.evaluate("window.atWork"))
        errors = [o for c in self.cells() for o in c.get("outputs", ()) if o["output_type"] == "error"]
        assert not errors, "\n".join("\n".join(error["traceback"]) for error in errors)

    def cells(self) -> list[dict]:
        """The notebook's code cells as they are now, outputs included."""
        text = self.page.evaluate("JSON.stringify(jupyterapp.shell.currentWidget.content.model.toJSON().cells)")
        return [cell for cell in json.loads(text) if cell["cell_type"] == "code"]

    def ask(self, code: str) -> str:
        """The repr of an expression in the kernel."""
        return self.page.evaluate(
            """async code => {
                const shown = [jupyterapp.shell.currentWidget, ...jupyterapp.shell.widgets("main")];
                const kernel = shown.find(each => each?.sessionContext).sessionContext.session.kernel;
                const future = kernel.requestExecute({code: "", silent: true, user_expressions: {it: code}});
                const late = (_, fail) => setTimeout(() => fail(new Error("the kernel does not answer")), 300_000);
                const it = (await Promise.race([future.done, new Promise(late)])).content.user_expressions.it;
                if (it.status !== "ok") throw new Error(it.ename + ": " + it.evalue);
                return it.data["text/plain"];
            }""",
            code,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment(folder: Path) -> dict[str, str]:
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **{variable: str(folder / name) for variable, name in own.items()},
        "PYTHONPATH": os.pathsep.join(paths),
    }
