"""The end of a process waits for what runs in the background, and begins nothing more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

JOB = """
import threading, time
from samnb.jobs import Event, Job
begun = threading.Event()
def work(control):
    for index in range(1, 1000):
        if not control.go_on():
            break
        begun.set()
        time.sleep(0.3)
        print("image", index, flush=True)
        yield Event("computed", index=index, total=1000)
    yield Event("done", total=1000)
job = Job("count", work, total=1000)
begun.wait()
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)


def test_a_job_ends_after_its_current_image() -> None:
    done = ended(JOB)
    assert done.stdout == "image 1\n"
    assert "count stops, since the process ends: wait() waits for it" in done.stderr


def test_a_paused_job_does_not_hold_the_process() -> None:
    assert ended(JOB + "job.pause()\ntime.sleep(0.5)").stdout == "image 1\n"


def test_what_does_not_end_is_left() -> None:
    stuck = JOB.replace("time.sleep(0.3)", "time.sleep(300)")
    assert ended("import samnb.at_exit\nsamnb.at_exit.SECONDS = 0.2" + stuck).stdout == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_wait_for_threads_that_it_does_not_have() -> None:
    fork = """
import os, sys
child = os.fork()
if child == 0:
    sys.exit()
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status))
job.cancel()
job.wait()
"""
    patient = "import samnb.at_exit\nsamnb.at_exit.SECONDS = 200"
    quiet = JOB.replace('print("image", index, flush=True)', "pass")
    assert ended(patient + quiet + fork).stdout == "child 0\n"


def test_a_call_of_a_widget_ends_and_what_waits_is_dropped() -> None:
    code = """
import threading, time
from samnb.ui.common.background import LatestOnlyWorker
worker, begun = LatestOnlyWorker(), threading.Event()
def call():
    begun.set()
    time.sleep(0.5)
    print("over", flush=True)
worker.submit(call, lambda value, error: None)
begun.wait()
worker.submit(lambda: print("never", flush=True), lambda value, error: None)
"""
    assert ended(code).stdout == "over\n"
