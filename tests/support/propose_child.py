"""Searches a session for everything, made to be killed: a line on stdout for each event.

python propose_child.py FOLDER [EVENTS]

After so many events it stops in the middle of the next picture.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import samnb.catalog.engines
import samnb.session
from tests.support.numpy_model import NumpyModel


class Stopping(NumpyModel):
    """Decodes three more prompts once it `stops`, and no further one."""

    left = None

    def decode(self, *args, **options):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                time.sleep(3600)
        return super().decode(*args, **options)


def main(folder, events="1000000"):
    model, said = Stopping(), 0
    samnb.session.load_model = lambda *args, **options: model
    samnb.catalog.engines.BUSY_TIMEOUT_MS = 120_000
    with samnb.session.Session(folder) as session:
        for event in session.segment_everything_stream(points_per_side=8, pred_iou_thresh=0.85):
            print(event.status, event.filename, flush=True)
            said += 1
            if said == int(events):
                model.left = 3


if __name__ == "__main__":
    main(*sys.argv[1:])
