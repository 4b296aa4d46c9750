"""Runs the notebooks and saves them with their outputs: `python docs/refresh_notebooks.py`.

Widget state is left out on purpose: a saved state hides the picture that stands beside a widget, and it is
the picture that people see where no kernel runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def refresh(path: Path) -> None:
    """Run one notebook from its own folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        # When a cell ran is no part of the manual, and would change in every commit.
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells run")


if __name__ == "__main__":
    for name in sys.argv[1:] or [*sorted(FOLDER.glob("[0-9]*.ipynb")), *sorted(FOLDER.glob("course/*.ipynb"))]:
        refresh(Path(name))
