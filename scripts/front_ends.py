"""The annotator in front ends of other versions: environments for them, and the browser test in each.

    python scripts/front_ends.py FOLDER [NAME …]

FOLDER gets a virtual environment for each front end, with its server and the widgets' JavaScript; the kernel is that of
the Python that runs this. An environment that is there is used again. Needs Chromium and the test extra.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDGETS = ("ipywidgets>=8.1", "ipycanvas>=0.13.3", "anywidget>=0.9.13", "ipykernel>=6.29")
FRONT_ENDS = {
    "jupyterlab-4.4": "jupyterlab==4.4.*",
    "jupyterlab-4.5": "jupyterlab==4.5.*",
    "notebook-7": "notebook>=7.5,<8",
    "nbclassic": "nbclassic>=1.3",
    "voila": "voila>=0.5.11",
}


def main() -> int:
    """Make what is missing, and run the tests; the exit status of pytest."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    folder, names = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(FRONT_ENDS)
    for name in names:
        place = folder / name
        if not (place / "ready").exists():
            print(f"{name}: pip install {FRONT_ENDS[name]} …", flush=True)
            venv.create(place, with_pip=True, clear=True)
            python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
            subprocess.run([python, "-m", "pip", "install", "--quiet", FRONT_ENDS[name], *WIDGETS], check=True)
            (place / "ready").touch()
    test = HERE.parent / "tests" / "browser" / "test_front_ends.py"
    environment = {**os.environ, "SAMNB_FRONT_ENDS": str(folder)}
    return subprocess.run([sys.executable, "-m", "pytest", "-rs", str(test)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
