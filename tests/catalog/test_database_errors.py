"""Every error of a database says what to do next."""

import pytest

from samnb.catalog.database_errors import sqlite_error
from samnb.errors import SessionReadOnly, StoreError


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("disk I/O error", "try again. If it fails again, copy the session folder to another disk"),
        ("database or disk is full", "free some space on that disk, then try again"),
        ("locking protocol", "try again. If it fails again, move the session folder to a disk of this computer"),
        ("database disk image is malformed", "open the session again. If it says the same, put a backup in its place"),
        ("file is not a database", "move that file away, or choose another session folder"),
        ("database is locked", "Look for a notebook or program that keeps a transaction open"),
        ("no such table: images", "see to what it says, then try again"),
    ],
)
def test_an_error_of_sqlite_says_what_to_do(reason, advice):
    error = sqlite_error(reason, "/s/catalog.db", "/s", 10)
    assert isinstance(error, StoreError)
    assert str(error).startswith("/s/catalog.db: ")
    assert advice in str(error)


def test_a_place_that_cannot_be_written_is_a_read_only_session():
    for reason in ("attempt to write a readonly database", "unable to open database file"):
        assert isinstance(sqlite_error(reason, "/s/catalog.db", "/s", 10), SessionReadOnly)
