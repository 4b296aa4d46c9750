"""The methods of `samnb.session.Session` about the states of images."""

from __future__ import annotations

from ..annotations.counts import Counts, counts_of
from ..cards import count_text
from ..errors import PromptError
from ..records import EMPTY, ImageRecord, ImageRef
from .parts import SessionParts


class ImageStateMethods(SessionParts):
    """What a person said of images, and how far the work is."""

    def mark_image(self, image: ImageRef, state: str) -> None:
        """Give an image a state, to see later what is left to do.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        state : {"done", "empty", "skip", ""}
            "done": nothing is left to do. "empty": no object is on it. "skip": it is left out. "": open again, as at
            first.

        Raises
        ------
        UnknownName
            No such image, or several, or no such state.
        PromptError
            "empty", for an image that has annotations.

        Examples
        --------
        >>> session.mark_image("coins_2.png", "empty")
        >>> [monday] = session.counts()
        >>> monday.empty, monday.open
        (1, 5)
        """
        record = self._library.image(image)
        if state == EMPTY and (there := len(self.catalog.annotations(image_id=record.id))):
            raise PromptError(
                f"{record.filename}: has {count_text(there, 'annotation')}, so it is not empty. "
                "Remove what is there, or say done."
            )
        self._annotations.mark_image(record, state)

    def image_states(self, dataset: str | None = None) -> dict[str, str]:
        """List the states of images.

        Parameters
        ----------
        dataset : str, optional
            Default: all.

        Returns
        -------
        dict of str to str
            The state by image id; images that are open are left out.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> session.mark_image("coins_1.png", "done")
        >>> session.image_states("monday") == {session.image("coins_1.png").id: "done"}
        True
        """
        return self.catalog.image_states(dataset)

    def counts(self, dataset: str | None = None) -> Counts:
        """Count how far the work is: images by state, annotations by category.

        Parameters
        ----------
        dataset : str, optional
            Default: all.

        Returns
        -------
        Counts
            A list with the numbers of each dataset; in the last line of a notebook cell, a table.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> [monday] = session.counts("monday")
        >>> monday.images, monday.annotated, monday.categories
        (6, 1, {'coin': 1})
        """
        return counts_of(self.catalog, dataset)

    def note_opened(self, image: ImageRef) -> None:
        """Record that a person has this image open now, for `opened_last`. A session that is only read stays as it is.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Raises
        ------
        UnknownName
            No such image, or several.

        Examples
        --------
        >>> session.note_opened("coins_3.png")
        >>> session.opened_last().filename
        'coins_3.png'
        """
        if not self.catalog.read_only:
            self.catalog.note_opened(self._library.image(image).id)

    def opened_last(self, dataset: str | None = None) -> ImageRecord | None:
        """Tell which image a person opened last in an annotator: where it opens the next time.

        Parameters
        ----------
        dataset : str, optional
            Only images of it. Default: all.

        Returns
        -------
        ImageRecord or None
            None: no image was opened yet.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> for name in ("coins_3.png", "coins_5.png"):
        ...     session.note_opened(name)
        >>> session.opened_last("monday").filename
        'coins_5.png'
        """
        found = self.catalog.opened_last(dataset)
        return None if found is None else self._library.image(found)
