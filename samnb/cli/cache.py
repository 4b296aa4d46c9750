"""`samnb cache …`: statistics, checks, eviction and archives of a session's embeddings, or of a folder of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .terminal import say

if TYPE_CHECKING:
    from ..cache import EmbeddingCache
    from ..catalog import Catalog, ImageRecord


def add_cache_commands(commands: Any) -> None:
    """Add `cache` and its commands to the sub-commands of a parser."""
    parser = commands.add_parser("cache", help="look after the embeddings: stats, verify, repair, gc, export, import")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, help in (
        ("stats", _stats, "how many there are, how large, of which models"),
        ("verify", _verify, "read every file; the exit status is 1 if something is wrong"),
        ("repair", _repair, "the same, and put right what is wrong"),
        ("gc", _gc, "delete what is left over or expired, and evict what is above the budget"),
        ("export", _export, "write all embeddings into one file"),
        ("import", _import, "take embeddings from such a file"),
    ):
        action = actions.add_parser(name, help=help)
        action.add_argument("folder", type=Path, help="a session folder, or a folder of embeddings")
        action.set_defaults(run=run)
        if name in ("export", "import"):
            action.add_argument("file", type=Path, help="the archive, a tar file")
        if name == "gc":
            action.add_argument(
                "--to",
                metavar="SIZE",
                help="evict until no more than this is left, such as 10GB; else by SAMNB_CACHE_DISK_BYTES",
            )
        whose = "of the session; the catalog's flags speak of its embeddings"
        for option, default, help in (
            ("--model", None, f"{whose} (left out: those of any model)"),
            ("--checkpoint", None, whose),
            ("--device", "auto", argparse.SUPPRESS),
        ):
            action.add_argument(option, default=default, help=help)


def _stats(arguments: argparse.Namespace) -> None:
    with _opened(arguments, flags=False) as cache:
        say(cache)


def _verify(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as cache:
        report = cache.check()
    say(report)
    return 0 if report.ok else 1


def _repair(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as cache:
        report = cache.check(fix=True)
    say(report)
    return 0 if report.ok else 1


def _gc(arguments: argparse.Namespace) -> None:
    with _opened(arguments, afterwards=True) as cache:
        say(cache.collect(to_bytes=None if arguments.to is None else _size(arguments.to)))
        say(cache)


def _export(arguments: argparse.Namespace) -> int:
    from ..store.archive import export_entries

    with _opened(arguments, flags=False) as cache:
        report = export_entries(cache, arguments.file)
    say(report)
    return 0 if report.ok else 1


def _import(arguments: argparse.Namespace) -> int:
    from ..store.archive import import_entries

    with _opened(arguments, new=True, afterwards=True) as cache:
        report = import_entries(cache, arguments.file)
    say(report)
    return 0 if report.ok else 1


@contextmanager
def _opened(
    arguments: argparse.Namespace, *, flags: bool = True, new: bool = False, afterwards: bool = False
) -> Iterator[EmbeddingCache]:
    """The store of a session; with `flags` its catalog is updated too, if no model is named once `afterwards`."""
    from ..cache import EmbeddingCache

    folder = arguments.folder
    if flags and (folder / "catalog.db").exists():
        with _of_model(arguments) if arguments.model else _of_any_model(folder, afterwards=afterwards) as cache:
            yield cache
        return
    store = folder if _is_store(folder) else folder / "embeddings"
    if not new and not store.is_dir():
        raise StoreError(f"{folder}: no embeddings there. Expected a session folder, or a folder of embeddings.")
    cache = EmbeddingCache(store)
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def _of_model(arguments: argparse.Namespace) -> Iterator[EmbeddingCache]:
    from ..session import Session

    options = {name: getattr(arguments, name) for name in ("model", "checkpoint", "device")}
    with Session(arguments.folder, **options) as session:
        yield session.cache


@contextmanager
def _of_any_model(folder: Path, *, afterwards: bool) -> Iterator[EmbeddingCache]:
    from ..cache import EmbeddingCache
    from ..catalog import Catalog
    from ..session import catalog_url

    with Catalog(catalog_url(folder, None), folder_for_messages=folder) as catalog:
        cache = EmbeddingCache(folder / "embeddings")
        sync = CatalogFlagSync(catalog, cache)
        try:
            if not afterwards:
                cache.subscribe(sync)
            yield cache
            if afterwards:
                sync.store_changed(None, fix=True)
        finally:
            cache.close()


class CatalogFlagSync:
    """Sets a catalog's flags by what the store holds of any model, for commands that name no model."""

    def __init__(self, catalog: Catalog, cache: EmbeddingCache):
        self.catalog, self.cache = catalog, cache

    def store_changed(self, pixel_hashes: frozenset[str] | None, *, fix: bool) -> int:
        """Compare the flags with the store, whose headers are all read; see `samnb.store.observers`.

        Without `fix`, a flag that is not set is right: it may belong to a model that has not encoded the image.
        """
        from ..store.header import read_header

        paths = (self.cache.path_of(key) for key in list(self.cache.keys()) if key in self.cache)
        held = {read_header(path).get("pixel_hash", "") for path in paths}

        def has(image: ImageRecord) -> bool:
            return image.pixel_hash in held and (fix or image.embedding_cached)

        wrong = sum(1 for _ in self.catalog.wrongly_flagged(has, pixel_hashes=pixel_hashes))
        if wrong and fix:
            self.catalog.refresh_cached(has, pixel_hashes=pixel_hashes)
        return wrong


def _is_store(folder: Path) -> bool:
    two_digits = re.compile("[0-9a-f]{2}")
    return folder.is_dir() and any(two_digits.fullmatch(path.name) and path.is_dir() for path in folder.iterdir())


def _size(text: str) -> int:
    from ..settings import parse_size

    try:
        size = parse_size(text)
    except ValueError as error:
        raise StoreError(f"--to {text}: expected {error}.") from None
    if not isinstance(size, int):
        raise StoreError(f"--to {text}: expected a size such as 10GB; a share has nothing to be a share of here.")
    return size
