"""Fuzzing with atheris (`pip install samnb[fuzz]`): python -m tests.fuzz TARGET MINUTES

Without arguments it names the targets. The corpus grows in build/fuzz/TARGET; what is found is written beside it: then
it goes into tests/data/fuzz/TARGET. An input that takes more than ten seconds or 1 GB is a finding, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["samnb"], enable_loader_override=False):
    from samnb import images
    from tests.fuzz.targets import MAX_FILE_BYTES, MAX_PIXELS, TARGETS

from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds

LONGEST = 1 << 16


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
    atheris.Setup(
        [sys.argv[0], str(place), *limits, found, "-print_final_stats=1"], TARGETS[target], custom_mutator=_mutate
    )
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        print(*TARGETS)
