"""`VerdictCatalog`: the part of the catalog for decisions on look-alikes."""

from __future__ import annotations

from sqlalchemy import delete, select

from ..errors import SamePixels
from ..records import Verdict
from .database import Database
from .tables import verdict_table
from .values import now


class VerdictCatalog:
    """Verdicts of a `Catalog`: whether two pictures that look alike are the same."""

    _database: Database

    def save_verdict(self, first: str, second: str, *, same: bool, distance: int) -> None:
        """Keep whether two pictures, by pixel hash in any order, are the same; replaces an earlier verdict.

        Raises
        ------
        SamePixels
            Both are one picture.
        """
        if first == second:
            raise SamePixels(first, second)
        kept = {"same": int(same), "distance": int(distance), "decided_at": now()}
        pair = {"first_hash": min(first, second), "second_hash": max(first, second)}
        with self._database.write() as connection:
            insert = self._database.insert(verdict_table).values(**pair, **kept)
            connection.execute(insert.on_conflict_do_update(index_elements=[*pair], set_=kept))

    def verdicts(self) -> list[Verdict]:
        """All verdicts, the oldest first."""
        columns = verdict_table.c
        query = select(verdict_table).order_by(columns.decided_at, columns.first_hash, columns.second_hash)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings()
            return [Verdict(**{**row, "same": bool(row["same"])}) for row in rows]

    def forget_verdict(self, first: str, second: str) -> bool:
        """Delete the verdict on two pictures; False if there is none."""
        columns = verdict_table.c
        pair = columns.first_hash == min(first, second), columns.second_hash == max(first, second)
        with self._database.write() as connection:
            return bool(connection.execute(delete(verdict_table).where(*pair)).rowcount)
