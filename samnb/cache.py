"""The embedding cache: memory, then disk. An image is encoded once in its life.

Rules
-----
The folder is the truth: an entry is in the cache when its file is there, and memory only saves the reading.
So a file deleted by hand is a miss at once, in every process. Without a folder, memory is the truth.

Nothing wrong is ever served: each file is verified when it is read (see `samnb.entries`), and one that fails
is moved to ``quarantine/``, logged, and a miss.

Memory keeps the float32 arrays that `get` hands out, not the stored halves: the operating system keeps the
files in memory already, so what is left to save is verifying and converting. A hit in memory copies nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from .entries import DTYPES, SCHEMA, EntryDamaged, as_stored, check_key, make_key, pack, unpack
from .entry_folder import CacheReport, EntryFolder
from .errors import StoreError, UnknownName
from .prompts import Embedding

__all__ = ["SCHEMA", "CacheReport", "CacheStats", "EmbeddingCache", "make_key"]

DEFAULT_MEMORY_BYTES = 1 << 30
DEFAULT_MAX_ENTRIES = 2000


@dataclass(frozen=True)
class CacheStats:
    """What a cache holds and what it did.

    `entries` and `bytes` are of the folder (of memory where there is none); `hits`, `misses`, `computed` and
    `quarantined` count what this object did since it was made.
    """

    entries: int
    bytes: int
    memory_entries: int
    memory_bytes: int
    hits: int
    misses: int
    computed: int
    quarantined: int

    def _repr_html_(self) -> str:
        rows = {
            "embeddings": f"{self.entries:,} · {self.bytes / 2**20:,.1f} MiB",
            "in memory": f"{self.memory_entries:,} · {self.memory_bytes / 2**20:,.1f} MiB",
            "hits · misses": f"{self.hits:,} · {self.misses:,}",
            "computed": f"{self.computed:,}",
            "quarantined": f"{self.quarantined:,}",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
        return f"<table><caption>Embedding cache</caption>{cells}</table>"


class EmbeddingCache:
    """Embeddings by key, in memory and in a folder; threads may share the object, processes the folder.

    Parameters
    ----------
    folder : path or None
        ``folder/ab/cd/<key>.safetensors``; made by the first `put`. None: memory only, gone with the object.
    dtype : {"float16", "float32"}
        What files hold; `get` gives float32 either way. The recipe in the key should name it, since a file of
        either dtype is served.
    memory_bytes : int, optional
        Bytes of float32 tensors kept in memory, 1 GiB unless told; 0 keeps none.
    max_entries : int, optional
        Entries kept in memory; the environment's EMBED_CACHE_MAX unless told, else 2000.

    Raises
    ------
    UnknownName
        Another dtype.
    StoreError
        EMBED_CACHE_MAX is not a whole number.

    Examples
    --------
    >>> import numpy as np
    >>> cache = EmbeddingCache(None)
    >>> key = make_key("pixels", "tiny-weights", "tiny/1:float16")
    >>> encode = lambda: Embedding({"image_embedding": np.ones((256, 64, 64), "f4")}, (480, 640), (768, 1024))
    >>> embedding, hit = cache.get_or_compute(key, encode, about={"filename": "coins.jpg"})
    >>> hit, key in cache, cache.get(key).tensors["image_embedding"].shape
    (False, True, (256, 64, 64))
    """

    def __init__(
        self,
        folder: Path | str | None,
        *,
        dtype: str = "float16",
        memory_bytes: int | None = None,
        max_entries: int | None = None,
    ):
        if dtype not in DTYPES:
            raise UnknownName("storage dtype", dtype, DTYPES)
        self.folder = None if folder is None else Path(folder).expanduser().absolute()
        self.dtype = dtype
        self._disk = None if self.folder is None else EntryFolder(self.folder)
        self._memory_limit = DEFAULT_MEMORY_BYTES if memory_bytes is None else memory_bytes
        self._max_entries = _max_entries_from_environment() if max_entries is None else max_entries
        self._memory: OrderedDict[str, Embedding] = OrderedDict()
        self._memory_bytes = 0
        self._counts = dict.fromkeys(("hits", "misses", "computed", "quarantined"), 0)
        self._after_fork()
        _caches.add(self)

    def _after_fork(self) -> None:
        # a forked child has none of the threads that held the lock or were computing
        self._lock = threading.Lock()
        self._running: dict[str, Future[Embedding]] = {}

    def __repr__(self) -> str:
        return f"<EmbeddingCache {self.folder or 'in memory'}, {self.dtype}>"

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache: `cache or default` must not drop it

    def __contains__(self, key: str) -> bool:
        """Whether the file is there (not whether it is sound); without a folder, whether memory holds it."""
        return check_key(key) in (self._memory if self._disk is None else self._disk)

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

    def keys(self) -> Iterator[str]:
        """Every key in the folder, in no order; without a folder, those in memory."""
        if self._disk is not None:
            return self._disk.keys()
        with self._lock:
            return iter(list(self._memory))

    def path_of(self, key: str) -> Path:
        """Where the entry of `key` lies or would lie.

        Raises
        ------
        StoreError
            Not a key of `make_key`, or a cache without a folder.
        """
        if self._disk is None:
            raise StoreError("This cache is in memory only and has no files; make it with a folder.")
        return self._disk.path_of(key)

    def get(self, key: str) -> Embedding | None:
        """The embedding, float32 and read-only, or None. A damaged file goes to quarantine and is a miss.

        Raises
        ------
        StoreError
            The file is there and cannot be opened; it is left as it is.
        """
        embedding = self._find(key)
        self._count("misses" if embedding is None else "hits")
        return embedding

    def put(self, key: str, embedding: Embedding, *, about: Mapping[str, str]) -> Embedding:
        """Keep an embedding, and give it back as `get` will: through the storage dtype.

        Parameters
        ----------
        about : mapping of str to str
            What the file's header should say besides the embedding: pixel_hash, model, recipe, filename …

        Raises
        ------
        ModelError
            Values that are not finite, or that float16 cannot hold.
        SessionReadOnly, StoreError
            The folder cannot be written, or the disk is full. Earlier entries are as they were.
        """
        check_key(key)
        if self._disk is None:
            kept = as_stored(embedding, self.dtype)
        else:
            raw = pack(key, embedding, dtype=self.dtype, about=about)
            kept = unpack(raw, key)
            self._disk.write(key, raw)
        self._remember(key, kept)
        return kept

    def get_or_compute(
        self, key: str, compute: Callable[[], Embedding], *, about: Mapping[str, str]
    ) -> tuple[Embedding, bool]:
        """The embedding, computed by one at most of the threads and processes that ask for it.

        Returns
        -------
        embedding : Embedding
            As `get` gives it.
        hit : bool
            False for the one call that ran `compute`.

        Raises
        ------
        Exception
            What `compute` raised, here and in every thread that waited for it; the next call tries again.
        SessionReadOnly, StoreError
            As `put`; a folder that cannot be written is found out before computing.
        """
        while True:
            if (embedding := self._find(key)) is not None:
                self._count("hits")
                return embedding, True
            mine: Future[Embedding] = Future()
            with self._lock:
                future = self._running.setdefault(key, mine)
            if future is mine:
                return self._lead(key, mine, compute, about)
            try:
                embedding = future.result()
            except CancelledError:  # the thread that computed was interrupted: ask again
                continue
            self._count("hits")
            return embedding, True

    def remove(self, key: str) -> bool:
        """Forget one entry, on disk and in memory; True if there was one."""
        in_memory = self._forget(check_key(key))
        return in_memory if self._disk is None else self._disk.remove(key)

    def clear_memory(self) -> None:
        """Free the memory; the folder keeps its entries. Without a folder this empties the cache."""
        with self._lock:
            self._memory.clear()
            self._memory_bytes = 0

    def stats(self) -> CacheStats:
        """Count what is there (lists the whole folder) and what was done."""
        sizes = None if self._disk is None else list(self._disk.sizes())
        with self._lock:
            held, held_bytes, counts = len(self._memory), self._memory_bytes, dict(self._counts)
        if sizes is None:
            return CacheStats(held, held_bytes, held, held_bytes, **counts)
        return CacheStats(len(sizes), sum(sizes), held, held_bytes, **counts)

    def check(self, *, fix: bool = False) -> CacheReport:
        """Read and verify every file.

        Parameters
        ----------
        fix : bool
            Move damaged entries to quarantine and delete temporary files older than an hour.

        Raises
        ------
        SessionReadOnly, StoreError
            With `fix`, when the folder cannot be written.
        """
        return CacheReport(len(self), fixed=fix) if self._disk is None else self._disk.check(fix=fix)

    def _lead(
        self, key: str, future: Future[Embedding], compute: Callable[[], Embedding], about: Mapping[str, str]
    ) -> tuple[Embedding, bool]:
        try:
            with self._one_process(key):
                embedding = self._find(key)  # another may have published it since we looked
                hit = embedding is not None
                if embedding is None:
                    embedding = self.put(key, compute(), about=about)
        except BaseException as error:
            self._running.pop(key, None)
            if isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.cancel()
            raise
        self._running.pop(key, None)
        future.set_result(embedding)
        self._count(*(("hits",) if hit else ("misses", "computed")))
        return embedding, hit

    def _one_process(self, key: str) -> AbstractContextManager[None]:
        return nullcontext() if self._disk is None else self._disk.one_process(key)

    def _find(self, key: str) -> Embedding | None:
        if self._disk is not None and key not in self._disk:
            self._forget(key)
            return None
        with self._lock:
            if (embedding := self._memory.get(check_key(key))) is not None:
                self._memory.move_to_end(key)
                return embedding
        return None if self._disk is None else self._load(self._disk, key)

    def _load(self, disk: EntryFolder, key: str) -> Embedding | None:
        try:
            embedding = disk.read(key)
        except EntryDamaged:
            self._count("quarantined")
            return None
        if embedding is not None:
            self._remember(key, embedding)
        return embedding

    def _remember(self, key: str, embedding: Embedding) -> None:
        fits = embedding.nbytes <= self._memory_limit  # one too large would push out all others, then itself
        with self._lock:
            self._drop(key)
            if not fits:
                return
            self._memory[key] = embedding
            self._memory_bytes += embedding.nbytes
            while self._memory_bytes > self._memory_limit or len(self._memory) > self._max_entries:
                self._drop(next(iter(self._memory)))

    def _forget(self, key: str) -> bool:
        with self._lock:
            return self._drop(key)

    def _drop(self, key: str) -> bool:
        """With the lock held."""
        embedding = self._memory.pop(key, None)
        self._memory_bytes -= 0 if embedding is None else embedding.nbytes
        return embedding is not None

    def _count(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._counts[name] += 1


_caches: weakref.WeakSet[EmbeddingCache] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for cache in list(_caches):
        cache._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def _max_entries_from_environment() -> int:
    text = os.environ.get("EMBED_CACHE_MAX", "").strip()
    if not text:
        return DEFAULT_MAX_ENTRIES
    if not text.isdecimal():
        raise StoreError(f"EMBED_CACHE_MAX: expected how many embeddings to keep in memory; got {text!r}.")
    return int(text)
