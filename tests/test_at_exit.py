"""The end of a process waits for what runs in the background, and begins nothing more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = """
import threading, time
from samnb.jobs import Event, Job
begun = threading.Event()
def image(control, index):
    begun.set()
    while not control.cancelled:
        time.sleep(0.01)
    print("image", index, flush=True)
def work(control):
    for index in range(1, 1000):
        if not control.go_on():
            break
        image(control, index)
        yield Event("computed", index=index, total=1000)
    yield Event("done", total=1000)
"""
BEGIN = """
job = Job("count", work, total=1000)
begun.wait()
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)


def test_a_job_ends_after_its_current_image() -> None:
    done = ended(JOB + BEGIN)
    assert done.stdout == "image 1\n"
    assert "count stops, since the process ends: wait() waits for it" in done.stderr


def test_a_paused_job_does_not_hold_the_process() -> None:
    pauses = "def image(control, index):\n    control.pause()\n    begun.set()\n    print('image', index, flush=True)\n"
    assert ended(JOB + pauses + BEGIN).stdout == "image 1\n"


def test_what_does_not_end_is_left_and_told() -> None:
    stuck = "import samnb.at_exit\nsamnb.at_exit.SECONDS = 0.2\n"
    stuck += "def image(control, index):\n    begun.set()\n    time.sleep(300)\n"
    done = ended(JOB + stuck + BEGIN)
    assert done.stdout == ""
    assert "1 things in the background do not" in done.stderr


def test_a_job_may_use_pools_to_its_end() -> None:
    pool = """
from concurrent.futures import ThreadPoolExecutor
def image(control, index):
    begun.set()
    while not control.cancelled:
        time.sleep(0.01)
    with ThreadPoolExecutor(2) as pool:
        print("image", pool.submit(lambda: index).result(), flush=True)
"""
    assert ended(JOB + pool + BEGIN).stdout == "image 1\n"


def test_what_is_stored_at_the_end_is_in_remote_tiers_too(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    store = f"""
import numpy as np
from samnb.cache import EmbeddingCache, make_key
from samnb.prompts import Embedding
cache = EmbeddingCache({str(tmp_path / "own")!r}, remote=[{str(tmp_path / "shared")!r}])
def image(control, index):
    begun.set()
    while not control.cancelled:
        time.sleep(0.01)
    tensors = {{"image_embedding": np.ones((4, 4, 4), np.float32)}}
    cache.put(make_key("p", "w", "r"), Embedding(tensors, (60, 80), (48, 64)), about={{"filename": "a.png"}})
"""
    ended(JOB + store + BEGIN)
    here, there = (sorted(file.name for file in (tmp_path / name).rglob("*.safetensors")) for name in ("own", "shared"))
    assert len(here) == 1
    assert there == here


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_wait_for_threads_that_it_does_not_have() -> None:
    fork = """
import os, sys
child = os.fork()
if child == 0:
    sys.exit()
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status), flush=True)
"""
    done = ended(JOB + BEGIN + fork)
    assert done.stdout == "child 0\nimage 1\n"
    assert "do not" not in done.stderr


def test_a_call_of_a_widget_ends_and_what_waits_is_dropped() -> None:
    code = """
import threading, time
from samnb.ui.common.background import LatestOnlyWorker
worker, begun = LatestOnlyWorker(), threading.Event()
def call():
    begun.set()
    while not worker._ends:
        time.sleep(0.01)
    print("over", flush=True)
worker.submit(call, lambda value, error: worker.submit(never, print))
begun.wait()
never = lambda: print("never", flush=True)
worker.submit(never, lambda value, error: None)
"""
    assert ended(code).stdout == "over\n"
