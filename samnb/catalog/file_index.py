"""`FileIndex`: what was read of every file; an unchanged file is not read again, under any name, in any dataset.

A file is identified by computer, device, inode, size and times. If the time is a whole second (memory cards, unpacked
archives), another file may have the same values, so then the path must be the same too. If a changed file is still
taken for the old one, `samnb.images.pixel_cache.read_checked` detects it before anything is encoded.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from sqlalchemy import Row, RowMapping, delete, select, update

from ..errors import AnyPath, ImageError
from ..images import DECODER_VERSION
from ..images.addresses import file_name
from ..images.files import Status, status_of
from ..images.perceptual import PERCEPTUAL_VERSION
from ..records import ImageRecord, NewImage
from .database import Database
from .tables import dataset_table, file_table, image_table
from .values import batches, folded, path_text

_VERSIONS = f"{DECODER_VERSION}/{PERCEPTUAL_VERSION}"
_CHANGED = "@"  # in the column of the versions, before the time of change: rows of before have none
_IMAGE_NAMES = [f.name for f in fields(ImageRecord) if f.name != "dataset"]
_IMAGE_COLUMNS = [image_table.c[name] for name in _IMAGE_NAMES]
_READ = ("content_hash", "pixel_hash", "perceptual_hash", "perceptual_detail", "width", "height")


class FileStat(NamedTuple):
    """The values that identify an unchanged file; ``device`` and ``inode`` modulo 2**63, as databases store them.

    The time of change, ``ctime_ns``, shows what times that were put back hide (``rsync --inplace -t``).
    """

    path: str
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int = 0

    @classmethod
    def of(cls, path: AnyPath) -> FileStat:
        """The file, or object, as it is now. Raises `OSError` or `ImageError`."""
        return cls.from_status(path, status_of(path))

    @classmethod
    def from_status(cls, path: AnyPath, found: Status) -> FileStat:
        """The same from its status."""
        numbers = folded(found.st_dev), folded(found.st_ino), found.st_size, found.st_mtime_ns, found.st_ctime_ns
        return cls(os.fspath(path), *numbers)

    def is_of(self, read: ImageRecord | NewImage) -> bool:
        """Whether `read` was read from the file in this state."""
        same_file = self.mtime_ns == read.mtime_ns and self.size_bytes == read.size_bytes
        return same_file and self.inode == folded(read.inode)


class FileIndex:
    """The table of files that were read on this computer.

    Parameters
    ----------
    database : Database
    host : str, optional
        Name of the computer that the devices and inodes belong to; default this one.
    """

    def __init__(self, database: Database, *, host: str | None = None):
        self._database = database
        self._host = (platform.node() if host is None else host)[:64]

    def known(self, stamps: Sequence[FileStat]) -> dict[str, NewImage]:
        """By path, what was read of the files that are unchanged since."""
        found: dict[tuple[int, int], RowMapping] = {}
        with self._database.read() as connection:
            for device in {stamp.device for stamp in stamps}:
                here = file_table.c.host == self._host, file_table.c.device == device
                for batch in batches([stamp.inode for stamp in stamps if stamp.device == device]):
                    rows = connection.execute(select(file_table).where(*here, file_table.c.inode.in_(batch)))
                    found.update(((device, row["inode"]), row) for row in rows.mappings())
        return {
            stamp.path: _picture(stamp, row)
            for stamp in stamps
            if (row := found.get((stamp.device, stamp.inode))) is not None and _is_same(stamp, row)
        }

    def in_dataset(self, dataset: str, paths: Sequence[str]) -> dict[str, ImageRecord]:
        """The images of a dataset that have these paths, by path."""
        found: dict[str, ImageRecord] = {}
        with self._database.read() as connection:
            named = dataset_table.c.name == dataset
            dataset_id = connection.scalar(select(dataset_table.c.id).where(named))
            for batch in batches(paths) if dataset_id else ():
                here = image_table.c.dataset_id == dataset_id, image_table.c.path.in_(batch)
                # Without the join and the order of `image_records`: this is most of what adding again costs.
                for row in connection.execute(select(*_IMAGE_COLUMNS).where(*here)).all():
                    record = _image_record(row, dataset)
                    found[record.path] = record
        return found

    def remember(self, read: Mapping[FileStat, NewImage]) -> None:
        """Save what was read; a picture whose file changed before it was read is left out."""
        rows = list(self._rows(read))
        for batch in batches(rows):
            with self._database.write(durable=False) as connection:  # a file that is forgotten is read again
                insert = self._database.insert(file_table)
                renewed = {name: insert.excluded[name] for name in batch[0].keys() - {"host", "device", "inode"}}
                insert = insert.on_conflict_do_update(index_elements=["host", "device", "inode"], set_=renewed)
                connection.execute(insert, batch)

    def forget(self, path: str) -> None:
        """Forget what was read of a file, and when: adding it reads it again, whatever its size and time say."""
        with self._database.write(durable=False) as connection:
            connection.execute(update(image_table).where(image_table.c.path == path).values(mtime_ns=-1))
            connection.execute(delete(file_table).where(file_table.c.path == path))
            try:
                stamp = FileStat.of(path)
            except (OSError, ImageError):  # gone: its row cannot be found for another file, which has another time
                return
            same = file_table.c.device == stamp.device, file_table.c.inode == stamp.inode
            connection.execute(delete(file_table).where(file_table.c.host == self._host, *same))

    def _rows(self, read: Mapping[FileStat, NewImage]) -> Iterator[dict[str, Any]]:
        for stamp, picture in {(s.device, s.inode): (s, p) for s, p in read.items()}.values():
            if stamp.is_of(picture):
                row = {**stamp._asdict(), "path": path_text(stamp.path), "host": self._host}
                row["versions"] = f"{_VERSIONS}{_CHANGED}{row.pop('ctime_ns'):x}"
                yield row | {name: getattr(picture, name) for name in _READ}


def _image_record(row: Row[Any], dataset: str) -> ImageRecord:
    # Not through `__init__`: assigning to a frozen value one by one takes three times as long, for every file.
    record = object.__new__(ImageRecord)
    values = record.__dict__
    values.update(zip(_IMAGE_NAMES, row, strict=True), dataset=dataset)
    values["embedding_cached"], values["content_hash"] = bool(values["embedding_cached"]), values["content_hash"] or ""
    return record


def _is_same(stamp: FileStat, row: RowMapping) -> bool:
    whole_second = stamp.mtime_ns % 1_000_000_000 == 0
    unchanged = (row["size_bytes"], row["mtime_ns"]) == (stamp.size_bytes, stamp.mtime_ns)
    versions, _, changed = row["versions"].partition(_CHANGED)
    same_path = row["path"] == stamp.path
    # A rename is a change too; in place, times that were put back hide another content.
    unchanged = unchanged and (not same_path or changed in ("", f"{stamp.ctime_ns:x}"))
    return unchanged and versions == _VERSIONS and (not whole_second or same_path)


def _picture(stamp: FileStat, row: RowMapping) -> NewImage:
    return NewImage(
        path=stamp.path,
        filename=file_name(stamp.path),
        size_bytes=stamp.size_bytes,
        mtime_ns=stamp.mtime_ns,
        inode=stamp.inode,
        perceptual_version=PERCEPTUAL_VERSION,
        **{name: row[name] for name in _READ},
    )
