"""URLs of the catalog's database: read, told apart, and shown without what is secret in them."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import AnyPath, StoreError


def as_url(url_or_path: AnyPath | URL) -> URL:
    """The URL of a database, given as such, as text, or as the path of a SQLite file.

    Raises
    ------
    StoreError
        What is no URL. The message does not quote it: it may hold a password.
    """
    if isinstance(url_or_path, URL):
        return url_or_path
    if not isinstance(url_or_path, str | os.PathLike):
        raise StoreError(
            "The database: expected a URL such as sqlite:///folder/catalog.db, or the path of a SQLite file; got "
            f"{type(url_or_path).__name__}."
        )
    given = os.fspath(url_or_path)
    if "://" not in given:
        return URL.create("sqlite", database=os.path.abspath(given))
    try:
        return make_url(given)
    except (ArgumentError, ValueError):
        # Without `from`: the original message may quote the part of the URL with the password.
        raise StoreError(
            "The database URL cannot be read. Expected something like sqlite:///folder/catalog.db or "
            "postgresql://user:password@host:5432/name, special characters in the password %-encoded."
        ) from None


def file_of(url: URL) -> Path | None:
    """The file of a SQLite database, absolute; None for a server. Raises `StoreError` for one in memory."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError("A catalog needs a SQLite file that stays: give its path, or sqlite:///folder/catalog.db.")
    return Path(url.database).absolute()


def without_secrets(url: URL) -> str:
    """A URL as text, without its password and its options."""
    return url.set(query={}).render_as_string(hide_password=True)
