"""`ObjectTier`: a store that fsspec knows, as a remote tier; each entry is one object ``ab/cd/<key>.safetensors``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ...errors import TierUnavailable
from ...remote_files import S3, check_installed, options_in
from ...urls import redact, redacted_url
from ..entry import LARGEST
from ..entry_files import keys_in
from .time_limit import call_within

# Stores without folders; in the others a folder has to be made before a file.
_FLAT = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"))
T = TypeVar("T")


class ObjectTier:
    """Any store that fsspec knows (``s3://``, ``gs://``, ``sftp://``, ``memory://`` …), as a `Tier`.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``; options of the file system after a ``?``, such as
        ``s3://lab/embeddings?endpoint_url=http://minio:9000``. Credentials come from where the store's own
        library finds them.
    timeout : float
        Seconds to wait for a connection and for each piece of an answer, if the store supports it (S3); reading
        one entry may take four times as long in total.

    Raises
    ------
    PackageMissing
        fsspec, or the package for this protocol, is not installed.
    StoreError
        Not an address that fsspec knows.
    """

    def __init__(self, url: str, *, timeout: float = 2.0):
        parts = urlsplit(url)
        self.name = redacted_url(url)
        self._url, self._timeout = url, timeout
        self._protocol = parts.scheme
        self._options = _options(parts.scheme, parts.query, timeout)
        self._create_only = True
        self._made: tuple[int, Any, str] | None = None
        check_installed(parts.scheme, self.name)

    def __repr__(self) -> str:
        return f"<ObjectTier {self.name}>"

    def get(self, key: str) -> bytes | None:
        """The bytes, or None; of an object with more than any entry has, none of them."""
        files, path = self._place(key)

        def read() -> bytes:
            try:
                raw = bytes(files.cat_file(path, end=LARGEST + 1))
            except FileNotFoundError:
                raise
            except Exception:
                if files.info(path).get("size") != 0:  # of which S3 can give no part
                    raise
                return b""
            return raw if len(raw) <= LARGEST else b""

        return self._call(read, None)

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

    def keys(self) -> Iterator[str]:
        """The keys of all entries, in any order; without a time limit, since a large bucket takes minutes."""
        files, root = self._files()
        try:
            return keys_in(path.rpartition("/")[2] for path in files.find(root))
        except FileNotFoundError:
            return iter(())
        except Exception as error:
            raise TierUnavailable(self.name, self._reason(error)) from error

    def close(self) -> None:
        """Release the file system."""
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
            if self._protocol in S3:
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
            return call_within(4 * self._timeout, run, self.name)
        except TierUnavailable:
            raise
        except Exception as error:
            raise TierUnavailable(self.name, self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        return redact(error, self._url) or type(error).__name__


def _options(protocol: str, query: str, timeout: float) -> dict[str, Any]:
    options: dict[str, Any] = options_in(query)
    if protocol in S3:
        # One try: `TierWorker` decides when to try again, and does not let a caller wait for it.
        config = {"connect_timeout": timeout, "read_timeout": timeout, "retries": {"total_max_attempts": 1}}
        options |= {"config_kwargs": config, "use_listings_cache": False}
    return options
