"""A catalog in a SQLite file alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from samnb.catalog import Catalog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def in_file(path: Path, empty_catalog: Path) -> Iterator[Catalog]:
    """On SQLite alone, at `path`."""
    shutil.copyfile(empty_catalog, path)
    with Catalog(path) as opened:
        yield opened
