"""Which image comes next, and how far the hand has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .panels import Counts

if TYPE_CHECKING:
    from ..catalog import ImageRecord
    from ..session import Session

__all__ = ["Pages"]


class Pages:
    """The images of a dataset in order, and a place among them.

    Parameters
    ----------
    session : Session
    dataset : str or None
        None: all images of the session.
    """

    def __init__(self, session: Session, dataset: str | None):
        self._session, self._dataset = session, dataset
        self.images: list[ImageRecord] = session.images(dataset)
        self._place = -1
        self._annotated = {annotation.image_id for annotation in session.annotations(dataset=dataset)}

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(W, H) of each image."""
        return [(record.width, record.height) for record in self.images]

    @property
    def first(self) -> ImageRecord | None:
        """The first image, if there is any."""
        return self.images[0] if self.images else None

    def step(self, by: int) -> ImageRecord | None:
        """The image so many places on, None past the ends; the place moves even if that image cannot be read."""
        self._refresh()
        place = self._place + by
        if not 0 <= place < len(self.images):
            return None
        self._place = place
        return self.images[place]

    def go_to(self, image: ImageRecord) -> None:
        """Make this image the place to step from."""
        self._place = next((i for i, other in enumerate(self.images) if other.id == image.id), -1)

    def mark_annotated(self, image: ImageRecord, annotated: bool) -> None:
        """Whether that image has annotations."""
        (self._annotated.add if annotated else self._annotated.discard)(image.id)

    def counts(self) -> Counts:
        """The figures of the header, read off the catalog."""
        return Counts(self._place + 1, len(self.images), len(self._annotated), self._refresh())

    def _refresh(self) -> int:
        """How many images are cached; the list is fetched again only when their number changed."""
        datasets = [d for d in self._session.datasets() if self._dataset in (None, d.name)]
        if sum(d.images for d in datasets) != len(self.images):
            self.images = self._session.images(self._dataset)
        return sum(d.cached for d in datasets)
