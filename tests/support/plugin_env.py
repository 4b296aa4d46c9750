"""Registers models without a network for processes that a test starts: by entry points on `PYTHONPATH`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

POINTS = {"counting": "counting_entry", "killing": "killing_entry"}
ROOT = Path(__file__).parents[2]


def install(folder: Path, environment: dict[str, str] | None = None) -> None:
    """Make a folder with the entry points, here and for the processes of an environment (default: of this one)."""
    told = folder / "samnb_test_models-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: samnb_test_models\nVersion: 1.0\n")
    lines = [f"{name} = tests.support.worker_models:{target}" for name, target in POINTS.items()]
    (told / "entry_points.txt").write_text("\n".join(["[samnb.models]", *lines]) + "\n")
    env = os.environ if environment is None else environment
    parts = [str(folder), str(ROOT), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, parts))
    for part in reversed(parts[:2]):
        if part not in sys.path:
            sys.path.insert(0, part)
