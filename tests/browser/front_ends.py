"""Servers of the front ends that show notebooks: JupyterLab, Notebook 7, nbclassic, Voilà; each with our own kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tests.support.waiting import wait_until

from .lab import _environment, _free_port

NAME = "annotate.ipynb"


@dataclass(frozen=True)
class FrontEnd:
    """How a front end is started, and how its page runs all cells.

    Parameters
    ----------
    name : str
        Of the environment, see ``scripts/front_ends.py``.
    module : str
        Run with ``python -m``.
    path : str
        Of the page.
    run : str
        JavaScript that runs all cells once the kernel is there, and returns True; "" where that happens by itself.
    """

    name: str
    module: str
    path: str
    run: str = ""

    @property
    def python(self) -> Path | None:
        """The Python with its server; None: it is not installed."""
        if self.name == "jupyterlab":
            return Path(sys.executable)
        folder = os.environ.get("SAMNB_FRONT_ENDS")
        python = Path(folder or ".") / self.name / ("Scripts" if os.name == "nt" else "bin") / "python"
        return python if folder and python.exists() else None


_LAB = """() => {
  const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
  if (kernel?.status !== "idle") return false;
  jupyterapp.commands.execute("notebook:run-all-cells");
  return true;
}"""
# Only when the kernel has answered: ipywidgets' part for nbclassic gives a kernel four seconds to say which widgets it
# has, then asks again, behind the cells that were run meanwhile; with their widgets in the answer it waits for itself.
_CLASSIC = """() => {
  const kernel = window.Jupyter?.notebook?.kernel;
  if (!kernel?.info_reply?.status || !kernel.comm_manager?.targets["jupyter.widget"]) return false;
  Jupyter.notebook.execute_all_cells();
  return true;
}"""

FRONT_ENDS = (
    FrontEnd("jupyterlab", "jupyterlab", f"lab/tree/{NAME}?reset", _LAB),
    FrontEnd("jupyterlab-4.4", "jupyterlab", f"lab/tree/{NAME}?reset", _LAB),
    FrontEnd("jupyterlab-4.5", "jupyterlab", f"lab/tree/{NAME}?reset", _LAB),
    FrontEnd("notebook-7", "notebook", f"notebooks/{NAME}", _LAB),
    FrontEnd("nbclassic", "nbclassic", f"notebooks/{NAME}", _CLASSIC),
    FrontEnd("voila", "voila", ""),
)


class Server:
    """A running front end, with one notebook of these cells."""

    def __init__(self, front_end: FrontEnd, folder: Path, cells: list[str]):
        python = front_end.python
        assert python is not None
        self.root, port = folder / "root", _free_port()
        self.root.mkdir(parents=True)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "samnb", "display_name": "samnb", "language": "python"}
        nbformat.write(notebook, self.root / NAME)
        environment = _environment(folder)
        _write_kernel(Path(environment["JUPYTER_DATA_DIR"]), environment["PYTHONPATH"])
        options = [f"--port={port}", "--no-browser"]
        if front_end.module == "voila":
            options = [NAME, *options, "--show_tracebacks=True"]
        else:
            options += ["--allow-root", "--ip=127.0.0.1", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
            options += ["--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"]
        self.url = f"http://127.0.0.1:{port}/{front_end.path}"
        self.output = (folder / "server.log").open("w+")
        command = [str(python), "-m", front_end.module, *options]
        # The server's environment must not see the packages of the kernel's.
        own = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(command, cwd=self.root, env=own, stdout=self.output, stderr=subprocess.STDOUT)
        try:
            wait_until(f"{front_end.name} answers", lambda: self._answers(port), seconds=120)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.output.close()

    def _answers(self, port: int) -> bool:
        if self.process.poll() is not None:
            self.output.seek(0)
            raise AssertionError("the server ended:\n" + self.output.read()[-3000:])
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60):
                return True
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, OSError):
            return False


def _write_kernel(data: Path, package: str) -> None:
    place = data / "kernels" / "samnb"
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    values = {"argv": command, "display_name": "samnb", "language": "python", "env": {"PYTHONPATH": package}}
    (place / "kernel.json").write_text(json.dumps(values))
