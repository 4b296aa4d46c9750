"""Take the pictures in docs/images again: `python docs/screenshots.py`, with Chromium and the test extra installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the browser tests that take them, into docs/images."""
    tests = [str(HERE.parent / "tests" / "browser" / f"test_{name}.py") for name in ("screenshots", "animation")]
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    environment = {**os.environ, "SAMNB_SCREENSHOTS": str(HERE / "images"), "CI": "true"}
    return subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
