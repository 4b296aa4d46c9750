"""Attributes in the files of other tools: what is read from them, and what that declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..records import CHOICE, FLAG, TEXT, AttributeRecord

Values = dict[str, bool | str]


def values_in(record: Any) -> Values:
    """The attributes of an object in a file: flags, texts, and numbers as texts; others are left out.

    >>> values_in({"occluded": True, "side": "left", "age": 3, "track": [1]})
    {'occluded': True, 'side': 'left', 'age': '3'}
    """
    if not isinstance(record, Mapping):
        return {}
    return {
        name.strip(): value if isinstance(value, bool) else str(value)
        for name, value in record.items()
        if isinstance(name, str) and name.strip() and isinstance(value, bool | str | int | float)
    }


def records_in(declared: Any) -> tuple[AttributeRecord, ...]:
    """The attributes that a file of samnb declares; none where it does not."""
    records = []
    for each in declared if isinstance(declared, list) else []:
        if isinstance(each, Mapping) and isinstance(name := each.get("name"), str) and name.strip():
            choices = tuple(c for c in each.get("choices", ()) if isinstance(c, str) and c.strip())
            kind = CHOICE if choices else TEXT if each.get("kind") == TEXT else FLAG
            records.append(AttributeRecord(name.strip(), kind, choices))
    return tuple(records)


def inferred(objects: Iterable[Mapping[str, bool | str]]) -> list[AttributeRecord]:
    """What must be declared for these values: a flag where all are True or False, else a text.

    >>> [(each.name, each.kind) for each in inferred([{"occluded": False}, {"occluded": True, "note": "wet"}])]
    [('occluded', 'flag'), ('note', 'text')]
    """
    kinds: dict[str, str] = {}
    for values in objects:
        for name, value in values.items():
            kinds[name] = FLAG if isinstance(value, bool) and kinds.get(name, FLAG) == FLAG else TEXT
    return [AttributeRecord(name, kind) for name, kind in kinds.items()]


def fitting(values: Mapping[str, bool | str], declared: Iterable[AttributeRecord]) -> tuple[Values, list[str]]:
    """The values as the session declared them, and why others do not fit."""
    fits: Values = {}
    lost: list[str] = []
    known = {record.name: record for record in declared}
    for name, value in values.items():
        record = known[name]
        if record.kind == FLAG and not isinstance(value, bool):
            lost.append(f"its attribute {name!r} is {value!r}, and here it is a flag")
            continue
        text = value if record.kind == FLAG else str(value).lower() if isinstance(value, bool) else value
        if record.kind == CHOICE and text and text not in record.choices:
            lost.append(f"its attribute {name!r} is {text!r}, and the choices here are {', '.join(record.choices)}")
        elif text:
            fits[name] = text
    return fits, lost
