"""Every target, on whole files, on what fuzzing found before, and on some hundred changed ones; without atheris."""

from __future__ import annotations

import time
import warnings

import pytest

from samnb import images
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import MAX_FILE_BYTES, MAX_PIXELS, TARGETS

LONGEST_S = 10
CHANGED = {"picture": 2, "masks": 40, "recipe": 60, "source": 30}


@pytest.mark.parametrize("target", TARGETS)
def test_any_input_is_read_or_refused(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", MAX_PIXELS)
    monkeypatch.setattr(images, "MAX_FILE_BYTES", MAX_FILE_BYTES)
    read, slow = TARGETS[target], {}
    inputs = dict(seeds(target))
    for name, content in seeds(target).items():
        inputs |= {f"{name} changed by {n}": mutated(content, n) for n in range(CHANGED.get(target, 100))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in inputs.items():
            began = time.thread_time()
            read(content)
            if (took := time.thread_time() - began) > LONGEST_S:
                slow[name] = took
    assert slow == {}
    assert len(inputs) > 40
