"""A session with pictures of coloured squares, and a model that masks what has the colour of the click."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import samnb.session
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Three pictures, prewarmed: a red and a green square; a red one; nothing."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as opened:
        pictures = [[(20, 20, 40, RED), (100, 100, 40, GREEN)], [(100, 20, 40, RED)], []]
        opened.add([scene(boxes) for boxes in pictures], show=False)
        opened.prewarm(show=False).wait()
        yield opened
