"""Models without a network for worker processes: one counts, one ends its process at a picture."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from samnb.models import ModelEntry, ModelInfo
from tests.support.numpy_model import NumpyModel


class CountingModel(NumpyModel):
    """A `NumpyModel` that writes each encode to the file that SAMNB_TEST_LOG names.

    With a number in the file of that name and ".limit" it waits for more before it encodes further images.
    """

    name, fingerprint = "counting", "counting-0"

    def __init__(self) -> None:
        seconds = float(os.environ.get("SAMNB_TEST_SECONDS", "0"))
        super().__init__(log=os.environ.get("SAMNB_TEST_LOG"), seconds=seconds)

    def encode(self, pixels):
        while self.log and self._is_enough(Path(self.log)):
            time.sleep(0.01)
        return super().encode(pixels)

    @staticmethod
    def _is_enough(log):
        limit = Path(f"{log}.limit")
        with suppress(FileNotFoundError):  # there is none, or it was taken away just now
            number = limit.read_text()
            return bool(number) and log.exists() and log.read_text().count("\n") >= int(number)
        return False

    @staticmethod
    def mark(pixels):
        return hashlib.sha1(pixels.tobytes()).hexdigest()


class KillingModel(CountingModel):
    """Ends its process without a word at a picture whose first pixel is pure red."""

    name, fingerprint = "killing", "killing-0"

    def encode(self, pixels):
        if tuple(pixels[0, 0]) == (255, 0, 0):
            os._exit(9)
        return super().encode(pixels)


def counting_entry() -> ModelEntry:
    return _entry("counting", CountingModel)


def killing_entry() -> ModelEntry:
    return _entry("killing", KillingModel)


def _entry(name, model):
    return ModelEntry(_info(name), lambda info, weights, *, device: model())


def _info(name):
    return ModelInfo(name, "tests", "", None, None, False, "for tests", "", "")
