"""Machines that share no folder: three workers, an S3 server as the only store, a PostgreSQL as the catalog."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.cache import EmbeddingCache
from samnb.errors import TierUnavailable
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.postgres_server import PostgresServer
from tests.support.remote_servers import S3Server
from tests.support.waiting import wait_until
from tests.workers.conftest import Cluster

WORKERS = 3


def open_session(folder: Path, url: str, bucket: str) -> Session:
    """A session without a folder of embeddings: what workers encode is in the bucket, or nowhere."""
    return Session(folder, model="counting", database_url=url, cache=EmbeddingCache(None, remote=[bucket]))


def squares(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.full((160, 160, 3), 120, np.uint8)
        x, y = 5 + number % 100, 90 - number // 5
        pixels[y : y + 50, x : x + 50] = (220, 30, 30)
        pixels[0, 0] = (number % 256, number // 256, 0)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("s3_credentials")
def test_nothing_is_shared_but_the_bucket_and_the_database(
    cluster: Cluster, tmp_path: Path, s3_server: S3Server, postgres_server: PostgresServer
) -> None:
    pictures, url = squares(tmp_path / "pictures", 60), postgres_server.catalog()
    bucket = s3_server.url.replace("embeddings", uuid.uuid4().hex)
    with Session(tmp_path / "one process", model="counting") as alone:
        expected = annotated(alone, pictures, None)
    cluster.log.unlink()
    with open_session(tmp_path / "fourth", url, bucket) as session:
        session.add(pictures, show=False)
        job = session.prewarm(on=cluster.client, show=False)
        last = job.wait(300)
        assert (last["computed"], last["failed"]) == (60, 0), [e for e in job.events if e.status == "failed"][:3]
        assert len(cluster.encodes()) == sum(cluster.encodes().values()) == 60
        assert session.model.encodes == 0
        assert annotated(session, pictures, cluster.client) == expected
        assert sum(cluster.encodes().values()) == 60
        assert not (tmp_path / "fourth" / "embeddings").exists()
        assert sum(image.embedding_cached for image in session.images()) == 60
    # Another machine opens the same catalog and store, and encodes nothing.
    with open_session(tmp_path / "fifth", url, bucket) as session:
        assert sum(image.embedding_cached for image in session.images()) == 60
        last = session.prewarm(on=cluster.client, show=False).wait(300)
        assert (last["computed"], last["skipped"]) == (0, 60)
        assert session.sync() == 60
        assert sum(cluster.encodes().values()) == 60


def annotated(session: Session, pictures: Path | str, on: Any) -> set[tuple[Any, ...]]:
    """What a template finds: file name, run lengths, score."""
    session.add(pictures, show=False)
    session.accept(session.predict("000.png", points=[(20, 110)]), category="red")
    last = session.apply(session.template("red"), on=on, show=False).wait(300)
    assert last["failed"] == 0
    names = {image.id: image.filename for image in session.images()}
    records = [one.record for one in session.annotations() if one.source != "hand"]
    return {(names[one.image_id], str(one.rle), round(one.score, 6)) for one in records}


@pytest.mark.slow
@pytest.mark.usefixtures("s3_credentials")
def test_the_store_and_the_database_may_go_away_for_a_while(
    cluster: Cluster, tmp_path: Path, s3_server: S3Server, postgres_server: PostgresServer
) -> None:
    pictures, url = squares(tmp_path / "pictures", 80), postgres_server.catalog()
    bucket = s3_server.url.replace("embeddings", uuid.uuid4().hex)
    cluster.limit.write_text("30")
    with open_session(tmp_path / "session", url, bucket) as session:
        session.add(pictures, show=False)
        job = session.prewarm(on=cluster.client, show=False)
        wait_until("some are done", lambda: sum(event.images for event in job.events) > 5)
        # moto forgets what it had, as no real store does: what was written before is not looked at.
        s3_server.kill()
        before = sum(cluster.encodes().values())
        assert before <= 30 + WORKERS
        cluster.limit.unlink()
        threading.Timer(3.0, s3_server.start).start()
        pid = session.catalog._database.engine.connect().exec_driver_sql("SELECT pg_backend_pid()").scalar()
        postgres_server.execute(f"SELECT pg_terminate_backend({pid})")
        last = job.wait(180)
        assert sum(event.images for event in job.events) == 80
        assert last["failed"] == 0, [e for e in job.events if e.status == "failed"][:3]
        assert session.sync() >= 80 - before


def test_sync_reads_what_others_have_put_into_a_shared_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    (tmp_path / "share").mkdir()
    remote = [(tmp_path / "share").as_uri()]
    pixels = [np.full((20, 30, 3), value, np.uint8) for value in range(0, 200, 40)]
    with Session(tmp_path / "one", cache={"remote": remote}) as one:
        one.add(pixels, show=False)
        one.prewarm(show=False).wait(300)
    with Session(tmp_path / "two", cache={"remote": remote}) as two:
        two.add([*pixels, np.full((20, 30, 3), 7, np.uint8)], show=False)
        assert sum(image.embedding_cached for image in two.images()) == 0
        assert two.sync() == 5
        assert sum(image.embedding_cached for image in two.images()) == 5
    # Opened again, the catalog is believed: nothing is in the folder of this session.
    with Session(tmp_path / "two", cache={"remote": remote}) as two:
        assert sum(image.embedding_cached for image in two.images()) == 5
        for file in (tmp_path / "share").glob("??/??/*.safetensors"):
            file.unlink()
        assert two.sync() == 0
        (tmp_path / "share").rename(tmp_path / "away")
        with pytest.raises(TierUnavailable, match="no such folder"):
            two.sync()
