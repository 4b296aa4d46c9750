"""Values of attributes, checked against what was declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import PromptError, UnknownName
from ..records import CHOICE, FLAG, TEXT, AttributeRecord

Values = dict[str, bool | str]


def as_declared(record: AttributeRecord) -> dict[str, Any]:
    """A declaration for a JSON file.

    Examples
    --------
    >>> from_declared(as_declared(AttributeRecord("side", "choice", ("left", "right"))))
    AttributeRecord(name='side', kind='choice', choices=('left', 'right'), position=0)
    """
    choices = {"choices": [*record.choices]} if record.choices else {}
    return {"name": record.name, "kind": record.kind, **choices}


def from_declared(value: Mapping[str, Any]) -> AttributeRecord:
    """The attribute of a declaration from a JSON file; `KeyError`, `TypeError` or `ValueError` if it is none."""
    record = AttributeRecord(
        str(value["name"]), str(value.get("kind", FLAG)), tuple(map(str, value.get("choices", ())))
    )
    if record.kind not in (FLAG, CHOICE, TEXT):
        raise ValueError(f"an attribute of kind {record.kind!r}")
    if not record.name.strip() or any(not choice.strip() for choice in record.choices):
        raise ValueError("an attribute, or a choice, without a name")
    if (record.kind == CHOICE) != bool(record.choices):
        raise ValueError(f"a {record.kind} with {len(record.choices)} choices")
    return record


def checked_attributes(values: Mapping[str, Any], declared: Iterable[AttributeRecord]) -> Values:
    """The values in the order of their declarations; False and "" are left out, since they are what is not said.

    Raises
    ------
    UnknownName
        An attribute, or a choice, that was not declared.
    PromptError
        A flag that is no bool; another value that is no text.

    Examples
    --------
    >>> occluded, side = AttributeRecord("occluded"), AttributeRecord("side", "choice", ("left", "right"))
    >>> checked_attributes({"side": "left", "occluded": False}, [occluded, side])
    {'side': 'left'}
    """
    known = {record.name: record for record in declared}
    for name in values:
        if name not in known:
            raise UnknownName("attribute", name, known)
    checked = {name: _checked(record, values[name]) for name, record in known.items() if name in values}
    return {name: value for name, value in checked.items() if value}


def _checked(record: AttributeRecord, value: Any) -> bool | str:
    if record.kind == FLAG:
        if not isinstance(value, bool | np.bool_):
            raise PromptError(f"attribute {record.name!r}: expected True or False; got {value!r}.")
        return bool(value)
    if not isinstance(value, str):
        raise PromptError(f"attribute {record.name!r}: expected a text; got {value!r}. str(…) makes one.")
    if record.kind == CHOICE and value and value not in record.choices:
        raise UnknownName(f"choice of attribute {record.name!r}:", value, record.choices)
    return value
