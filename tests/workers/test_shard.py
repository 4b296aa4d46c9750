"""Shards: each image in exactly one; from the variables of batch systems."""

from __future__ import annotations

import hashlib

import pytest

from samnb.errors import ShardError
from samnb.workers import Shard


def test_every_image_is_in_exactly_one_shard_of_about_equal_size() -> None:
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(6400)]
    hashes.append("unread:0123")
    shards = [[one for one in hashes if Shard(index, 64).has(one)] for index in range(64)]
    assert sum(map(len, shards)) == len(hashes)
    assert {one for shard in shards for one in shard} == set(hashes)
    assert 60 < min(map(len, shards)) <= max(map(len, shards)) < 150


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("3/64", {}, Shard(3, 64)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "8"}, Shard(0, 8)),
        ("auto/16", {"SLURM_ARRAY_TASK_ID": "15"}, Shard(15, 16)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "5"}, Shard(2, 5)),
        ("auto/4", {"JOB_COMPLETION_INDEX": "0"}, Shard(0, 4)),
    ],
)
def test_a_shard_is_read(text: str, environment: dict[str, str], expected: Shard) -> None:
    assert Shard.parse(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "environment", "says"),
    [
        ("64/64", {}, "expected 0/64 to 63/64"),
        ("0/0", {}, "expected"),
        ("-1/4", {}, "'3/64', 'auto' or 'auto/64'"),
        ("3", {}, "does not tell the number of jobs"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "Give it: auto/64"),
        ("auto", {}, "expected an array job, with one of SLURM_ARRAY_TASK_ID"),
        ("auto/4", {"SLURM_ARRAY_TASK_ID": "4"}, "shard 'auto/4': expected 0/4 to 3/4; got 4/4"),
        ("auto/2", {}, "shard 'auto/2': expected an array job"),
    ],
)
def test_a_shard_that_does_not_exist_says_why(text: str, environment: dict[str, str], says: str) -> None:
    with pytest.raises(ShardError, match=says):
        Shard.parse(text, environment)
