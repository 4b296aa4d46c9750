"""A scheduler that ends during a job: a clear error, and the next call does the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from samnb.errors import WorkersLost
from samnb.session import Session
from tests.support import plugin_env
from tests.support.remote_servers import free_port, listening
from tests.support.waiting import wait_until
from tests.workers.conftest import pictures

pytestmark = pytest.mark.slow


@pytest.fixture
def processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Address of a scheduler, its process and that of two workers, as a lab starts them."""
    pytest.importorskip("distributed", reason='needs pip install "samnb[distributed]"')
    monkeypatch.setattr(sys, "path", list(sys.path))
    environment = dict(os.environ)
    plugin_env.install(tmp_path / "models", environment)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    environment |= {"SAMNB_TEST_LOG": str(tmp_path / "log"), "SAMNB_TEST_SECONDS": "0"}
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    commands = (
        ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        ["worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--death-timeout", "300"],
    )
    with open(tmp_path / "dask.log", "wb") as log:
        started = []
        for command in commands:
            line = [sys.executable, "-m", "dask", *command]
            started.append(subprocess.Popen(line, env=environment, stdout=log, stderr=log, cwd=tmp_path))
            wait_until("the scheduler listens", lambda: listening(port))
        yield address, *started
        for process in started:
            process.kill()
            process.wait()


def test_the_next_call_does_what_is_left(
    processes: tuple[str, subprocess.Popen[bytes], subprocess.Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("samnb.workers.dask_pool.CONNECT", 15)  # also how long the client looks for a new one
    limit = tmp_path / "log.limit"
    limit.write_text("60")
    address, scheduler, _ = processes
    with Session(tmp_path / "session", model="counting") as session:
        session.add(pictures(tmp_path / "pictures", 120), show=False)
        job = session.prewarm(on=address, show=False)
        wait_until("some are done", lambda: sum(event.images for event in job.events) > 10, seconds=300)
        scheduler.kill()
        limit.unlink()
        began = time.monotonic()
        with pytest.raises(WorkersLost, match=r"scheduler.*does not answer.*what is left"):
            job.wait(300)
        print(f"noticed after {time.monotonic() - began:.1f} s")
        done = sum(event.images for event in job.events)
        assert 10 < done < 120
        last = session.prewarm(show=False).wait(300)
        assert last["failed"] == 0
        assert last["skipped"] >= done
        assert session.status().cached == 120
        marks = Counter((tmp_path / "log").read_text().split("encode ")[1:])
        assert set(marks.values()) == {1}
