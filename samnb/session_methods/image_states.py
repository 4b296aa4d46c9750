"""The methods of `samnb.session.Session` about the states of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..annotations.counts import Counts, counts_of
from ..cards import count_text
from ..errors import PromptError
from ..records import EMPTY, ImageRecord, ImageRef
from .parts import SessionParts

if TYPE_CHECKING:
    pass


class ImageStateMethods(SessionParts):
    """What a person said of images, and how far the work is."""

    def mark_image(self, image: ImageRef, state: str) -> None:
        """Give an image a state: "done", "empty" (no object is on it), "skip", or "" for open again.

        Raises
        ------
        UnknownName
            No such image, or no such state.
        PromptError
            "empty", for an image that has annotations.

        Examples
        --------
        >>> import tempfile, numpy as np, samnb
        >>> session = samnb.Session(tempfile.mkdtemp())
        >>> [image] = session.add(np.zeros((60, 80, 3), np.uint8), dataset="monday", show=False).images
        >>> session.mark_image(image, "empty")
        >>> session.counts()[0].empty, list(session.image_states().values())
        (1, ['empty'])
        >>> session.close()
        """
        record = self._library.image(image)
        if state == EMPTY and (there := len(self.catalog.annotations(image_id=record.id))):
            raise PromptError(
                f"{record.filename}: has {count_text(there, 'annotation')}, so it is not empty. "
                "Remove what is there, or say done."
            )
        self._annotations.mark_image(record, state)

    def image_states(self, dataset: str | None = None) -> dict[str, str]:
        """The state by image id; images that are open are left out."""
        return self.catalog.image_states(dataset)

    def counts(self, dataset: str | None = None) -> Counts:
        """How far the annotation of each dataset is: images by state, annotations by category."""
        return counts_of(self.catalog, dataset)

    def note_opened(self, image: ImageRef) -> None:
        """Record that a person has this image open now, for `opened_last`; not in a session that is only read."""
        if not self.catalog.read_only:
            self.catalog.note_opened(self._library.image(image).id)

    def opened_last(self, dataset: str | None = None) -> ImageRecord | None:
        """The image that a person opened last in an annotator: where it opens the next time. None: no image yet."""
        found = self.catalog.opened_last(dataset)
        return None if found is None else self._library.image(found)
