"""How many annotations there are, counted by the database: nobody wants to fetch a hundred thousand masks for that."""

from __future__ import annotations

from sqlalchemy import func, select

from ..records import REJECTED
from .catalog import Catalog
from .image_queries import dataset_called
from .tables import annotation_table, image_table

__all__ = ["annotations_by_image"]


def annotations_by_image(catalog: Catalog, dataset: str | None = None) -> dict[str, int]:
    """Number of annotations by image id; images without any are left out.

    Raises
    ------
    UnknownName
        No such dataset.
    """
    image_id = annotation_table.c.image_id
    query = select(image_id, func.count()).where(annotation_table.c.review != REJECTED).group_by(image_id)
    with catalog._database.read() as connection:
        if dataset is not None:
            belongs = image_table.c.dataset_id == dataset_called(connection, dataset).id
            query = query.join(image_table, image_table.c.id == image_id).where(belongs)
        return {image: int(count) for image, count in connection.execute(query)}
