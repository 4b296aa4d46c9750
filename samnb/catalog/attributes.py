"""`AttributeCatalog`: the part of the catalog for the attributes that annotations can have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, select, update

from ..errors import NameTaken, PromptError, UnknownName, WorkWouldBeLost
from ..records import CHOICE, FLAG, TEXT, AttributeRecord
from .database import Database
from .tables import annotation_table, attribute_table
from .values import to_json

KINDS = (FLAG, CHOICE, TEXT)


class AttributeCatalog:
    """Attributes of a `Catalog`."""

    _database: Database

    def attributes(self) -> list[AttributeRecord]:
        """The declared attributes in their order."""
        with self._database.read() as connection:
            return _records(connection)

    def save_attribute(self, name: str, kind: str, choices: Sequence[str] = ()) -> AttributeRecord:
        """Declare an attribute; one that is there gets these choices.

        Raises
        ------
        PromptError
            An empty name; a choice without choices; choices of another kind.
        UnknownName
            No such kind.
        NameTaken
            It is there with another kind.
        """
        name, choices = name.strip(), tuple(dict.fromkeys(choice.strip() for choice in choices))
        if not name:
            raise PromptError("attribute: expected a name such as 'occluded'; got an empty one.")
        if kind not in KINDS:
            raise UnknownName("kind of attribute", kind, KINDS)
        if (kind == CHOICE) != bool(choices) or "" in choices:
            raise PromptError(f"attribute {name!r}: a {kind} has {'one or more' if kind == CHOICE else 'no'} choices.")
        with self._database.write() as connection:
            there = {record.name: record for record in _records(connection)}
            if name in there and there[name].kind != kind:
                raise NameTaken(f"{there[name].kind} attribute", name)
            place = there[name].position if name in there else len(there)
            row = {"name": name, "kind": kind, "choices": to_json(choices), "position": place}
            self._database.upsert(connection, attribute_table, [row], key=["name"], keep=["position"])
        return AttributeRecord(name, kind, choices, place)

    def have_attributes(self, wanted: Iterable[AttributeRecord]) -> list[str]:
        """Declare those whose names are not declared yet, in this order; returns their names."""
        there = {record.name for record in self.attributes()}
        first: dict[str, AttributeRecord] = {}
        for record in wanted:
            first.setdefault(record.name.strip(), record)
        new = [record for name, record in first.items() if name not in there]
        return [self.save_attribute(record.name, record.kind, record.choices).name for record in new]

    def remove_attribute(self, name: str, *, discard: bool = False) -> None:
        """Remove an attribute, with `discard` also from the annotations that have it.

        Raises
        ------
        UnknownName
            There is none of that name.
        WorkWouldBeLost
            Annotations have it, and `discard` is False.
        """
        with self._database.write() as connection:
            names = [record.name for record in _records(connection)]
            if name not in names:
                raise UnknownName("attribute", name, names)
            those = {id: values for id, values in _values(connection) if name in values}
            if those and not discard:
                way = "Keep them with session.export('coco', path), or call again with discard=True."
                raise WorkWouldBeLost(f"attribute {name!r}", len(those), way, lost="value{s} of annotations")
            for id, values in those.items():
                del values[name]
                this_one = annotation_table.c.id == id
                connection.execute(update(annotation_table).where(this_one).values(attributes=to_json(values)))
            connection.execute(delete(attribute_table).where(attribute_table.c.name == name))


def _records(connection: Connection) -> list[AttributeRecord]:
    query = select(attribute_table).order_by(attribute_table.c.position, attribute_table.c.name)
    return [
        AttributeRecord(row.name, row.kind, tuple(json.loads(row.choices)), place)
        for place, row in enumerate(connection.execute(query))
    ]


def _values(connection: Connection) -> Iterable[tuple[int, dict[str, bool | str]]]:
    query = select(annotation_table.c.id, annotation_table.c.attributes).where(annotation_table.c.attributes != "{}")
    return [(row.id, json.loads(row.attributes)) for row in connection.execute(query)]
