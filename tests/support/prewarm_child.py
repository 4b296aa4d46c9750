"""Prewarms a session and says on the disk what it starts and what it has finished; made to be killed."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import samnb.catalog.engines
import samnb.session
import samnb.store.key_locks
from tests.support.numpy_model import NumpyModel, append


def main(folder, log, seconds, start=None):
    model = NumpyModel(log=log, seconds=float(seconds))
    samnb.session.load_model = lambda *args, **options: model
    # As tests/conftest.py: a process that comes to nothing for a while is not to be taken for one that is stopped.
    samnb.catalog.engines.BUSY_TIMEOUT_MS = 120_000
    samnb.store.key_locks.STOPPED_AFTER = 120
    with samnb.session.Session(folder) as session:
        append(log, "ready")
        while start and not Path(start).exists():  # until all are ready: loading takes longer than the work
            time.sleep(0.01)
        for event in session.prewarm_stream():
            if event.status in ("computed", "skipped"):
                append(log, f"finished {model.mark(session.pixels(event.filename))}")
        append(log, "done")


if __name__ == "__main__":
    main(*sys.argv[1:])
