"""`ImageDetailsCatalog`: the part of the catalog for what is known of an image beyond its pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping, select

from ..errors import UnknownName
from ..records import ImageDetails, ImageRecord
from .database import Database
from .image_queries import file_names_near, image_records
from .tables import image_details_table, image_table
from .values import batches

_NONE = ImageDetails()


class ImageDetailsCatalog:
    """Stacks, mappings and pixel sizes of the images of a `Catalog`."""

    _database: Database

    def save_image_details(self, details: Mapping[str, ImageDetails]) -> None:
        """Keep the details of images, by id, in place of earlier ones. An image that was removed is left out."""
        for batch in batches(sorted(details)):
            with self._database.write() as connection:
                there = set(connection.scalars(select(image_table.c.id).where(image_table.c.id.in_(batch))))
                rows = [_row(image_id, details[image_id]) for image_id in batch if image_id in there]
                if rows:
                    self._database.upsert(connection, image_details_table, rows, key=["image_id"])

    def image_details(self, image_ids: Iterable[str]) -> dict[str, ImageDetails]:
        """The details of images, by id; one of which nothing is kept has empty ones."""
        wanted = list(dict.fromkeys(image_ids))
        found = dict.fromkeys(wanted, _NONE)
        with self._database.read() as connection:
            for batch in batches(wanted):
                query = select(image_details_table).where(image_details_table.c.image_id.in_(batch))
                found.update((row["image_id"], _details(row)) for row in connection.execute(query).mappings())
        return found

    def stack_of(self, image_id: str) -> list[tuple[ImageRecord, ImageDetails]]:
        """The images of one stack in one dataset, in the order of their places; only itself if it is in none.

        A stack that was added by several views has several images at a place: then those of the image's own view.

        Raises
        ------
        UnknownName
            No such image.
        """
        with self._database.read() as connection:
            itself = image_records(connection, image_table.c.id == image_id)
            if not itself:
                raise UnknownName("image", image_id, file_names_near(connection, image_id))
            here = image_details_table.c.image_id == image_id
            stack = connection.scalar(select(image_details_table.c.stack).where(here))
            ids = select(image_details_table.c.image_id).where(image_details_table.c.stack == stack)
            same = image_table.c.id.in_(ids), image_table.c.dataset_id == itself[0].dataset_id
            records = image_records(connection, *same) if stack else itself
        details = self.image_details(record.id for record in records)
        found = [(record, details[record.id]) for record in records]
        if len({tuple(one.place.values()) for one in details.values()}) < len(found):
            found = [one for one in found if one[1].mapping == details[image_id].mapping]
        return sorted(found, key=lambda one: (tuple(one[1].place.values()), one[0].position))


def _row(image_id: str, details: ImageDetails) -> dict[str, Any]:
    texts = {"place": json.dumps(dict(details.place)), "mapping": json.dumps(dict(details.mapping))}
    sizes = {name: float(getattr(details, name)) for name in ("x_um", "y_um", "z_um")}
    return {"image_id": image_id, "stack": details.stack, **texts, **sizes, "size_from": details.size_from}


def _details(row: RowMapping) -> ImageDetails:
    values = {name: row[name] for name in ("stack", "x_um", "y_um", "z_um", "size_from")}
    return ImageDetails(place=json.loads(row["place"]), mapping=json.loads(row["mapping"]), **values)
