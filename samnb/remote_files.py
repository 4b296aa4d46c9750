"""`file_system`: what fsspec opens at an address such as ``s3://bucket/key``; and what an address must not hold.

An address may end in options of its file system, as ``s3://lab/plates?endpoint_url=http://minio:9000``; of ``http`` and
``https`` what follows the "?" belongs to the file. Credentials are never in an address: they come from where the
library of the store looks for them, such as environment variables, ``~/.aws``, ``~/.netrc``, or fsspec's own
configuration.
"""

from __future__ import annotations

import os
import re
import threading
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .errors import PackageMissing, StoreError
from .urls import redacted_url

__all__ = ["HTTP", "S3", "check_installed", "file_system", "forget_connection", "is_address", "options_in", "secret_in"]

S3 = ("s3", "s3a")
HTTP = ("http", "https")

_ADDRESS = re.compile("[A-Za-z][A-Za-z0-9+.-]+://")  # two letters or more: C:// is a drive
_SECRET_NAME = re.compile(
    r"signature|token|secret|passw|pwd|credential|jwt|access_?key|api_?key|sess(ion)?(_?id)?$"
    r"|(^|[-_.])(sig|auth|authorization|key|pw|code)($|[-_.])|^s[epv]$",
    re.IGNORECASE,
)
_OPTIONS = ("anon", "endpoint_url", "profile", "region", "requester_pays", "project", "account_name")
_CONNECT, _READ = 10.0, 60.0  # seconds
# A user alone may be in their addresses; with Azure, it is the container.
_USER = ("ftp", "sftp", "ssh", "hdfs", "webhdfs", "smb", "abfs", "abfss", "az")
_REFERENCE = ("github", "git")  # what is before their "@" names a repository
_systems: dict[tuple[Any, ...], Any] = {}
_of_thread = threading.local()
_making = threading.Lock()


def is_address(path: object) -> bool:
    """True for the text of an address, False for a path.

    >>> is_address("s3://bucket/a.png"), is_address("/data/a.png"), is_address("C://a.png")
    (True, False, False)
    """
    # The search first: it is asked several times of each file, and a match takes three times as long.
    return isinstance(path, str) and "://" in path and _ADDRESS.match(path) is not None


def secret_in(address: str) -> str:
    """What in an address may be a credential, in words; "" for none.

    >>> secret_in("https://lab.example/a.png?X-Amz-Signature=ab12"), secret_in("https://lab.example/a.png?size=2")
    ("the option 'X-Amz-Signature'", '')
    """
    parts = urlsplit(address)
    user, at, _ = parts.netloc.rpartition("@")
    user = unquote(user)
    if at and parts.scheme not in _REFERENCE and (":" in user or parts.scheme not in _USER):
        return "a user or a password before the host"
    options = parse_qsl(parts.query, keep_blank_values=True)
    if parts.scheme in HTTP:  # some services put tokens behind the "#"; elsewhere it is part of a name
        options += parse_qsl(parts.fragment, keep_blank_values=True)
    for name, value in options:
        if parts.scheme in HTTP and _SECRET_NAME.search(name):
            return f"the option {name!r}"
        if parts.scheme not in HTTP and name not in _OPTIONS:
            return f"the option {name!r}, which is none of {', '.join(_OPTIONS)}"
        if "://" in value and (found := secret_in(value)):
            return f"{found} in {name!r}"
    return ""


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, kept for this process, or this thread, and the path in it.

    Raises
    ------
    PackageMissing
        fsspec, or the package for this protocol, is not installed.
    StoreError
        fsspec knows no such address.
    """
    parts = urlsplit(address)
    plain, query = (address, "") if parts.scheme in HTTP else (address.partition("?")[0], parts.query)
    known = _place(address)
    files = _systems.get(known) or _of_this_thread().get(known)
    if files is None:
        check_installed(parts.scheme, redacted_url(address))
        import fsspec

        kind = fsspec.get_filesystem_class(parts.scheme)
        # A host, a user, a repository: some file systems are told of them, others find them in the path.
        settings = kind._get_kwargs_from_urls(plain) | _settings(parts.scheme, query)
        if kind.async_impl:
            with _making:
                files = _systems[known] = _systems.get(known) or kind(**settings)
        else:  # one connection, such as of FTP, serves one thread
            files = _of_this_thread()[known] = kind(**settings, skip_instance_cache=True)
    return files, files._strip_protocol(plain)


def forget_connection(address: str) -> None:
    """Give up this thread's own connection to the host of an address, after an error: the next call makes a new one."""
    _of_this_thread().pop(_place(address), None)


def _of_this_thread() -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = vars(_of_thread).setdefault("systems", {})
    return found


def _place(address: str) -> tuple[Any, ...]:
    """What addresses of one file system have in common; a child process must not use its parent's connections."""
    parts = urlsplit(address)
    of_path = (*S3, *HTTP)  # the host, or the bucket, is a part of the path
    query = "" if parts.scheme in HTTP else parts.query
    return os.getpid(), parts.scheme, "" if parts.scheme in of_path else parts.netloc, query


def options_in(query: str) -> dict[str, str | bool]:
    """The options after the "?" of an address.

    >>> options_in("anon=true&profile=lab")
    {'anon': True, 'profile': 'lab'}
    """
    return {name: {"true": True, "false": False}.get(value.lower(), value) for name, value in parse_qsl(query)}


def check_installed(protocol: str, name: str) -> None:
    """Raise `PackageMissing` or `StoreError` for an address that fsspec cannot open here; `name` is for the message."""
    if find_spec("fsspec") is None:
        raise PackageMissing(name, "fsspec", "s3")
    from fsspec.registry import known_implementations, registry

    if protocol in registry:
        return
    if protocol not in known_implementations:
        expected = "redis://, rediss://, unix://, file://, s3:// or another that fsspec knows"
        raise StoreError(f"{name}: no such kind of address. Expected {expected}.")
    package = "aiohttp" if protocol in HTTP else known_implementations[protocol]["class"].partition(".")[0]
    if find_spec(package) is None:
        if protocol in (*S3, *HTTP):
            raise PackageMissing(name, package, "s3")
        raise StoreError(f"{name}: needs a package that is not installed: pip install {package}")


def _settings(protocol: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = options_in(query)
    if protocol != "file":
        options["use_listings_cache"] = False  # what changed must be noticed
    if protocol in S3:
        config = {"connect_timeout": _CONNECT, "read_timeout": _READ}
        options["config_kwargs"] = config
    if protocol in HTTP:
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_READ)
        # trust_env: passwords from ~/.netrc, and the proxy of the environment.
        options |= {"client_kwargs": {"trust_env": True, "timeout": timeout}}
    return options
