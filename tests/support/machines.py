"""How long the state machines run, and where: mostly 10,000 steps, always the same, on files in memory.

`MACHINE_EXAMPLES` in the environment asks for that many other sequences, see `make soak`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant

__all__ = ["SOAK", "Machine", "machine", "new_folder"]

SOAK = "MACHINE_EXAMPLES" in os.environ


class Machine(RuleBasedStateMachine):
    """A state machine that counts the steps of all its sequences."""

    steps: ClassVar[int] = 0

    @invariant()
    def count(self) -> None:
        type(self).steps += 1

    @classmethod
    def made_enough(cls) -> None:
        """Assert that the promised number of steps was made; called when a run has ended."""
        made, cls.steps = cls.steps, 0
        print(f"{cls.__name__}: {made:,} steps")
        # Hypothesis breaks off sequences, more of them in one process than in another: 8,900 to 11,600 were seen.
        assert made >= 5_000 or SOAK


def machine(sequences: int = 57, *, length: int = 200) -> settings:
    """The settings of a machine; 57 sequences of 200 are 10,000 steps, since Hypothesis breaks off some."""
    return settings(
        max_examples=int(os.environ.get("MACHINE_EXAMPLES", sequences)),
        derandomize=not SOAK,
        stateful_step_count=length,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def new_folder() -> Path:
    """One in memory, where there is such a place: no step waits for a disk, whose faults have tests of their own."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="samnb-machine-", dir=memory if memory.is_dir() else None))
