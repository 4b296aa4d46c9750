"""Embeddings in a bucket or a shared folder: one object for each entry, ``<where>/ab/cd/<key>.safetensors``.

The layout is that of a session's own ``embeddings`` folder, so a colleague's folder can be a tier as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from ...errors import PackageMissing, StoreError, TierUnavailable
from ...urls import safe_url, without_secrets
from ..entry_files import slice_of, temporary_beside
from ..usage import Usage, UsageFile

__all__ = ["FolderTier", "ObjectTier"]

_S3 = ("s3", "s3a")
# Stores without folders; in the others a folder has to be made before a file.
_FLAT = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"))
T = TypeVar("T")


class FolderTier:
    """A folder that several machines see, as a `Tier`.

    It has to be there: one that is not may be a share that is not mounted, and making it would fill the disk below.

    Parameters
    ----------
    folder : path
    timeout : float
        Seconds to wait for an answer when reading; a share whose server has gone can hang for ever.

    Raises
    ------
    StoreError
        Not an absolute path.
    """

    def __init__(self, folder: Path | str, *, timeout: float = 2.0):
        self.folder = Path(folder).expanduser()
        if not self.folder.is_absolute():
            raise StoreError(f"{folder}: expected an absolute path, such as file:///mnt/lab/embeddings.")
        self.name = f"file://{self.folder}"
        self._timeout = timeout
        # Of somebody's own folder of embeddings: its budget has to know what comes and goes here.
        self._usage = UsageFile(self.folder / "usage", lambda slice: Usage(0, 0))

    def __repr__(self) -> str:
        return f"<FolderTier {self.name}>"

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        return self._call(lambda: self._path(key).read_bytes(), None)

    def put(self, key: str, raw: bytes) -> bool:
        """Publish the file whole; False when one is there already."""
        path = self._path(key)
        temporary = temporary_beside(path, len(raw))
        try:
            if path.exists():
                return False
            self._must_be_there()
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(exist_ok=True)
            try:
                with open(temporary, "xb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                published = _publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            if isinstance(error, TierUnavailable):
                raise
            raise TierUnavailable(self.name, error.strerror or error, can_read=True) from error
        if published:
            self._usage.change(slice_of(key), 1, len(raw))
        return published

    def discard(self, key: str) -> bool:
        """Delete; True if it was there."""
        path = self._path(key)

        def unlink() -> bool:
            size = path.stat().st_size
            try:
                path.unlink()
            except FileNotFoundError:
                raise
            except OSError as error:
                raise TierUnavailable(self.name, error.strerror or error, can_read=True) from error
            self._usage.change(slice_of(key), -1, -size)
            return True

        return self._call(unlink, False)

    def contains(self, key: str) -> bool:
        """Whether it is there."""
        return self._call(lambda: bool(self._path(key).stat()), False)

    def close(self) -> None:
        """Nothing to let go of."""

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:4] / f"{key}.safetensors"

    def _must_be_there(self) -> None:
        if not self.folder.is_dir():
            raise TierUnavailable(self.name, "there is no such folder: make it, or mount it")

    def _call(self, command: Callable[[], T], absent: T) -> T:
        def run() -> T:
            try:
                return command()
            except (FileNotFoundError, NotADirectoryError):
                self._must_be_there()
                return absent

        try:
            return _within(self._timeout, run, self.name)
        except OSError as error:
            if isinstance(error, TierUnavailable):
                raise
            raise TierUnavailable(self.name, error.strerror or error) from error


class ObjectTier:
    """Any store that fsspec knows (``s3://``, ``gs://``, ``sftp://``, ``memory://`` …), as a `Tier`.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``; options of the file system after a ``?``, such as
        ``s3://lab/embeddings?endpoint_url=http://minio:9000``. Credentials come from where the store's own
        library finds them.
    timeout : float
        Seconds to wait for a connection and for each piece of an answer, where the store can be told (S3); reading
        one entry may take four times as long in all.

    Raises
    ------
    PackageMissing
        fsspec, or the package for this protocol, is not installed.
    StoreError
        Not an address that fsspec knows.
    """

    def __init__(self, url: str, *, timeout: float = 2.0):
        parts = urlsplit(url)
        self.name = safe_url(url)
        self._url, self._timeout = url, timeout
        self._protocol = parts.scheme
        self._options = _options(parts.scheme, parts.query, timeout)
        self._create_only = True
        self._made: tuple[int, Any, str] | None = None
        _check_installed(parts.scheme, self.name)

    def __repr__(self) -> str:
        return f"<ObjectTier {self.name}>"

    def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        files, path = self._place(key)
        return self._call(lambda: bytes(files.cat_file(path)), None)

    def put(self, key: str, raw: bytes) -> bool:
        """Publish; False when something is there already."""
        try:
            return self._put(*self._place(key), raw)
        except FileExistsError:
            return False
        except Exception as error:
            denied = isinstance(error, PermissionError)
            raise TierUnavailable(self.name, self._reason(error), can_read=denied) from error

    def discard(self, key: str) -> bool:
        """Delete; True if it was there."""

        files, path = self._place(key)

        def remove() -> bool:
            if not files.exists(path):  # S3 deletes what is not there without a word
                return False
            try:
                files.rm_file(path)
            except PermissionError as error:
                raise TierUnavailable(self.name, self._reason(error), can_read=True) from error
            return True

        return self._call(remove, False)

    def contains(self, key: str) -> bool:
        """Whether it is there."""
        files, path = self._place(key)
        return self._call(lambda: bool(files.info(path)), False)

    def close(self) -> None:
        """Let go of the file system."""
        self._made = None

    def _place(self, key: str) -> tuple[Any, str]:
        files, root = self._files()
        return files, f"{root}/{key[:2]}/{key[2:4]}/{key}.safetensors"

    def _put(self, files: Any, path: str, raw: bytes) -> bool:
        if self._protocol not in _FLAT:
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._create_only:
            try:
                files.pipe_file(path, raw, mode="create")
                return True
            except (TypeError, NotImplementedError):
                self._create_only = False  # a file system of before that option
            except OSError as error:
                if "NotImplemented" not in str(error) and "not implemented" not in str(error):
                    raise
                self._create_only = False  # a store that does not know If-None-Match
        if files.exists(path):
            return False
        files.pipe_file(path, raw)
        return True

    def _files(self) -> tuple[Any, str]:
        """The file system of this process, since that of a parent has its thread there; and the folder in it.

        Late, since s3fs takes a second to import; and by the caller's own thread, whose wait for an answer is limited.
        """
        if self._made is None or self._made[0] != os.getpid():
            import fsspec

            plain = self._url.partition("?")[0]
            files, root = fsspec.core.url_to_fs(plain, skip_instance_cache=True, **self._options)
            if self._protocol in _S3:
                files.retries = 1
            self._made = os.getpid(), files, root.rstrip("/")
        return self._made[1:]

    def _call(self, command: Callable[[], T], absent: T) -> T:
        def run() -> T:
            try:
                return command()
            except FileNotFoundError:
                return absent

        try:
            return _within(4 * self._timeout, run, self.name)
        except TierUnavailable:
            raise
        except Exception as error:
            raise TierUnavailable(self.name, self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        return without_secrets(error, self._url) or type(error).__name__


def _publish(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)  # unlike a rename, fails when another machine was first
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        os.replace(temporary, path)
    return True


def _within(seconds: float, call: Callable[[], T], name: str) -> T:
    """The call's result, in a thread that is left behind when it takes longer."""
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        done.set()

    threading.Thread(target=run, name=f"samnb asks {name}", daemon=True).start()
    if not done.wait(seconds):
        raise TierUnavailable(name, f"no answer within {seconds:g} s")
    if errors:
        raise errors[0]
    return results[0]


def _check_installed(protocol: str, name: str) -> None:
    if find_spec("fsspec") is None:
        raise PackageMissing(name, "fsspec", "s3")
    from fsspec.registry import known_implementations, registry

    if protocol in registry:
        return
    if protocol not in known_implementations:
        expected = "redis://, rediss://, unix://, file://, s3:// or another that fsspec knows"
        raise StoreError(f"{name}: no remote tier has such an address. Expected {expected}.")
    package = known_implementations[protocol]["class"].partition(".")[0]
    if find_spec(package) is None:
        if protocol in _S3:
            raise PackageMissing(name, package, "s3")
        raise StoreError(f"{name}: needs a package that is not installed: pip install {package}")


def _options(protocol: str, query: str, timeout: float) -> dict[str, Any]:
    options: dict[str, Any] = {name: _value(value) for name, value in parse_qsl(query)}
    if protocol in _S3:
        # One try: whether to try again is the lane's to say, and not while somebody waits.
        config = {"connect_timeout": timeout, "read_timeout": timeout, "retries": {"total_max_attempts": 1}}
        options |= {"config_kwargs": config, "use_listings_cache": False}
    return options


def _value(text: str) -> str | bool:
    return {"true": True, "false": False}.get(text.lower(), text)
