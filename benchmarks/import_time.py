"""Seconds to import samnb in a fresh interpreter, beside SQLAlchemy and nothing at all.

Run it from the repository: ``python benchmarks/import_time.py --repeat 15``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = ("pass", "import samnb", "import sqlalchemy", "from samnb import Session")


def seconds(statement: str) -> float:
    """Wall-clock seconds of one fresh interpreter that runs the statement."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def medians(repeat: int) -> dict[str, float]:
    """Median seconds of each statement; they take turns, so that a busy moment hits all alike."""
    for statement in STATEMENTS:  # bytecode and disk cache
        seconds(statement)
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(repeat)]
    return {s: statistics.median(times) for s, times in zip(STATEMENTS, zip(*rounds, strict=True), strict=True)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=11, help="fresh interpreters for each statement")
    found = medians(parser.parse_args().repeat)
    bare = found["pass"]
    print(f"{'statement':<28}{'median':>10}{'over bare python':>20}")
    for statement, median in found.items():
        print(f"{statement:<28}{median * 1000:>7.0f} ms{(median - bare) * 1000:>17.0f} ms")


if __name__ == "__main__":
    main()
