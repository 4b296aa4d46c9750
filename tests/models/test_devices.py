import pytest
import torch

from samnb.errors import UnknownName
from samnb.models import devices
from samnb.models.devices import check_precision, computing_as, decide_precision


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
