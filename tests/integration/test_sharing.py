"""Sessions with folders of their own that share embeddings: through Redis, an S3 server and a shared folder."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.session import Session
from samnb.store.remote import RemoteTiers, open_tiers
from tests.support.numpy_model import NumpyModel
from tests.support.remote_servers import RedisServer, silent_server

pytestmark = pytest.mark.slow

KINDS = ("redis", "s3", "folder")
AGAIN_SOON = {"first_rest": 0.05, "longest_rest": 0.2}


class Sharing(NumpyModel):
    """Its masks do not hang on the embedding, so that int8 is let pass; calls `at[n]` before it encodes the n-th."""

    fingerprint = "sharing-0"
    at: Mapping[int, Callable[[], object]] = {}

    def encode(self, pixels):
        self.at.get(self.encodes, int)()
        return super().encode(pixels)

    def decode(self, embedding, prompt, **options):
        return super().decode(replace(embedding, tensors={"image_embedding": np.zeros((3, 16, 16))}), prompt)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(30):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture
def open_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Path, s3_credentials: None
) -> Iterator[Callable[..., Session]]:
    """A session on a disk of its own, with the pictures in it and a model that counts."""
    sessions: list[Session] = []

    def open_(*, model: Sharing | None = None, **cache: object) -> Session:
        model = model or Sharing()
        monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
        session = Session(tmp_path / f"machine {len(sessions)}", cache=cache)
        session.add(pictures)
        sessions.append(session)
        return session

    yield open_
    for session in sessions:
        session.close()


@pytest.fixture(params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty shared store."""
    if request.param != "folder":
        return address_of(request.param, request)
    (tmp_path / "shared").mkdir()
    return (tmp_path / "shared").as_uri()


def address_of(kind: str, request: pytest.FixtureRequest) -> str:
    """Of an empty place on a server."""
    server = request.getfixturevalue(f"{kind}_server")
    if kind == "redis":
        server.client().flushall()
    return server.url.replace("embeddings", uuid.uuid4().hex)


def prewarm(session: Session) -> dict[str, object]:
    """Its last event."""
    return list(session.prewarm_stream())[-1].as_dict()


def same_embeddings(one: Session, other: Session) -> bool:
    def tensors(session: Session) -> list[np.ndarray]:
        found = [session.embedding(image) for image in session.images()]
        assert all(hit for _, hit in found)
        return [embedding.tensors["image_embedding"] for embedding, _ in found]

    return all(np.array_equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_what_one_session_encoded_another_finds(open_session: Callable[..., Session], shared: str, dtype: str) -> None:
    here = open_session(remote=[shared], dtype=dtype)
    assert prewarm(here)["computed"] == 30
    assert here.cache.flush() == 0
    there = open_session(remote=[shared], dtype=dtype)
    last = prewarm(there)
    assert (last["computed"], last["skipped"], last["failed"]) == (0, 30, 0)
    assert (here.model.encodes, there.model.encodes) == (30, 0)
    assert same_embeddings(here, there)
    alone = open_session()
    assert prewarm(alone)["computed"] == 30


def test_closing_a_session_sends_what_it_computed(open_session: Callable[..., Session], shared: str) -> None:
    with open_session(remote=[shared]) as here:
        prewarm(here)
    assert prewarm(open_session(remote=[shared]))["computed"] == 0


def test_a_colleagues_own_folder_can_be_the_shared_one(open_session: Callable[..., Session]) -> None:
    here = open_session()
    prewarm(here)
    there = open_session(remote=[(here.folder / "embeddings").as_uri()])
    assert prewarm(there)["computed"] == 0
    assert same_embeddings(here, there)


def test_the_remote_comes_from_the_environment(
    open_session: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    monkeypatch.setenv("SAMNB_CACHE_REMOTE", (tmp_path / "lab").as_uri())
    with open_session() as here:
        prewarm(here)
    there = open_session()
    assert prewarm(there)["computed"] == 0
    assert (tmp_path / "lab").as_uri().removeprefix("file://") in str(there.cache)


@pytest.mark.parametrize("kind", ["redis", "s3"])
def test_a_server_killed_in_mid_prewarm_and_back_again(
    open_session: Callable[..., Session], kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    address, server = address_of(kind, request), request.getfixturevalue(f"{kind}_server")
    remote = open_tiers([address], **AGAIN_SOON)
    model = Sharing()
    model.at = {10: server.kill, 20: server.start}
    here = open_session(remote=remote, model=model)
    try:
        last = prewarm(here)
    finally:
        if server.process is None:
            server.start()
    assert (last["computed"], last["failed"]) == (30, 0)
    assert here.cache.flush() == 0
    assert [record.levelno for record in caplog.records if "does not answer" in record.getMessage()] == [
        logging.WARNING
    ]
    there = open_session(remote=[address])
    last = prewarm(there)
    # Redis is killed with what it held, moto too: of the ten of before some are gone, all later ones are there
    assert last["computed"] <= 10
    assert last["skipped"] >= 20
    remote.close()


@pytest.mark.parametrize("scheme", ["redis://127.0.0.1:{}", "s3://lab/e?endpoint_url=http://127.0.0.1:{}"])
def test_a_silent_server_delays_only_those_that_asked_at_once(
    open_session: Callable[..., Session], scheme: str
) -> None:
    with silent_server() as port:
        remote = open_tiers([scheme.format(port)], timeout=0.5, first_rest=600)
        session = open_session(remote=remote)
        assert prewarm(session)["computed"] == 30
        assert remote.stats()[0].state == "down"
        assert remote.stats()[0].failures < 20  # not of every image
        remote.close(timeout=0.5)


@pytest.mark.parametrize("how", ["flipped", "zeroed"])
def test_a_damaged_entry_is_computed_again_told_and_replaced(
    open_session: Callable[..., Session], shared: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_session(remote=[shared]) as here:
        prewarm(here)
        image = here.images()[3]
        key = here._encoder.key(image.pixel_hash)
    remote = open_tiers([shared])
    tier = remote._workers[0].tier
    stored = bytearray(tier.get(key))
    place = len(stored) * 2 // 3
    stored[place] = stored[place] ^ 4 if how == "flipped" else (0 if stored[place] else 255)
    tier.discard(key)
    tier.put(key, bytes(stored))

    there = open_session(remote=remote)
    with caplog.at_level(logging.WARNING, "samnb.cache"):
        last = prewarm(there)
    assert (last["computed"], last["skipped"], last["failed"]) == (1, 29, 0)
    assert there.model.encodes == 1
    assert there.cache.stats().quarantined == 1
    assert key in caplog.text
    assert "damaged" in caplog.text
    assert there.cache.flush() == 0
    third = open_session(remote=remote)
    assert prewarm(third)["computed"] == 0
    assert same_embeddings(there, third)
    remote.close()


def test_a_remote_tier_is_on_the_card_without_its_password(
    open_session: Callable[..., Session], redis_server: RedisServer
) -> None:
    session = open_session(remote=[redis_server.url])
    prewarm(session)
    session.cache.flush()
    for text in (str(session.cache), session.cache._repr_html_(), repr(session.cache), str(session.status())):
        assert redis_server.password not in text
    assert f"redis://:***@127.0.0.1:{redis_server.port}/0" in str(session.cache)


def test_tiers_that_were_given_stay_open(open_session: Callable[..., Session], tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    remote: RemoteTiers = open_tiers([(tmp_path / "lab").as_uri()])
    with open_session(remote=remote) as here:
        prewarm(here)
    assert prewarm(open_session(remote=remote))["computed"] == 0
    remote.close()
