"""Fuzzing with atheris (`pip install samnb[fuzz]`): python -m tests.fuzz TARGET MINUTES

Without arguments it names the targets. The corpus grows in build/fuzz/TARGET; what is found is written beside it: then
it goes into tests/data/fuzz/TARGET. An input that takes more than ten seconds or 1 GB is a finding, too.
"""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import atheris
import numpy as np
from atheris.version_dependent import CMP_OP_SHIFT_AMOUNT

with atheris.instrument_imports(include=["samnb"], enable_loader_override=False):
    from samnb import images
    from tests.fuzz.targets import MAX_FILE_BYTES, MAX_PIXELS, TARGETS

from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds

LONGEST = 1 << 16
OPERATORS = {"<": "lt", "<=": "le", "==": "eq", "!=": "ne", ">": "gt", ">=": "ge"}


def _mutate(content: bytes, most: int, number: int) -> bytes:
    if number % 2:
        return mutated(content, number)[:most]
    return atheris.Mutate(content, most)


def main(target: str, minutes: str) -> None:
    images.MAX_PIXELS, images.MAX_FILE_BYTES = MAX_PIXELS, MAX_FILE_BYTES
    place = Path("build", "fuzz", target)
    place.mkdir(parents=True, exist_ok=True)
    for name, content in seeds(target).items():
        (place / f"seed-{name}").write_bytes(content)
    limits = ["-timeout=10", "-rss_limit_mb=1024", f"-max_len={LONGEST}", f"-max_total_time={float(minutes) * 60:.0f}"]
    found = f"-artifact_prefix=build/fuzz/{target}-"

    def try_one(content: bytes) -> None:
        if not isinstance(atheris._trace_cmp, FunctionType):  # Fuzz sets its own when it begins
            atheris._trace_cmp = _comparing(atheris._trace_cmp)
        TARGETS[target](content)

    arguments = [sys.argv[0], str(place), *limits, found, "-print_final_stats=1"]
    atheris.Setup(arguments, try_one, custom_mutator=_mutate)
    atheris.Fuzz()


def _comparing(traced: Callable[..., Any]) -> Callable[..., Any]:
    """The comparison that traced code calls, without arrays. atheris 3.0 never frees its result: nothing with True or
    False, but a megabyte each time where a million pixels are compared."""

    def compare(left: Any, right: Any, number: int, *where: Any) -> Any:
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            return getattr(operator, OPERATORS[dis.cmp_op[number >> CMP_OP_SHIFT_AMOUNT]])(left, right)
        return traced(left, right, number, *where)

    return compare


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        print(*TARGETS)
