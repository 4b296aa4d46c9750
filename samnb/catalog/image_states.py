"""`ImageStateCatalog`: the part of the catalog for what a person said of an image: done, empty, skip."""

from __future__ import annotations

from sqlalchemy import func, select

from ..errors import UnknownName
from ..records import EMPTY, REJECTED, STATES
from .database import Database
from .image_queries import checked_image_ids, dataset_id_of
from .tables import annotation_table, dataset_table, image_state_table, image_table
from .values import now

# An image called empty that got an object is open again.
_OBJECTS = select(annotation_table.c.id).where(
    annotation_table.c.image_id == image_state_table.c.image_id, annotation_table.c.review != REJECTED
)
_COUNTS = (image_state_table.c.state != "") & ~((image_state_table.c.state == EMPTY) & _OBJECTS.exists())


class ImageStateCatalog:
    """States of images in a `Catalog`."""

    _database: Database

    def save_image_state(self, image_id: str, state: str) -> None:
        """Give an image a state of `samnb.records.STATES`; "" makes it open again.

        Raises
        ------
        UnknownName
            No such state, or no such image.
        """
        if state not in STATES:
            raise UnknownName("state of an image", state, STATES)
        with self._database.write() as connection:
            checked_image_ids(connection, [image_id])
            row = {"image_id": image_id, "state": state}
            self._database.upsert(connection, image_state_table, [row], key=["image_id"])

    def image_states(self, dataset: str | None = None) -> dict[str, str]:
        """The state by image id; images that are open are left out. Raises `UnknownName` for a dataset."""
        query = select(image_state_table.c.image_id, image_state_table.c.state).where(_COUNTS)
        with self._database.read() as connection:
            if dataset is not None:
                here = image_table.c.dataset_id == dataset_id_of(connection, dataset)
                query = query.join(image_table, image_table.c.id == image_state_table.c.image_id).where(here)
            return {row.image_id: row.state for row in connection.execute(query)}

    def note_opened(self, image_id: str) -> None:
        """Record that a person has this image open now. An image that was removed meanwhile is left out."""
        with self._database.write() as connection:
            if connection.scalar(select(image_table.c.id).where(image_table.c.id == image_id)) is not None:
                row = {"image_id": image_id, "opened_at": now()}
                self._database.upsert(connection, image_state_table, [row], key=["image_id"])

    def opened_last(self, dataset: str | None = None) -> str | None:
        """The id of the image that a person opened last; None: none yet. Raises `UnknownName` for a dataset."""
        opened = image_state_table.c.opened_at
        query = select(image_state_table.c.image_id).where(opened.is_not(None)).order_by(opened.desc()).limit(1)
        with self._database.read() as connection:
            if dataset is not None:
                here = image_table.c.dataset_id == dataset_id_of(connection, dataset)
                query = query.join(image_table, image_table.c.id == image_state_table.c.image_id).where(here)
            return connection.scalar(query)

    def count_states(self) -> dict[str, dict[str, int]]:
        """The number of images by dataset and state, without those that are open."""
        state = image_state_table.c.state
        query = select(dataset_table.c.name, state, func.count()).where(_COUNTS).group_by(dataset_table.c.name, state)
        query = query.select_from(image_state_table.join(image_table).join(dataset_table))
        found: dict[str, dict[str, int]] = {}
        with self._database.read() as connection:
            for name, its_state, count in connection.execute(query):
                found.setdefault(name, {})[its_state] = int(count)
        return found

    def count_categories(self) -> dict[str, dict[str, int]]:
        """The number of annotations by dataset and category, without rejected ones."""
        category = annotation_table.c.category
        query = select(dataset_table.c.name, category, func.count()).where(annotation_table.c.review != REJECTED)
        query = query.select_from(annotation_table.join(image_table).join(dataset_table))
        found: dict[str, dict[str, int]] = {}
        with self._database.read() as connection:
            for name, its_category, count in connection.execute(query.group_by(dataset_table.c.name, category)):
                found.setdefault(name, {})[its_category] = int(count)
        return found
