import subprocess
import sys
import threading

import pytest
import torch

from samnb.errors import UnknownName
from samnb.models import devices
from samnb.models.devices import check_precision, computing_as, decide_precision, on_threads


def test_auto_is_half_on_cuda_and_whole_elsewhere(monkeypatch):
    monkeypatch.setattr(devices, "_has_nvidia_driver", lambda: False)
    assert [decide_precision("auto", device) for device in ("auto", "cpu", "mps", "cuda", "cuda:1")] == [
        *("float32", "float32", "float32", "float16", "float16"),
    ]
    monkeypatch.setattr(devices, "_has_nvidia_driver", lambda: True)
    for found, precision in (("cpu", "float32"), ("cuda", "float16")):  # a driver alone is no torch that uses it
        monkeypatch.setattr(devices, "resolve_device", lambda wanted, found=found: found)
        assert decide_precision("auto", "auto") == precision
    assert decide_precision("float32", "cuda") == "float32"


def test_an_unknown_precision_is_refused():
    with pytest.raises(UnknownName, match="fp16"):
        check_precision("fp16")


def test_matrices_are_multiplied_in_the_precision_asked_for():
    matrix = torch.ones(4, 4)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with computing_as(precision, "cpu"):
            assert (matrix @ matrix).dtype == dtype
    assert (matrix @ matrix).dtype == torch.float32


@pytest.fixture
def threads(monkeypatch):
    """Three threads are usual here, and nobody has lent any."""
    before = torch.get_num_threads()
    monkeypatch.setattr(devices, "_temporary_counts", set())
    monkeypatch.setattr(devices, "_usual_threads", 0)
    monkeypatch.setattr(devices, "_thread", threading.local())
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_a_number_that_somebody_sets_is_the_one_that_comes_back(threads):
    with on_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)  # the number that was lent, and now somebody's own
    with on_threads(1):
        pass
    assert torch.get_num_threads() == 1
    with on_threads(2):
        torch.set_num_threads(4)
    assert torch.get_num_threads() == 4


def test_one_within_another_gives_back_what_was_lent(threads):
    with on_threads(1):
        with on_threads(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_a_thread_born_within_gives_back_the_usual_number(threads):
    numbers = []

    def born_within():
        with on_threads(2):
            numbers.append(torch.get_num_threads())
        numbers.append(torch.get_num_threads())

    with on_threads(1):
        thread = threading.Thread(target=born_within)
        thread.start()
        thread.join()
    assert numbers == [2, 3]
    assert torch.get_num_threads() == 3


_WITHOUT_ROOM = """
import resource, sys
import numpy as np
import samnb
from samnb.errors import ModelError

session = samnb.Session(sys.argv[1])
image = session.add([np.zeros((40, 50, 3), np.uint8)], show=False).images[0]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), resource.RLIM_INFINITY))
for _ in range(2):
    try:
        session.predict(image, points=[(9, 9)])
    except ModelError as error:
        print(error)
job = session.prewarm(show=False)
job.wait()
print(job.summary.details["failed"], "torch" in sys.modules, session.pixels(image).shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's own count")
def test_without_room_for_torch_nothing_of_it_is_loaded(tmp_path):
    command = [sys.executable, "-c", _WITHOUT_ROOM, str(tmp_path / "s")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout.splitlines()
    assert len(found) == 3, found
    assert all("Not enough memory to load torch" in line and "ulimit -v" in line for line in found[:2])
    assert found[2] == "1 False (40, 50, 3)"
