"""Pictures at an address, such as ``s3://bucket/a.png`` or ``https://host/a.png``: listed, read, and watched.

An object store has neither inodes nor times that change with every write, but most give each version of an object an
ETag. `status_of` puts it in place of the inode, so that an object counts as unchanged by the same rule as a file.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePath, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from ..errors import AnyPath, ImageError, ImageNotFound, ImageUnreadable, SamnbError
from ..remote_files import HTTP, file_system, forget_connection, is_address, secret_in
from ..urls import redacted_url
from .file_status import FileStatus

PATIENCE = 30.0
"""Seconds in which a store that does not answer may come back."""

_TAGS = ("VersionId", "ETag", "etag", "generation", "Content-MD5", "md5Hash", "md5", "checksum")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modified", "created")
_DENIED = (
    *("ClientAuthenticationError", "NoCredentialsError", "NoCredentialProviders", "PartialCredentialsError"),
    *("AuthenticationException", "LogonFailure"),  # of SFTP and SMB
)
_LASTING = ("error_perm",)  # of FTP: not there, or not allowed
_away: dict[str, float] = {}  # host: since when it does not answer
T = TypeVar("T")


def status_of(address: str, info: Mapping[str, Any]) -> FileStatus:
    """The status of an object, from what fsspec tells of it: `st_ino` is made of its address and its ETag.

    Of an object without ETag and time it is another one each time: such an object is read again to see if it changed.
    """
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
    mtime = next((ns for name in _TIMES if (ns := _nanoseconds(info.get(name)))), 0)
    version = tag or (str(mtime) if mtime else uuid4().hex)
    host = "/".join(urlsplit(address)[:2])
    return FileStatus(int(info.get("size") or 0), mtime, _number(f"{address}\0{version}"), _number(host))


def check_address(address: str) -> None:
    """Raise `ImageError` for an address that cannot be read, or holds a credential: addresses are stored, and shown."""
    try:
        found = secret_in(address)
    except ValueError as error:
        raise ImageError(f"{redacted_url(address)}: no address that can be read ({error}). Correct it.") from None
    if found:
        raise ImageError(
            f"{redacted_url(address)}: an address is stored and shown, and this one holds {found}. Expected one "
            "without credentials: they come from the environment, ~/.aws, ~/.netrc or fsspec's configuration."
        )


def name_at(address: str) -> str:
    """The file name of an address.

    >>> name_at("https://host/plates/a%20b.png?size=2"), name_at("s3://bucket/c.png")
    ('a b.png', 'c.png')
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # half an IPv6 address, for one
        return address.rpartition("/")[2] or address
    return PurePosixPath(unquote(parts.path) if parts.scheme in HTTP else parts.path).name or address


def file_name(path: AnyPath) -> str:
    """The name of a file, or of an object at an address."""
    if is_address(path):
        return name_at(str(path))
    return os.path.basename(path) or PurePath(path).name  # a PurePath for each file takes ten times as long


def remote_status(address: str, *, patience: float = PATIENCE) -> FileStatus:
    """The status of an object. Raises `ImageError`."""
    return status_of(address, _asked(address, lambda files, path: files.info(path), patience))


def read_remote(address: str, limit: int) -> tuple[bytes, FileStatus]:
    """The bytes of an object and its status, which is never newer than the bytes. Raises `ImageError`."""
    status = remote_status(address)
    if status.st_size > limit:
        raise ImageUnreadable(address, f"{status.st_size:,} bytes, more than the limit of {limit:,}")
    content = bytes(_asked(address, lambda files, path: files.cat_file(path), PATIENCE))
    if len(content) > limit:
        raise ImageUnreadable(address, f"{len(content):,} bytes, more than the limit of {limit:,}")
    return content, status


def open_remote(address: str) -> Any:
    """An object as a binary file that can be sought, read in blocks. Raises `ImageError`."""
    return _asked(address, lambda files, path: files.open(path, "rb", block_size=1 << 20), PATIENCE)


def read_beginning(address: str, count: int) -> bytes:
    """The first bytes of an object. Raises `ImageError`."""
    return bytes(_asked(address, lambda files, path: files.cat_file(path, start=0, end=count), PATIENCE))


