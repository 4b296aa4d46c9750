import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from samnb.models import core_budget, load_model
from samnb.models.core_budget import taking_cores

HOLDER = """
from samnb.models.core_budget import taking_cores
with taking_cores(2) as cores:
    print(cores, flush=True)
    input()
"""


@pytest.fixture
def budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("SAMNB_CORES", "3")
    monkeypatch.setattr(core_budget, "_said", set())
    return monkeypatch


def test_without_the_setting_everybody_has_what_is_wanted(budget: pytest.MonkeyPatch) -> None:
    budget.delenv("SAMNB_CORES")
    with taking_cores(64) as cores:
        assert cores == 64
    assert not core_budget.budget_folder().exists()


def test_processes_share_the_cores_and_an_ended_one_gives_its_back(budget: pytest.MonkeyPatch) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        with taking_cores(2) as cores:
            assert cores == 1
    finally:
        other.kill()
        other.communicate()
    with taking_cores(2) as cores:
        assert cores == 2


def test_who_finds_none_waits_for_the_first_that_is_free(budget: pytest.MonkeyPatch) -> None:
    found: list[int] = []

    def wait() -> None:
        with taking_cores(2) as cores:
            found.append(cores)

    with taking_cores(5) as cores:
        assert cores == 3
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.3)
        assert found == []
    waiting.join(300)
    assert found == [2]


def test_who_waits_is_not_overtaken_by_who_gives_back_and_takes_again(budget: pytest.MonkeyPatch) -> None:
    taken, turns, seen = threading.Event(), [], []
    look = core_budget._look

    def noted(*arguments: object) -> None:
        if threading.current_thread() is threading.main_thread():
            seen.append(len(turns))
        look(*arguments)

    budget.setattr(core_budget, "_look", noted)

    def again_and_again() -> None:
        while not taken.is_set():
            with taking_cores(3):
                turns.append(1)
                time.sleep(0.05)

    prewarm = threading.Thread(target=again_and_again)
    prewarm.start()
    try:
        while not turns:
            time.sleep(0.005)
        with taking_cores(1):
            assert len(turns) - seen[0] <= 1  # from when it waits, nobody else begins
    finally:
        taken.set()
        prewarm.join(300)


def test_cores_that_are_never_given_back_hold_nobody_up_for_ever(
    budget: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    budget.setattr(core_budget, "PATIENCE", 0.1)
    with taking_cores(3), taking_cores(2) as cores, taking_cores(2):
        assert cores == 1
    assert caplog.text.count("no core was free") == 1


def test_an_encoder_computes_on_the_cores_it_gets(budget: pytest.MonkeyPatch) -> None:
    model = load_model("tiny", device="cpu")
    seen: list[int] = []
    budget.setenv("SAMNB_THREADS", "3")
    with taking_cores(2):
        budget.setattr(model, "_encode_batch", lambda resized: seen.append(_threads()) or [{"a": np.ones(1)}])
        model.encode(np.zeros((40, 50, 3), np.uint8))
    assert seen == [1]


def test_a_folder_that_cannot_be_made_switches_it_off_with_a_warning(
    budget: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "samnb-cores").write_text("a file in its place")
    with caplog.at_level(logging.WARNING), taking_cores(2) as cores:
        assert cores == 2
    assert "SAMNB_CORES=3 has no effect" in caplog.text


def _threads() -> int:
    import torch

    return torch.get_num_threads()
