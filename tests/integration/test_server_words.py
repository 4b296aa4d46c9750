"""What the earlier server's documentation says, quoted, and true of a session: its SQL, messages, events and log."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.jobs import summary_text
from samnb.session import Session
from tests.support.numpy_model import NumpyModel

COUNT_CACHED = """
-- Count images with cached embeddings
SELECT COUNT(*) FROM images WHERE embedding_cached = 1;
"""

FIND_DUPLICATES = """
-- Find duplicate images
SELECT content_hash, COUNT(*) as cnt 
FROM images 
WHERE content_hash IS NOT NULL
GROUP BY content_hash 
HAVING cnt > 1;
"""

COVERAGE = """
-- Total cache coverage
SELECT 
  COUNT(*) as total_images,
  SUM(CASE WHEN embedding_cached = 1 THEN 1 ELSE 0 END) as cached,
  ROUND(100.0 * SUM(CASE WHEN embedding_cached = 1 THEN 1 ELSE 0 END) / COUNT(*), 2) as pct_cached
FROM images;
"""

REUPLOAD = """
{
  "dataset_id": "def456",
  "duplicates_found": 10,
  "duplicates_message": "10 image(s) already cached, prewarm will be faster"
}
"""

# // During processing / // Final
EVENTS = """
{"index": 5, "total": 50, "filename": "img.jpg", "skipped": true, "ms": 5}
{"index": 6, "total": 50, "filename": "img2.jpg", "computed": true, "ms": 18500}
{"done": true, "total": 50, "computed": 35, "skipped": 15, "cache_size": 150}
"""

FINAL = "Dataset ready (cache: 150 embeddings, computed: 35, skipped: 15)"
DEDUP = "[DEDUP] Found duplicate image: img1.jpg (hash: a3f21b8c..., cached: True)"
DEDUP_LINE = re.compile(r"\[DEDUP\] Found duplicate image: \S+ \(hash: [0-9a-f]{8}\.\.\., cached: (True|False)\)")
PREDICTED = ("[SAM] Predicted mask in 18.5s (cache_hit=False)", "[SAM] Predicted mask in 1.2s (cache_hit=True)")
PREDICTED_LINE = re.compile(r"\[SAM\] Predicted mask in \d+\.\ds \(cache_hit=(True|False)\)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures, img1 to img10."""
    folder = tmp_path / "upload"
    folder.mkdir()
    for number in range(1, 11):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"img{number}.png")
    return folder


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        yield session


def ask(session: Session, sql: str) -> list[tuple[Any, ...]]:
    """What somebody sees who opens the file while the session is open."""
    with closing(sqlite3.connect(session.folder / "catalog.db")) as connection:
        return connection.execute(sql).fetchall()


def test_upload_prewarm_upload_again(session: Session, folder: Path) -> None:
    first = session.add(folder, dataset="abc123").as_dict()
    assert (first["duplicates_found"], first["duplicates_message"]) == (0, "")
    session.prewarm(show=False).wait(300)
    again = session.add(folder, dataset="def456").as_dict()
    expected = json.loads(REUPLOAD)
    assert {name: again[name] for name in expected if name != "dataset_id"} == {
        name: value for name, value in expected.items() if name != "dataset_id"
    }
    last = session.prewarm("def456", show=False).wait(300)
    assert (last["computed"], last["skipped"]) == (0, 10)


def test_the_sql_is_right_at_every_step(session: Session, folder: Path) -> None:
    session.add(folder, dataset="abc123")
    assert ask(session, COUNT_CACHED) == [(0,)]
    assert ask(session, FIND_DUPLICATES) == []
    assert ask(session, COVERAGE) == [(10, 0, 0.0)]

    session.prewarm(images=[f"img{number}.png" for number in (1, 2, 3)], show=False).wait(300)
    assert ask(session, COUNT_CACHED) == [(3,)]
    assert ask(session, COVERAGE) == [(10, 3, 30.0)]

    more = folder.parent / "more"
    more.mkdir()
    shutil.copy(folder / "img1.png", more / "copy.png")
    shutil.copy(folder / "img9.png", more / "other.png")
    session.add(more, dataset="def456")
    hashes = [hashlib.sha256((folder / f"img{n}.png").read_bytes()).hexdigest() for n in (1, 9)]
    assert sorted(ask(session, FIND_DUPLICATES)) == sorted((known, 2) for known in hashes)
    assert ask(session, COVERAGE) == [(12, 4, 33.33)]

    session.delete_dataset("abc123")
    assert (ask(session, COUNT_CACHED), ask(session, FIND_DUPLICATES)) == ([(1,)], [])
    session.add(folder, dataset="abc123")
    assert ask(session, COVERAGE) == [(12, 4, 33.33)]


def test_the_sql_says_cached_of_nothing_that_is_gone(session: Session, folder: Path) -> None:
    session.add(folder)
    session.prewarm(show=False).wait(300)
    assert ask(session, COUNT_CACHED) == [(10,)]
    shutil.rmtree(session.folder / "embeddings")
    assert session.status().cached == 0
    assert ask(session, COVERAGE) == [(10, 0, 0.0)]


def test_the_events_have_the_fields(session: Session, folder: Path) -> None:
    skipped, computed, done = map(json.loads, EVENTS.split("\n")[1:-1])
    session.add(folder)
    session.prewarm(images=["img1.png"], show=False).wait(300)
    events = [event.as_dict() for event in session.prewarm_stream()]
    assert events[0].keys() == skipped.keys()
    assert events[1].keys() == computed.keys()
    assert events[-1].keys() == {*done, "failed"}
    assert (events[0]["skipped"], events[1]["computed"], events[-1]["done"]) == (True, True, True)
    assert (events[-1]["computed"], events[-1]["skipped"], events[-1]["cache_size"]) == (9, 1, 10)
    json.dumps(events)


def test_the_final_summary(session: Session, folder: Path) -> None:
    session.add(folder)
    said = summary_text(session.prewarm(show=False).wait(300))
    assert said == "Dataset ready (cache: 10 embeddings, computed: 10, skipped: 0)"
    assert re.sub(r"\d+", "n", said) == re.sub(r"\d+", "n", FINAL)


def test_the_log_can_be_searched_for_dedup(session: Session, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "samnb"):
        session.add(folder, dataset="abc123")
        assert "DEDUP" not in caplog.text
        session.predict("img1.png", points=[(3, 3)])
        session.predict("img1.png", points=[(3, 3)])
        session.add(folder, dataset="def456")
    lines = [message for message in caplog.messages if message.startswith("[DEDUP]")]
    assert len(lines) == 10
    assert all(DEDUP_LINE.fullmatch(line) for line in (DEDUP, *lines))
    assert [line.endswith("cached: True)") for line in lines] == [True, *[False] * 9]
    predicted = [message for message in caplog.messages if message.startswith("[SAM]")]
    hits = [[PREDICTED_LINE.fullmatch(line)[1] for line in said] for said in (PREDICTED, predicted)]  # type: ignore[index]
    assert hits == [["False", "True"]] * 2


def test_its_three_functions(session: Session, folder: Path) -> None:
    session.add(folder, dataset="abc123")
    [dataset] = session.datasets()
    known = hashlib.sha256((folder / "img1.png").read_bytes()).hexdigest()
    existing = session.catalog.find_image_by_hash(known)
    assert existing is not None
    assert not existing["embedding_cached"]
    session.catalog.mark_embedding_cached(dataset.id, existing["id"], True)
    existing = session.catalog.find_image_by_hash(known)
    assert existing is not None
    assert existing["embedding_cached"]
    assert session.catalog.get_cached_images_count(dataset.id) == 1
