"""Applies a template, made to be killed: for each line NUMBER on stdin a new process, its number on stdout.

python apply_child.py FOLDER LOG

Each run is a version of its own of the template "red", with another `min_score`: what the run before left has to
be taken away and found again, which is when a kill could double or lose it. "start" and "done" go to LOG.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import samnb.session
from tests.support.numpy_model import NumpyModel, append


def main(folder, log):
    samnb.session.load_model = lambda *args, **options: NumpyModel()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            apply(folder, log, int(line))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


def apply(folder, log, number):
    with samnb.session.Session(folder) as session:
        template = session.find_template("red").with_parameters(min_score=0.2 + number / 1000)
        append(log, f"start {number}")
        for event in session.apply_stream(template):
            if event.status == "computed":
                append(log, f"computed {number} {event.filename}")
        append(log, f"done {number}")


if __name__ == "__main__":
    main(*sys.argv[1:])
