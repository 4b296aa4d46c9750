"""The versions of the catalog's tables: Alembic scripts, and the names of their revisions in plain Python.

Knowing the revisions without Alembic keeps it out of the way of opening a catalog that is up to date.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

__all__ = ["HEAD", "REVISIONS", "config", "upgrade"]

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
HEAD = REVISIONS[-1]

# `alembic.context` is one global of the process: two threads upgrading at once would share it.
_one_at_a_time = threading.Lock()


def config() -> Config:
    """Alembic's configuration, without an ini file."""
    from alembic.config import Config

    settings = Config()
    folder = str(Path(__file__).parent).replace("%", "%%")  # ConfigParser would expand a bare %
    settings.set_main_option("script_location", folder)
    return settings


def upgrade(connection: Connection) -> None:
    """Bring the tables behind `connection` to `HEAD`, inside the transaction it is already in."""
    from alembic import command

    settings = config()
    settings.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(settings, "head")
