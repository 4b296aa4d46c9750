"""Download of published weight files: on request, resumed after an interruption, checked by SHA-256.

pooch does this in fewer lines, but starts a file of gigabytes from the beginning after every interruption.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ...atomic_files import publish
from ...errors import CheckpointError, DownloadFailed
from ...file_locks import FileLock
from ...settings import setting
from .checkpoints import ModelInfo, checkpoint_folders, where_from

_log = logging.getLogger("samnb.models")

_CHUNK = 1 << 20
_PERMANENT_ERRORS = (400, 401, 403, 404, 405, 410, 451)
PATIENCE = 5
"""Successive tries without a new byte after which a download fails."""

Progress = Callable[[int, int], Any]


def source_of(info: ModelInfo) -> str:
    """The address of a weight file: the published one, or the same file name under ``SAMNB_MIRROR``."""
    mirror = setting("SAMNB_MIRROR")
    return f"{mirror.rstrip('/')}/{info.file_name}" if mirror else info.url


def download_checkpoint(
    info: ModelInfo,
    folder: Path | None = None,
    *,
    on_progress: Progress | None = None,
    timeout: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """Download a published weight file and check its size and SHA-256, unless it is there already.

    Parameters
    ----------
    info : ModelInfo
    folder : path, optional
        None: the first of `checkpoint_folders`.
    on_progress : callable, optional
        Called with the number of bytes downloaded and the total.
    timeout : float
        Seconds without a byte after which the connection is closed, and another one tried.
    pause : float
        Seconds before the next try after one without a new byte; twice that before the one after, and so on.

    Returns
    -------
    Path
        Of the file, under its published name.

    Raises
    ------
    DownloadFailed
        The server does not have it, does not answer, or sends another file. The bytes of the right file are kept as
        ``….part`` beside its place, and the next call resumes from there.
    """
    if info.files or (info.url and info.sha256 is None):
        raise DownloadFailed(info.name, info.url, f"samnb knows no SHA-256 to check them by. {where_from(info)}")
    folder = folder or checkpoint_folders()[0]
    path, url = folder / info.file_name, source_of(info)
    if not url or info.size_bytes is None or info.sha256 is None:
        raise DownloadFailed(info.name, "nothing to download", "its weights are not published, or ship with samnb")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # two notebooks that start at once share one download
            if path.exists() and path.stat().st_size == info.size_bytes and _sha256(path) == info.sha256:
                return path
            if os.path.islink(f"{path}.part"):  # what it leads to is not of this folder
                os.unlink(f"{path}.part")
            _fetch(info, url, Path(f"{path}.part"), on_progress or (lambda received, total: None), timeout, pause)
            publish(Path(f"{path}.part"), path)
    except CheckpointError:
        raise
    except OSError as error:
        raise DownloadFailed(info.name, url, f"{folder}: {error.strerror or error}") from error
    return path


def _fetch(info: ModelInfo, url: str, part: Path, on_progress: Progress, timeout: float, pause: float) -> None:
    size, tries, reason = info.size_bytes or 0, 0, ""
    while (there := _size(part)) != size:
        if there > size:
            part.unlink()  # of another file
            continue
        if tries == PATIENCE:
            kept = f"{there:,} of {size:,} bytes are kept, and the next call goes on from there"
            raise DownloadFailed(info.name, url, f"{reason}, {tries} times in a row; {kept}")
        if tries:
            time.sleep(pause * 2 ** (tries - 1))
        _check_room(info, url, part, size - there)
        try:
            _resume(info, url, part, there, on_progress, timeout)
        except DownloadFailed:  # also a ConnectionError, but not one to try again
            raise
        except HTTPError as error:
            error.close()
            if error.code in _PERMANENT_ERRORS:
                raise DownloadFailed(info.name, url, f"the server answers {error.code} {error.reason}") from error
            reason = f"the server answers {error.code} {error.reason}"
        except (URLError, HTTPException) as error:
            reason = f"the connection broke ({_cause(error)})"
        tries = 0 if _size(part) > there else tries + 1
        if _size(part) < size:
            _log.info("%s: %s; trying again", url, reason or "the server ended early")
            reason = reason or "the server ended early"
    found = _sha256(part)
    if found != info.sha256:
        part.unlink()
        raise DownloadFailed(
            info.name,
            url,
            f"SHA-256 is {found}, expected {info.sha256}: another file, or an altered one; it was deleted",
        )


def _resume(info: ModelInfo, url: str, part: Path, there: int, on_progress: Progress, timeout: float) -> None:
    headers = {"User-Agent": "samnb", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    response: HTTPResponse
    try:
        with _network():
            response = urlopen(Request(url, headers=headers), timeout=timeout)
    except ValueError as error:
        raise DownloadFailed(info.name, url, f"not an address ({error}); expected https://…") from error
    with response:
        resumed = response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {there}-")
        length, size = response.headers.get("Content-Length"), info.size_bytes or 0
        whole = (there if resumed else 0) + int(length) if length and length.isdigit() else size
        if whole != size:
            raise DownloadFailed(info.name, url, f"the server has {whole:,} bytes, expected {size:,}: another file")
        # A server without support for ranges sends the file from its beginning.
        with part.open("ab" if resumed else "wb") as file:
            on_progress(file.tell(), size)
            while chunk := _chunk(response):
                file.write(chunk)
                on_progress(file.tell(), size)
                if file.tell() > size:
                    break


def _chunk(response: HTTPResponse) -> bytes:
    with _network():
        return response.read(_CHUNK)


@contextmanager
def _network() -> Iterator[None]:
    """Mark an error as one of the network, not the disk: sockets and files both raise bare OSErrors."""
    try:
        yield
    except URLError:
        raise
    except OSError as error:
        raise URLError(error) from error


def _cause(error: URLError | HTTPException) -> object:
    """The reason of an error, or its class where it has no message."""
    cause = getattr(error, "reason", None) or error
    return cause if str(cause) else type(cause).__name__


def _check_room(info: ModelInfo, url: str, part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        raise DownloadFailed(info.name, url, f"{part.parent} has {free:,} bytes free, {missing:,} more are needed")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
