"""Adds files to a session, or reads it all the while, and says on the disk what was written; made to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import samnb.catalog.engines
import samnb.session
from tests.support.numpy_model import NumpyModel, append


def write(session: samnb.session.Session, log: Path, sources: list[str]) -> None:
    """A line in the log for each file, when the catalog has it."""
    job = session.add_job([Path(source) for source in sources], dataset="shared", show=False)
    job.subscribe(lambda event: append(log, event.filename) if event.status == "computed" else None)
    job.wait()
    report = job.report
    assert report is not None
    assert not report.failed, report.failed[:3]
    append(log, f"done {len(report.images)}")


def read(session: samnb.session.Session, log: Path, stop: Path) -> None:
    """Whatever is seen must be a state that somebody committed: no gaps, nothing twice, never less than before."""
    seen = turns = 0
    while not stop.exists():
        images = session.images("shared") if any(d.name == "shared" for d in session.datasets()) else []
        assert [image.position for image in images] == list(range(len(images)))
        assert len({image.path for image in images}) == len(images) >= seen
        seen, turns = len(images), turns + 1
    append(log, f"read {turns} times, {seen} images")


def main(role: str, folder: str, url: str, log: str, start: str, *rest: str) -> None:
    samnb.session.load_model = lambda *args, **options: NumpyModel()
    samnb.catalog.engines.BUSY_TIMEOUT_MS = 120_000  # of many who write, one may be held up long
    with samnb.session.Session(folder, database_url=url) as session:
        append(log, "ready")
        while not Path(start).exists():
            time.sleep(0.01)
        if role == "write":
            write(session, Path(log), list(rest))
        else:
            read(session, Path(log), Path(rest[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
