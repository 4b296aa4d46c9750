"""A manifest: a file that lists pictures, one a row, by address or path; for sets that are too large to be listed.

A text has one on each line. A CSV or Parquet file has a column of one of `COLUMNS`; a CSV without such a header is
read as its first column. What is no address and no absolute path is looked for beside the manifest.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from ..errors import ImageError, ImageUnreadable, PackageMissing
from ..images.files import open_file
from ..json_files import encoding_of
from ..remote_files import is_address

COLUMNS = ("address", "path", "url", "uri", "file", "file_name", "filename", "image")
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
_LONGEST = 1 << 20  # characters of a line


def is_manifest(path: str) -> bool:
    """True for the name of a manifest, False for a folder of such a name.

    >>> is_manifest("plates.csv"), is_manifest("s3://lab/plates.parquet"), is_manifest("a.png")
    (True, True, False)
    """
    return path.partition("?")[0].lower().endswith(SUFFIXES) and not os.path.isdir(path)


def as_path(text: str) -> str:
    """The path that ``file://…`` means; any other address or path as it is.

    >>> as_path("s3://lab/a.png")
    's3://lab/a.png'

    Raises
    ------
    ImageError
        It names another computer.
    """
    if not text.lower().startswith("file://"):
        return text
    host, slash, path = text[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise ImageError(
            f"{text}: expected file:/// and the whole path of a file on this computer; got {host!r} as the computer's "
            "name. Give the path that the file has here, such as that of a mounted share."
        )
    return url2pathname(slash + path)


def listed_in(path: str) -> Iterator[str]:
    """The addresses and paths of a manifest, in its order, as an iterator: the whole is never in memory.

    Raises
    ------
    ImageError
        It cannot be read, or has no column of pictures.
    PackageMissing
        Parquet without pyarrow.
    """
    place = _folder_of(path)
    for entry in _entries(path):
        if entry := entry.strip():
            yield entry if is_address(entry) or os.path.isabs(entry) else place + entry


def _entries(path: str) -> Iterator[str]:
    kind = path.partition("?")[0].lower().rpartition(".")[2]
    with open_file(path) as file, ExitStack() as stack:
        if kind == "parquet":
            yield from _of_parquet(file, path)
            return
        raw: Any = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
        # Closed with the file: a generator may be given up before its end.
        encoding = encoding_of(raw.read(2))
        raw.seek(0)
        text = stack.enter_context(io.TextIOWrapper(raw, encoding))
        try:
            if kind == "txt":
                yield from (line for line in _lines(text, path) if not line.startswith("#"))
            else:
                lines = _lines(text, path)
                head = next(lines, "")
                delimiter = _delimiter(head, "\t" if kind == "tsv" else ",")
                yield from _of_csv(csv.reader(chain([head], lines), delimiter=delimiter), path)
        except (UnicodeError, csv.Error) as error:
            raise ImageUnreadable(path, f"not a list of pictures in UTF-8 ({error})") from error


def _lines(text: io.TextIOWrapper, path: str) -> Iterator[str]:
    while line := text.readline(_LONGEST):
        if len(line) == _LONGEST and not line.endswith("\n"):
            raise ImageUnreadable(
                path, f"a line of it has more than {_LONGEST:,} characters, so it is no list of pictures"
            )
        yield line


def _delimiter(head: str, usual: str) -> str:
    """What is between the cells: a spreadsheet saves a table with semicolons where the comma is in numbers.

    Only the name of a column shows it: a semicolon may be a part of an address or of another column's name.
    """
    for mark in (usual, ";", "\t"):
        if _column(next(csv.reader([head], delimiter=mark), [])) is not None:
            return mark
    return usual


def _column(header: list[str]) -> int | None:
    """Which column has the pictures."""
    names = [name.strip().lower() for name in header]
    return next((names.index(name) for name in COLUMNS if name in names), None)


def _of_csv(rows: Iterator[list[str]], path: str) -> Iterator[str]:
    header = next(rows, None)
    if not header:
        raise ImageUnreadable(path, "an empty list of pictures")
    column = _column(header)
    if column is None:
        if len(header) > 1 and not is_address(header[0]):
            raise _no_column(path, header)
        column = 0
        yield header[0]
    for row in rows:
        if len(row) > column:
            yield row[column]


def _of_parquet(file: Any, path: str) -> Iterator[str]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise PackageMissing(
            "A list of pictures in Parquet", "pyarrow", "parquet", "One that ends in .csv or .txt needs nothing."
        ) from error
    try:
        table = parquet.ParquetFile(file)
        name = next((one for one in COLUMNS if one in table.schema_arrow.names), None)
        if name is None:
            raise _no_column(path, table.schema_arrow.names)
        for batch in table.iter_batches(columns=[name]):
            yield from (str(value) for value in batch.column(0).to_pylist() if value is not None)
    except ArrowException as error:
        raise ImageUnreadable(path, f"not a Parquet file ({error})") from error


def _no_column(path: str, found: list[str]) -> ImageError:
    return ImageError(
        f"{path}: expected a column named {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}; got "
        f"{', '.join(map(str, found[:12]))}. Rename the column that has the addresses of the pictures."
    )


def _folder_of(path: str) -> str:
    if is_address(path):
        return path.partition("?")[0].rpartition("/")[0] + "/"
    return f"{Path(path).absolute().parent}{os.sep}"
