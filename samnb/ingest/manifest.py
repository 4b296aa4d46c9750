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
    """
    if not text.lower().startswith("file://"):
        return text
    return url2pathname(text[len("file://") :].removeprefix("localhost"))


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
        if entry := as_path(entry.strip()):
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
                yield from (line for line in text if not line.startswith("#"))
            else:
                head = text.readline()
                # A spreadsheet saves a table with semicolons where the comma is in numbers.
                delimiter = max("\t" if kind == "tsv" else ",", ";", "\t", key=head.count)
                yield from _of_csv(csv.reader(chain([head], text), delimiter=delimiter), path)
        except (UnicodeError, csv.Error) as error:
            raise ImageUnreadable(path, f"not a list of pictures in UTF-8 ({error})") from error


def _of_csv(rows: Iterator[list[str]], path: str) -> Iterator[str]:
    header = next(rows, None)
    if not header:
        raise ImageUnreadable(path, "an empty list of pictures")
    names = [name.strip().lower() for name in header]
    column = next((names.index(name) for name in COLUMNS if name in names), None)
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
