"""`RawEntryMethods`: the methods of a cache that move entries as files and bytes, without their tensors."""

from __future__ import annotations

from pathlib import Path

from .entry import check_key, deserialize, verify
from .header import header_of
from .parts import CacheParts


class RawEntryMethods(CacheParts):
    """Entries as files and bytes."""

    def path_of(self, key: str) -> Path:
        """The path of the file of an entry, whether it exists or not.

        Parameters
        ----------
        key : str
            As for `get`.

        Returns
        -------
        Path
            Absolute: ``folder/ab/cd/<key>.safetensors``, where abcd are the first digits of the key.

        Raises
        ------
        StoreError
            `key` is not a key, or the cache has no folder.

        Examples
        --------
        >>> file = cache.path_of(key)
        >>> file.name == f"{key}.safetensors", file.is_file()
        (True, True)
        """
        return self._folder_of_files().path_of(key)

    def add_raw(self, key: str, raw: bytes) -> bool:
        """Store the bytes of an entry that come from another cache, after they were verified.

        Parameters
        ----------
        key : str
            As for `get`.
        raw : bytes
            Of a whole file, as `raw` returns them.

        Returns
        -------
        bool
            True if they were stored, False if a sound entry is here already.

        Raises
        ------
        EntryDamaged
            The bytes are not the unchanged entry of `key`. A StoreError, of `samnb.store.entry`.
        NoRoom, SessionReadOnly, StoreError
            As `put`.

        Examples
        --------
        >>> raw = cache.raw(key)
        >>> cache.add_raw(key, raw)
        False
        >>> cache.remove(key), cache.add_raw(key, raw), key in cache
        (True, True, True)
        """
        verify(raw, check_key(key))
        if key in self and self._find(key) is not None:
            return False
        if self._evictor is None:
            self._remember(key, deserialize(raw, key), raw)
        else:
            self._evictor.write(key, raw)
        self._observers.notify([header_of(raw).get("pixel_hash", "")])
        return True

    def raw(self, key: str) -> bytes | None:
        """The bytes of the file of an entry, not verified.

        Parameters
        ----------
        key : str
            As for `get`.

        Returns
        -------
        bytes or None
            None if there is no file.

        Raises
        ------
        StoreError
            `key` is not a key, the cache has no folder, or the file cannot be read.

        Examples
        --------
        The file is a safetensors file, whose header any of its readers shows:

        >>> cache.raw(key)[8:35]
        b'{"__metadata__":{"xxh3_128"'
        """
        return self._folder_of_files().read_raw(key)

    def publish(self, key: str) -> None:
        """Write an entry of the folder to the remote tiers, in the background: for what other processes stored here.

        `put` and `get_or_compute` do so by themselves. Without remote tiers, or without this entry, nothing happens.

        Parameters
        ----------
        key : str
            As for `get`.

        Raises
        ------
        StoreError
            There are remote tiers, and `key` is not a key or the file cannot be read.

        Examples
        --------
        >>> from samnb.cache import EmbeddingCache
        >>> (folder / "shared").mkdir()
        >>> sharing = EmbeddingCache(folder / "cache", remote=folder / "shared")
        >>> sharing.publish(key)
        >>> sharing.flush(), sharing.remote.contains(key)
        (0, True)
        >>> sharing.close()
        """
        if self.remote and self._disk is not None and (raw := self._disk.read_raw(key)) is not None:
            self.remote.publish(key, raw)

    def set_aside(self, key: str, reason: str) -> None:
        """Move an entry to quarantine whose file is sound, and whose content is wrong; remote tiers delete theirs.

        For an embedding that a faulty worker or model computed. It is computed again when it is next requested.

        Parameters
        ----------
        key : str
            As for `get`. Without such an entry the log says that there is nothing to move.
        reason : str
            For the log.

        Raises
        ------
        StoreError
            `key` is not a key. A file that cannot be moved is no error: it stays, and the log says so.

        Examples
        --------
        >>> cache.set_aside(key, "computed by a faulty worker")
        >>> key in cache, cache.stats().quarantined, cache.check().quarantined
        (False, 1, 1)
        """
        self._forget(check_key(key))
        self.remote.discard(key)
        if self._disk is not None and self._disk.set_aside(key, reason):
            self._count("quarantined")
