"""A folder of pictures, and sessions of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb import Session
from tests.support.export_work import SIZE, dot, ring, square
from tests.support.import_work import drawn


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Names with spaces and umlauts, a name twice, a turned picture."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("münze 1.png", "left/a.png", "right/a.png", "turned.png")):
        drawn(folder / name, seed=number, orientation=6 if name == "turned.png" else 1)
    return folder


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Opens sessions, and closes them in the end."""
    sessions: list[Session] = []

    def open_session(name: str) -> Session:
        sessions.append(Session(tmp_path / name))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture
def first(opened: Any, photos: Path) -> Session:
    """Masks with holes, in parts, of one pixel, of the whole picture; an image without; a category without."""
    session = opened("first")
    session.add(photos, dataset="monday", show=False)
    for name in ("größe b", "unused", "coin"):
        session.add_category(name)
    session.accept_mask("münze 1.png", ring(), category="größe b", score=0.25)
    session.accept_mask("münze 1.png", dot(), category="coin", score=0.5)
    session.accept_mask(photos / "left" / "a.png", np.ones(SIZE, bool), category="coin")
    session.accept_mask("turned.png", square(2, 2, 5) | square(30, 20, 9), category="größe b")
    session.accept_mask("turned.png", square(25, 15, 9), category="coin")
    return session
