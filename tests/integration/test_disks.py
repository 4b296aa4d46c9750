"""What was reported as done survives power cuts and disks that are full, out of inodes, or read-only of a sudden.

Of each file system that can be mounted here, as root; DISK_ROUNDS asks for more rounds, with another seed each time.
`python -m tests.support.disk_campaign` prints the figures of docs/reliability.md.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.support.disk_campaign import campaign
from tests.support.loop_disks import KINDS, why_not

ROUNDS = os.environ.get("DISK_ROUNDS", "")
SEED = time.time_ns() if ROUNDS else 0


def _checked(kind: str, harm: str, rounds: int) -> None:
    if reason := why_not(kind):
        pytest.skip(reason)
    for seed in range(SEED, SEED + 3):  # on a quick machine the work may have ended before every one of few cuts
        outcome = campaign(kind, int(ROUNDS or rounds), harm=harm, seed=seed)
        assert not outcome.wrong, f"seed {seed}: {outcome}"
        assert outcome.rounds.total() == int(ROUNDS or rounds)
        assert outcome.reported >= outcome.rounds.total() // 2
        if outcome.at_work.total():
            return
    pytest.fail("nothing was harmed while it was at work, in three campaigns")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_loses_nothing_that_was_reported(kind: str) -> None:
    _checked(kind, "power cut", 8)


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["full", "no inodes", "read-only"])
def test_a_disk_that_takes_no_more_loses_nothing_that_was_reported(harm: str) -> None:
    _checked("ext4", harm, 8)
