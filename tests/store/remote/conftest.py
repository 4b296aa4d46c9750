"""Remote tiers of each kind against real servers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samnb.store.remote import RemoteTiers, open_tiers
from tests.support.fake_tier import FakeTier


@pytest.fixture(autouse=True)
def uses_s3(s3_credentials: None) -> None:
    """Every test may."""


def address_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty tier."""
    if kind == "redis":
        server = request.getfixturevalue("redis_server")
        server.client().flushall()
        return server.url
    if kind == "s3":
        return request.getfixturevalue("s3_server").url.replace("embeddings", uuid.uuid4().hex)
    if kind == "folder":
        (tmp_path / "shared folder").mkdir()
        return (tmp_path / "shared folder").as_uri()
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture(params=["redis", "s3", "folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return address_of(request.param, request, tmp_path)


@pytest.fixture(params=["redis", "s3", "folder"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a tier that other processes see, and that can say who was first."""
    return address_of(request.param, request, tmp_path)


@pytest.fixture
def open_remote() -> Iterator[Callable[..., RemoteTiers]]:
    """`open_tiers`, which tries again soon, and closes at the end of the test."""
    opened = []

    def open_(*urls: str, **options: object) -> RemoteTiers:
        opened.append(open_tiers(urls, **{"first_rest": 0.05, "longest_rest": 0.2, **options}))
        return opened[-1]

    yield open_
    for remote in opened:
        remote.close(timeout=0)


@pytest.fixture
def fake() -> FakeTier:
    return FakeTier()
