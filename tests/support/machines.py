"""How long the state machines run, and where: each 2,500 steps, always the same, on files in memory.

`MACHINE_EXAMPLES` in the environment asks for that many other sequences, see `make soak`: 115 are 10,000 steps and
take minutes each.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

__all__ = ["STEPS", "machine", "new_folder"]

STEPS = 100
"""Of each sequence: long ones, since a session that is opened anew costs as much as many steps."""


def machine(examples: int = 2_500 // STEPS) -> settings:
    """The settings of a machine that runs so many sequences, of which some end before their last step."""
    return settings(
        max_examples=int(os.environ.get("MACHINE_EXAMPLES", examples)),
        derandomize="MACHINE_EXAMPLES" not in os.environ,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def new_folder() -> Path:
    """One in memory, where there is such a place: no step waits for a disk, whose faults have tests of their own."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="samnb-machine-", dir=memory if memory.is_dir() else None))
