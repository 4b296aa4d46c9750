"""What a database's errors mean, and what to do next."""

from __future__ import annotations

from typing import Any

from ..errors import SamnbError, SessionReadOnly, StoreError

__all__ = ["postgresql_error", "sqlite_error"]

_NOTHING_SAVED = "Nothing of this call was saved"
_LOCKED = "Look for a notebook or program that keeps a transaction open on it, then try again."

_SQLITE_ADVICE = {
    "disk I/O error": "{nothing}: try again. If it fails again, copy the session folder to another disk and open it "
    "there.",
    "disk is full": "{nothing}: free some space on that disk, then try again.",
    "locking protocol": "{nothing}: try again. If it fails again, move the session folder to a disk of this computer.",
}
"""What SQLite says of the surroundings, and what to do about it."""


def sqlite_error(reason: str, where: str, shown: str, waited_s: float) -> SamnbError:
    """The error to raise for one of SQLite, by its message.

    Parameters
    ----------
    reason : str
    where, shown : str
        The database's file, and the session folder.
    waited_s : float
        How long it waits for a lock.

    Examples
    --------
    >>> print(sqlite_error("database or disk is full", "/catalog.db", "/", 10))
    /catalog.db: database or disk is full. Nothing of this call was saved: free some space on that disk, then try again.
    """
    if "readonly" in reason or "unable to open" in reason:
        return SessionReadOnly(shown, reason)
    if "not a database" in reason:
        return StoreError(
            f"{where}: {reason}. Expected a catalog written by samnb. Nothing was changed: "
            "move that file away, or choose another session folder."
        )
    if "malformed" in reason:  # SQLite says so too where a page of the log could not be read this time
        return StoreError(
            f"{where}: {reason}, or the disk failed to read it. {_NOTHING_SAVED}: open the session again. If it says "
            "the same, put a backup in its place, or move it away and add the images again: their embeddings are still "
            "in the store and are found by content."
        )
    if "locked" in reason:
        return StoreError(f"{where}: still locked by another process after {waited_s:g} s. {_LOCKED}")
    for words, advice in _SQLITE_ADVICE.items():
        if words in reason:
            return StoreError(f"{where}: {reason}. {advice.format(nothing=_NOTHING_SAVED)}")
    return _other(reason, where)


def postgresql_error(
    error: Any, reason: str, where: str, shown: str, waited_s: float, *, at_commit: bool
) -> SamnbError:
    """The error to raise for one of PostgreSQL, by its code: its messages come in the server's language."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    if code == "25006":
        return SessionReadOnly(shown, reason)
    if code == "55P03":
        return StoreError(f"{where}: still locked by another process after {waited_s:g} s. {_LOCKED}")
    if at_commit and getattr(error, "connection_invalidated", False):
        return StoreError(
            f"{where}: the connection was lost while saving ({reason}). It is not known whether this call was "
            "saved: look at what is there before you do it again."
        )
    return _other(reason, where)


def _other(reason: str, where: str) -> StoreError:
    return StoreError(
        f"{where}: the database answers: {reason}. {_NOTHING_SAVED}: see to what it says, then try again."
    )
