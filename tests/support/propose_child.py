"""Searches a session for everything, made to be killed: a line on stdout for each event.

python propose_child.py FOLDER
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import samnb.session
from tests.support.numpy_model import NumpyModel


def main(folder):
    samnb.session.load_model = lambda *args, **options: NumpyModel()
    with samnb.session.Session(folder) as session:
        for event in session.segment_everything_stream(points_per_side=8, pred_iou_thresh=0.85):
            print(event.status, event.filename, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
