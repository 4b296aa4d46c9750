"""Pictures added to a catalog without a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from samnb.catalog import Catalog
from samnb.ingest.add import IngestJob


def add_pictures(catalog: Catalog, folder: Path, source: Any, *, dataset: str, is_cached: Callable[[str], bool]) -> Any:
    """What an `IngestJob` reports, run here and now."""
    return IngestJob(catalog, folder, source, dataset=dataset, is_cached=is_cached, start=False).run_to_report()
