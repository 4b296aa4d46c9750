"""Adding pictures and evaluating the model on a cluster give what one process gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from samnb.session import Session
from tests.workers.conftest import Cluster, pictures
from tests.workers.test_shared_store import squares


def test_workers_read_what_is_added(cluster: Cluster, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", 30)
    (folder / "copy.png").write_bytes((folder / "0001.png").read_bytes())
    (folder / "damaged.png").write_bytes(b"no picture")
    with Session(tmp_path / "alone", model="counting") as alone, Session(tmp_path / "s", model="counting") as session:
        expected = alone.add(folder, show=False)
        report = session.add(folder, on=cluster.client, show=False)
        for name in ("added", "duplicates", "changed"):
            assert getattr(report, name) == getattr(expected, name), name
        assert [failure.path for failure in report.failed] == [str(folder / "damaged.png")]
        assert "not a picture" in report.failed[0].reason
        same = {"id": "", "dataset_id": "", "embedding_cached": False}
        assert [replace(image, **same) for image in report.images] == [replace(one, **same) for one in expected.images]
        assert [image.filename for image in session.images()] == [image.filename for image in report.images]
        # Again: nothing is read. One that changed is, and its row is the same.
        before = session.image("0003.png")
        assert session.add(folder, on=cluster.client, show=False).added == 0
        (folder / "0003.png").write_bytes((folder / "0004.png").read_bytes())
        report = session.add(folder, on=cluster.client, show=False)
        assert (report.added, report.changed) == (0, 1)
        assert session.image(before.id).pixel_hash == session.image("0004.png").pixel_hash


def test_what_was_added_without_reading_is_read_by_workers(cluster: Cluster, tmp_path: Path) -> None:
    with Session(tmp_path / "session", model="counting") as session:
        assert session.add(pictures(tmp_path / "pictures", 20), hash="later", show=False).added == 20
        last = session.prewarm(on=cluster.client, show=False).wait(300)
        assert (last["computed"], last["failed"]) == (20, 0)
        assert all(image.is_read for image in session.images())
        assert set(cluster.encodes().values()) == {1}


def test_the_model_is_evaluated_on_workers_as_here(cluster: Cluster, tmp_path: Path) -> None:
    with Session(tmp_path / "session", model="counting") as session:
        session.add(squares(tmp_path / "pictures", 8), show=False)
        for number in range(8):
            mask = np.zeros((160, 160), bool)
            x, y = 5 + number, 90 - number // 5
            mask[y : y + 50, x : x + 50] = True
            session.accept_mask(f"{number:03}.png", mask, category="red" if number % 2 else "other")
        here = session.evaluate_model(max_clicks=3, limit=6, baselines=["flood_fill"])
        there = session.evaluate_model(max_clicks=3, limit=6, baselines=["flood_fill"], on=cluster.client)
        assert len(there.cases) == 6
        # As text: scores of this model may be NaN, which equals nothing.
        assert repr(there.cases) == repr(here.cases)
        assert repr(there.baselines[0].cases) == repr(here.baselines[0].cases)
        assert repr(there.overall) == repr(here.overall)
