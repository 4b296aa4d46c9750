"""Categories and attributes as a JSON file, to begin another session with the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic_files import write_atomic
from ..errors import AnyPath, FormatError, StoreError
from ..json_files import encoding_of, read_json
from ..records import AttributeRecord, CategoryRecord
from .attributes import as_declared, from_declared

_KIND = "a file of categories"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Labels:
    """What a file of categories holds: (name, colour or None) of each category, and the attributes."""

    categories: tuple[tuple[str, str | None], ...]
    attributes: tuple[AttributeRecord, ...] = ()


def write_labels(path: AnyPath, categories: Iterable[CategoryRecord], attributes: Iterable[AttributeRecord]) -> Path:
    """Write categories and attributes in their order. Raises `StoreError` where the file cannot be written."""
    values = {
        "categories": [{"name": record.name, "color": record.color} for record in categories],
        "attributes": [as_declared(record) for record in attributes],
    }
    place = Path(path).expanduser()
    try:
        return write_atomic(place, json.dumps(values, indent=1).encode("ascii"))
    except (OSError, ValueError) as error:  # a name with NUL
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{place}: cannot be written ({reason}). Choose another place.") from error


def read_labels(path: AnyPath) -> Labels:
    """The categories of a file: of `write_labels`, the ``categories`` of a COCO file, or a text file of a name a line.

    Raises
    ------
    FormatError
        Something else, or it cannot be read.
    """
    place = Path(path).expanduser()
    try:
        if place.suffix.lower() != ".json":
            content = place.read_bytes()
            names = content.decode(encoding_of(content)).splitlines()
            return Labels(tuple((name.strip(), None) for name in names if name.strip()))
        document = read_json(place)
    except OSError as error:
        raise FormatError(place, _KIND, f"it cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise FormatError(place, _KIND, f"it is neither JSON nor a name a line ({error})") from error
    try:
        listed = document["categories"]
        if not isinstance(listed, list):
            raise TypeError("no list of categories")
        categories = tuple(_category(each) for each in listed)
        return Labels(categories, tuple(from_declared(each) for each in document.get("attributes", ())))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError(place, _KIND, 'expected {"categories": [{"name": "coin"}, …]}') from error


def _category(value: Any) -> tuple[str, str | None]:
    if isinstance(value, str):
        return value, None
    name, color = value["name"], value.get("color")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("a category without a name")
    # Other tools write colours as numbers, or by name; the category is no less good for it.
    return name.strip(), color if isinstance(color, str) and _COLOR.fullmatch(color) else None
