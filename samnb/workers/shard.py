"""`Shard`: one of n equal parts of a session's images, for array jobs of a batch system; no engine is needed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ShardError

_HEX = re.compile("[0-9a-f]{8}")
_GIVEN = re.compile(r"(auto|\d+)(?:/(\d+))?")
_BATCH_SYSTEMS = (
    # index, its first value, number of jobs
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT"),
    ("AWS_BATCH_JOB_ARRAY_INDEX", "", "AWS_BATCH_JOB_ARRAY_SIZE"),
    ("JOB_COMPLETION_INDEX", "", ""),
)


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`: the images whose pixel hash, as a number, leaves that remainder.

    Every image is in exactly one shard, whichever machine asks, and copies of one picture are in the same one.

    Parameters
    ----------
    index : int
        0 to count - 1.
    count : int

    Examples
    --------
    >>> shard = Shard.parse("3/64")
    >>> shard.has("00000003" + "0" * 56), shard.has("00000004" + "0" * 56)
    (True, False)
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] | None = None) -> Shard:
        """``"3/64"``; ``"auto"``, from the variables of SLURM, AWS Batch or Kubernetes; ``"auto/64"`` with a count.

        Kubernetes tells a pod its index and not the number of pods: give the count.

        Raises
        ------
        ShardError
            Anything else, an index that is not below the count, or "auto" outside an array job.

        Examples
        --------
        >>> Shard.parse("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "5", "AWS_BATCH_JOB_ARRAY_SIZE": "8"})
        Shard(index=5, count=8)
        >>> Shard.parse("auto/64", {"JOB_COMPLETION_INDEX": "63"})
        Shard(index=63, count=64)
        """
        match = _GIVEN.fullmatch(text.strip())
        if match is None:
            raise ShardError(f"shard {text!r}: expected '3/64', 'auto' or 'auto/64'.")
        count = int(match[2]) if match[2] else None
        if match[1] != "auto":
            index = int(match[1])
        else:
            index, known = _of_array_job(text, os.environ if environment is None else environment)
            count = known if count is None else count
        if count is None:
            raise ShardError(f"shard {text!r}: this batch system does not tell the number of jobs. Give it: auto/64.")
        if not 0 <= index < count:
            raise ShardError(f"shard {text!r}: expected 0/{count} to {count - 1}/{count}; got {index}/{count}.")
        return cls(index, count)

    def has(self, pixel_hash: str) -> bool:
        """Whether the image with these pixels is in this shard."""
        digits = pixel_hash[:8]
        if not _HEX.fullmatch(digits):  # of an image that was not read yet
            digits = hashlib.sha256(pixel_hash.encode()).hexdigest()[:8]
        return int(digits, 16) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def _of_array_job(text: str, environment: Mapping[str, str]) -> tuple[int, int | None]:
    for name, first, count in _BATCH_SYSTEMS:
        if environment.get(name, "").isdecimal():
            index = int(environment[name]) - int(environment.get(first) or 0)
            size = environment.get(count, "") if count else ""
            return index, int(size) if size.isdecimal() else None
    names = ", ".join(name for name, _, _ in _BATCH_SYSTEMS)
    raise ShardError(f"shard {text!r}: expected an array job, with one of {names} set. Elsewhere give it: 3/64.")
