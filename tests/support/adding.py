"""Pictures added to a catalog without a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from samnb.catalog import Catalog
from samnb.ingest.add import AddJob


def add_pictures(catalog: Catalog, folder: Path, source: Any, *, dataset: str, is_cached: Callable[[str], bool]) -> Any:
    """What an `AddJob` reports, run here and now."""
    return AddJob(catalog, folder, source, dataset=dataset, is_cached=is_cached, start=False).run_to_report()
