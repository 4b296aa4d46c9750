"""`CategoryCatalog`: the part of the catalog for categories, with their order and colours.

A category exists when it was saved, or when an annotation is of it. Saving one saves all that are in use, so that
the position or colour of one never changes because of another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, func, select, update

from ..errors import NameTaken, PromptError, UnknownName, WorkWouldBeLost
from ..records import BY_HAND, REJECTED, CategoryRecord
from .database import Database
from .tables import annotation_table, category_table
from .templates import rename_category_in_templates
from .values import now

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class CategoryCatalog:
    """Categories of a `Catalog`."""

    _database: Database

    def categories(self) -> list[str]:
        """Category names: the saved ones in their order, then the others by their first annotation."""
        return [record.name for record in self.category_records()]

    def category_records(self) -> list[CategoryRecord]:
        """All categories with their colours, in their order; one that has none yet gets the next free one."""
        with self._database.read() as connection:
            return _records(connection)

    def category_used_last(self) -> str | None:
        """The category of the newest annotation made by hand; None: there is none."""
        by_hand = annotation_table.c.source == BY_HAND, annotation_table.c.review != REJECTED
        newest = select(annotation_table.c.category).where(*by_hand).order_by(annotation_table.c.id.desc()).limit(1)
        with self._database.read() as connection:
            name: str | None = connection.scalar(newest)
            return name

    def save_category(self, name: str, *, color: str | None = None, position: int | None = None) -> CategoryRecord:
        """Add a category, or give one another colour or position; what is left out stays.

        Parameters
        ----------
        color : str, optional
            "#rrggbb". For a new one: the next free colour of a palette that colour-blind people can distinguish.
        position : int, optional
            From 0; those from there on move down. For a new one: the last.

        Raises
        ------
        PromptError
            An empty name, or a colour that is none.
        """
        if not name.strip():
            raise PromptError("category: expected a name such as 'coin'; got an empty one.")
        if color is not None and not _COLOR.fullmatch(color):
            raise PromptError(f"color of {name!r}: expected '#rrggbb'; got {color!r}.")
        with self._database.write() as connection:
            colors = {record.name: record.color for record in _records(connection)}
            colors[name] = (color or colors.get(name) or _free_color(len(colors), colors.values())).lower()
            names = list(colors)
            if position is not None:
                names.remove(name)
                names.insert(max(0, position), name)
            records = [CategoryRecord(each, colors[each], place) for place, each in enumerate(names)]
            self._keep(connection, records)
            return records[names.index(name)]

    def have_categories(self, names: Iterable[str]) -> list[str]:
        """Save those that are not saved yet, after the others and in this order; returns the new ones."""
        with self._database.write() as connection:
            colors = {record.name: record.color for record in _records(connection)}
            new = [name for name in dict.fromkeys(names) if name.strip() and name not in colors]
            for name in new:
                colors[name] = _free_color(len(colors), colors.values())
            if new:
                records = [CategoryRecord(name, color, place) for place, (name, color) in enumerate(colors.items())]
                self._keep(connection, records)
            return new

    def rename_category(self, old: str, new: str) -> None:
        """Give a category another name, also in its annotations and templates; its position and colour stay.

        Raises
        ------
        UnknownName, NameTaken
            There is none of that name, or one of the new name.
        """
        if not new.strip():
            raise PromptError("category: expected a name such as 'coin'; got an empty one.")
        with self._database.write() as connection:
            records = _records(connection)
            names = [record.name for record in records]
            if old not in names:
                raise UnknownName("category", old, names)
            if new == old:
                return
            if new in names:
                raise NameTaken("category", new)
            self._keep(connection, records)
            connection.execute(update(category_table).where(category_table.c.name == old).values(name=new))
            of_it = annotation_table.c.category == old
            connection.execute(update(annotation_table).where(of_it).values(category=new))
            rename_category_in_templates(connection, old, new)

    def merge_category(self, name: str, into: str) -> int:
        """Give the annotations and templates of a category another one, and remove it; returns how many annotations.

        Raises
        ------
        UnknownName
            There is none of one of these names.
        """
        with self._database.write() as connection:
            records = _records(connection)
            names = [record.name for record in records]
            for each in (name, into):
                if each not in names:
                    raise UnknownName("category", each, names)
            if name == into:
                return 0
            self._keep(connection, records)
            of_it = annotation_table.c.category == name
            moved = connection.execute(update(annotation_table).where(of_it).values(category=into)).rowcount
            connection.execute(delete(category_table).where(category_table.c.name == name))
            rename_category_in_templates(connection, name, into)
            return moved

    def remove_category(self, name: str) -> None:
        """Remove a category.

        Raises
        ------
        UnknownName
            There is none of that name.
        WorkWouldBeLost
            There are annotations of it. Rejected ones do not count, and are removed with it.
        """
        of_it, rejected = annotation_table.c.category == name, annotation_table.c.review == REJECTED
        with self._database.write() as connection:
            count = select(func.count()).select_from(annotation_table).where(of_it, ~rejected)
            used = connection.scalars(count).one()
            if used:
                way = f"Remove them first, or give them another category with session.merge_category({name!r}, into)."
                raise WorkWouldBeLost(f"category {name!r}", used, way)
            gone = connection.execute(delete(annotation_table).where(of_it, rejected)).rowcount
            gone += connection.execute(delete(category_table).where(category_table.c.name == name)).rowcount
            if not gone:
                raise UnknownName("category", name, [record.name for record in _records(connection)])

    def _keep(self, connection: Connection, records: list[CategoryRecord]) -> None:
        rows = [{"name": r.name, "color": r.color, "position": r.position, "created_at": now()} for r in records]
        self._database.upsert(connection, category_table, rows, key=["name"], keep=["created_at"])


def _records(connection: Connection) -> list[CategoryRecord]:
    saved = select(category_table.c.name, category_table.c.color, category_table.c.created_at)
    saved = saved.order_by(category_table.c.position, category_table.c.created_at, category_table.c.name)
    rows = connection.execute(saved).all()
    colors: dict[str, str] = {row.name: row.color for row in rows}
    created: dict[str, str] = {row.name: row.created_at for row in rows}
    category = annotation_table.c.category
    used = select(category).group_by(category).order_by(func.min(annotation_table.c.id))
    for name in connection.scalars(used):
        if name not in colors:
            colors[name] = _free_color(len(colors), colors.values())
    return [
        CategoryRecord(name, color, place, created.get(name, "")) for place, (name, color) in enumerate(colors.items())
    ]


def _free_color(position: int, taken: Collection[str]) -> str:
    """The colour of that position, or the next that no other category has."""
    from ..masks import CATEGORY_COLORS, category_color  # loads OpenCV, for which opening a catalog need not wait

    candidates = (category_color(position + step) for step in range(len(CATEGORY_COLORS)))
    return next((color for color in candidates if color not in taken), category_color(position))
