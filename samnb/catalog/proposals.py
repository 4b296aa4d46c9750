"""`ProposalCatalog`: the part of the catalog for proposals and the searches that made them.

Both belong to a picture, by its pixel hash, and not to an image of a dataset: like embeddings, they are made once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from ..errors import UnknownName
from ..records import ACCEPTED, REJECTED, AnnotationRecord, NewAnnotation, NewProposal, ProposalRecord
from .annotation_queries import annotation_records, insert_annotations
from .database import Database
from .tables import annotation_table, proposal_table, search_table
from .values import batches, now, to_json

_KEY = ("pixel_hash", "model", "search")
_COLUMNS = (*proposal_table.c, search_table.c.query, search_table.c.created_at)
_AS_JSON = ("rle", "bbox", "prompt", "query")


class ProposalCatalog:
    """Proposals of a `Catalog`."""

    _database: Database

    def finish_search(
        self, pixel_hash: str, model: str, search: str, query: Mapping[str, Any], found: Sequence[NewProposal]
    ) -> bool:
        """Save what a search found on one picture, and that it is done, in one transaction.

        Until `Catalog.sync`, a power cut may lose it as a whole; the picture is then searched again.

        Returns
        -------
        bool
            False if the search was done there already, by another process for example: nothing is written then.
        """
        key = dict(zip(_KEY, (pixel_hash, model, search), strict=True))
        row = {**key, "query": to_json(query), "created_at": now()}
        insert = self._database.insert(search_table).values(row).on_conflict_do_nothing(index_elements=list(_KEY))
        # Not rowcount, which PostgreSQL's driver leaves open here.
        insert = insert.returning(search_table.c.search)
        with self._database.write(durable=False) as connection:
            if connection.scalar(insert) is None:
                return False
            for batch in batches(found):
                connection.execute(proposal_table.insert(), [key | _values(one) for one in batch])
        return True

    def searched(self, model: str, search: str) -> set[str]:
        """Pixel hashes of the pictures on which a search is done."""
        query = select(search_table.c.pixel_hash).where(search_table.c.model == model, search_table.c.search == search)
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def proposals(
        self,
        *,
        pixel_hashes: Collection[str] | None = None,
        model: str | None = None,
        search: str | None = None,
        rejected: bool = False,
    ) -> list[ProposalRecord]:
        """Proposals in the order they were found; each keyword that is not None narrows. Rejected ones on request."""
        columns = {"model": model, "search": search}
        wanted = [proposal_table.c[name] == value for name, value in columns.items() if value is not None]
        if not rejected:
            wanted.append(proposal_table.c.review != REJECTED)
        some = [None] if pixel_hashes is None else list(batches(sorted(pixel_hashes)))
        with self._database.read() as connection:
            here = ([] if batch is None else [proposal_table.c.pixel_hash.in_(batch)] for batch in some)
            records = [record for narrow in here for record in _records(connection, *wanted, *narrow)]
        return sorted(records, key=lambda record: record.id)

    def review_proposals(self, ids: Iterable[int], review: str) -> list[ProposalRecord]:
        """Set what a person decided on proposals: "", "accepted" or "rejected".

        Raises
        ------
        UnknownName
            One of them is gone; nothing is changed then.
        """
        with self._database.write() as connection:
            return _review(connection, ids, review)

    def accept_proposals(self, ids: Iterable[int], new: Sequence[NewAnnotation]) -> list[AnnotationRecord]:
        """Mark proposals as accepted and save annotations made of them, all or none.

        Returns
        -------
        list of AnnotationRecord
            One for each mask of an image: where it is annotated already, by another process for example, that one.

        Raises
        ------
        UnknownName
            A proposal or an image is gone.
        """
        rows = {(one.image_id, to_json(one.rle)): one for one in new}
        with self._database.write() as connection:
            _review(connection, ids, ACCEPTED)
            there = {
                (one.image_id, to_json(one.rle)): one
                for image_id in dict.fromkeys(one.image_id for one in new)
                for one in annotation_records(connection, annotation_table.c.image_id == image_id)
            }
            lacking = [key for key in rows if key not in there]
            saved = insert_annotations(connection, [rows[key] for key in lacking])
        there |= zip(lacking, saved, strict=True)
        return [there[key] for key in rows]

    def forget_proposals(
        self, *, pixel_hashes: Collection[str] | None = None, model: str | None = None, search: str | None = None
    ) -> int:
        """Remove searches with all their proposals, so that they are done again; returns the number of searches."""
        columns = {"model": model, "search": search}
        wanted = [search_table.c[name] == value for name, value in columns.items() if value is not None]
        some = [None] if pixel_hashes is None else list(batches(sorted(pixel_hashes)))
        gone = 0
        with self._database.write() as connection:
            for batch in some:
                here = [] if batch is None else [search_table.c.pixel_hash.in_(batch)]
                gone += connection.execute(delete(search_table).where(*wanted, *here)).rowcount
        return gone


def _review(connection: Connection, ids: Iterable[int], review: str) -> list[ProposalRecord]:
    numbers = sorted(set(ids))
    for batch in batches(numbers):
        connection.execute(update(proposal_table).where(proposal_table.c.id.in_(batch)).values(review=review))
    records = [r for batch in batches(numbers) for r in _records(connection, proposal_table.c.id.in_(batch))]
    if gone := set(numbers) - {record.id for record in records}:
        # Its search was forgotten: who shows it has to search again.
        raise UnknownName("proposal (search again, it was forgotten):", min(gone), [str(r.id) for r in records])
    return records


def _values(found: NewProposal) -> dict[str, Any]:
    return {
        "rle": to_json(found.rle),
        "bbox": to_json(found.bbox),
        "area": int(found.area),
        "score": float(found.score),
        "prompt": to_json(found.prompt),
        "stability": float(found.stability),
    }


def _records(connection: Connection, *wanted: Any) -> list[ProposalRecord]:
    query = select(*_COLUMNS).select_from(proposal_table.join(search_table)).where(*wanted)
    return [_record(row) for row in connection.execute(query.order_by(proposal_table.c.id)).mappings()]


def _record(row: RowMapping) -> ProposalRecord:
    from_json = {name: json.loads(row[name]) for name in _AS_JSON}
    return ProposalRecord(**{**row, **from_json, "bbox": tuple(from_json["bbox"])})
