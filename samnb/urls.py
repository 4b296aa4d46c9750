"""URLs of databases and remote tiers: hides their passwords, and parses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

__all__ = ["redact", "redacted_url", "secrets_of"]

_HIDDEN = "***"
_COLON = re.compile(":|%3A", re.IGNORECASE)  # between a user and a password
# Shown after a "?"; any other option might be a secret under an unknown name.
_SHOWN = frozenset(
    ("anon", "check_same_thread", "client_encoding", "db", "endpoint_url", "mode", "profile", "protocol", "region")
)


def redacted_url(url: str) -> str:
    """The address with passwords and unknown options hidden; for messages, cards and logs.

    Examples
    --------
    >>> redacted_url("redis://lab:s3cret@cache.example:6379/0")
    'redis://lab:***@cache.example:6379/0'
    >>> redacted_url("s3://bucket/embeddings?endpoint_url=http://minio:9000&secret=s3cret")
    's3://bucket/embeddings?endpoint_url=http://minio:9000&secret=***'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket left open
        return f"{url.partition('://')[0]}://{_HIDDEN}"
    netloc = parts.netloc
    if "@" in netloc:
        user, _, host = netloc.rpartition("@")
        name, *password = _COLON.split(user, maxsplit=1)
        netloc = f"{name}{':' + _HIDDEN if password else ''}@{host}"
    options = [(name, _shown(name, value)) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(options, safe="/:*@", errors="replace"), ""))


def secrets_of(url: str) -> Iterator[str]:
    """The texts that `redacted_url` hides, percent-encoded and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        yield url
        return
    _, at, _ = parts.netloc.rpartition("@")
    if at:
        for password in _COLON.split(parts.netloc.rpartition("@")[0], maxsplit=1)[1:]:
            yield from (password, unquote(password))
    for name, value in parse_qsl(parts.query):
        if name not in _SHOWN:
            yield value
        elif "@" in value:
            yield from secrets_of(value)


def redact(text: object, url: str) -> str:
    """A text, such as a library's error, with the passwords of an address taken out."""
    clean = str(text)
    for secret in sorted(set(filter(None, secrets_of(url))), key=len, reverse=True):
        clean = clean.replace(secret, _HIDDEN)
    return clean


def _shown(name: str, value: str) -> str:
    if name not in _SHOWN:
        return _HIDDEN
    return redacted_url(value) if "://" in value else value