def find_remote(address: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, FileStatus]]:
    """Addresses of the objects that an address, a folder or a glob means, with their status, in any order.

    Parameters
    ----------
    address : str
        ``*``, ``**`` and ``[…]`` make it a glob; "?" begins options.
    wanted : callable
        True for the name of a picture; asked for what is in a folder, or fits a glob without a suffix.

    Raises
    ------
    ImageError
        Nothing is there, or it cannot be listed.
    """
    check_address(address)
    plain, options = _split(address)
    if any(letter in urlsplit(plain).path for letter in "*["):
        found = _asked(address, lambda files, path: files.glob(path, detail=True), PATIENCE)
        named = _is_plain(PurePosixPath(plain).suffix)
        chosen = {
            path: info
            for path, info in found.items()
            if wanted(name_at(path)) or (named and not name_at(path).startswith("."))
        }
    else:
        info = _asked(address, lambda files, path: files.info(path), PATIENCE)
        if info.get("type") != "directory":
            yield address, status_of(address, info)
            return
        found = _asked(address, lambda files, path: files.find(path, detail=True), PATIENCE)
        chosen = {path: info for path, info in found.items() if wanted(name_at(path))}
    if not chosen:
        raise ImageNotFound(address, expected="pictures there", found="Check the address")
    begin = _beginning(address, plain)
    for path, info in chosen.items():
        if info.get("type") != "directory":
            one = path if is_address(path) else begin + path.lstrip("/")
            yield f"{one}{options}", status_of(f"{one}{options}", info)


def _split(address: str) -> tuple[str, str]:
    """The address without options, and the options with their "?"."""
    if address.partition("://")[0] in HTTP:
        return address, ""
    plain, mark, options = address.partition("?")
    return plain, mark + options


def _beginning(address: str, plain: str) -> str:
    """What comes before the paths of its file system in an address, such as ``s3://`` or ``ftp://host/``."""
    whole, path = plain.rstrip("/"), _asked(address, lambda files, path: path, PATIENCE).strip("/")
    head = whole.removesuffix(path)
    if path and head == whole:
        return f"{plain.partition('://')[0]}://"
    return head if head.endswith("/") else f"{head}/"


def _is_plain(suffix: str) -> bool:
    return bool(suffix) and not any(letter in suffix for letter in "*[")


def _asked(address: str, ask: Callable[[Any, str], T], patience: float) -> T:
    """What the file system of an address answers; asked again while its host does not answer.

    All callers wait together: once a host was away for as long as `patience`, each asks once and does not wait.
    """
    host, began, pause = "/".join(urlsplit(address)[:2]), time.monotonic(), 0.2
    while True:
        try:
            # Some connect when they are made, such as FTP.
            answer = ask(*file_system(address))
        except SamnbError as refused:
            raise ImageError(str(refused)) from refused
        except Exception as raised:
            # Each file system raises classes of its own libraries.
            error, kind = _cause(raised)
            if kind == "gone":
                raise ImageNotFound(address, expected="a picture there", found="Check the address") from error
            if kind == "denied":
                raise ImageUnreadable(
                    address,
                    f"access is denied ({error}). Credentials come from the environment of the process that reads it, "
                    "~/.aws, ~/.netrc or fsspec's configuration",
                ) from error
            forget_connection(address)
            since = began - patience - 1 if kind == "lasting" else _away.setdefault(host, time.monotonic())
            if time.monotonic() - min(since, began) > patience:
                raise ImageUnreadable(address, f"cannot be read ({str(error) or type(error).__name__})") from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, 3.0)
        else:
            _away.pop(host, None)
            return answer


def _cause(raised: Exception) -> tuple[BaseException, str]:
    """The error itself, and its kind: "gone", "denied", "lasting", or "away", which may pass."""
    error: BaseException = raised
    # fsspec's http calls everything "not found", with the reason as its cause.
    cause = raised.__cause__
    if isinstance(raised, FileNotFoundError) and (isinstance(cause, OSError) or "aiohttp" in type(cause).__module__):
        error = cause or error
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, PermissionError) or status in (401, 403) or not names.isdisjoint(_DENIED):
        return error, "denied"
    if isinstance(error, (FileNotFoundError, IsADirectoryError)) or status in (404, 410):
        return error, "gone"
    # fsspec's words for an address it cannot use, and for what a file system cannot do: asking again changes nothing.
    lasting = (ValueError, TypeError, NotImplementedError, ImportError)
    if isinstance(error, lasting) or not names.isdisjoint(_LASTING):
        return error, "lasting"
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429):
        return error, "lasting"
    return error, "away"


def _nanoseconds(value: Any) -> int:
    """A time of any of the kinds that file systems give, in nanoseconds since 1970; 0 for none."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value) if value[:4].isdigit() else parsedate_to_datetime(value)
        if isinstance(value, datetime):
            value = value.timestamp()
        return int(float(value) * 1e9) if value else 0
    except (ValueError, TypeError):
        return 0


def _number(text: str) -> int:
    """63 bits of a hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
