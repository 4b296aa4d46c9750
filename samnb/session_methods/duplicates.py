"""The methods of `samnb.session.Session` about duplicates and pictures that look alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..duplicates.gallery import DuplicateGroups, NearDuplicateGroups
from ..duplicates.near import THRESHOLD
from ..duplicates.service import DeduplicationReport
from ..records import ImageRef
from .parts import SessionParts, widget

if TYPE_CHECKING:
    from ..widgets import LookalikeReview


class DuplicateMethods(SessionParts):
    """Images with the same pixels, and images that look alike."""

    def duplicates(self, dataset: str | None = None) -> DuplicateGroups:
        """Groups of images that show the same pixels; in the last line of a notebook cell, a gallery.

        Parameters
        ----------
        dataset : str, optional
            Only groups within it. None: all images.
        """
        return self._duplicates.duplicates(dataset)

    def near_duplicates(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> NearDuplicateGroups:
        """Groups of images that look alike and have different pixels: suggestions, nothing is merged.

        Re-compressed, resized, slightly cropped or brightened copies are found; turned or mirrored ones are not. A
        picture and its grey version count as alike. Groups are made around a representative, the largest picture, and
        never chained from neighbour to neighbour. Pictures with hardly any detail are left out, and so are pairs
        marked by `say_different`; pairs confirmed by `say_same` are marked.

        Parameters
        ----------
        threshold : int
            Number of the 256 bits that may differ from the representative's perceptual hash: up to 31 it is almost
            surely the same picture, 51 finds more, unrelated ones begin near 75.
        dataset : str, optional
            None: all images.
        """
        return self._duplicates.near_duplicates(threshold, dataset=dataset)

    def say_same(self, first: ImageRef, second: ImageRef) -> None:
        """Save that two images show the same picture, in all datasets; a later verdict replaces it.

        Raises
        ------
        UnknownName
            No such image.
        SamePixels
            They have the same pixels, so there is nothing to decide.
        """
        self._duplicates.set_verdict(first, second, same=True)

    def say_different(self, first: ImageRef, second: ImageRef) -> None:
        """Save that two images show different pictures: they are not suggested again. Raises as `say_same`."""
        self._duplicates.set_verdict(first, second, same=False)

    def unsay(self, first: ImageRef, second: ImageRef) -> bool:
        """Remove the verdict of `say_same` or `say_different` on two images; False if there was none."""
        return self._duplicates.clear_verdict(first, second)

    def keep_one_of_each(
        self,
        dataset: str | None = None,
        *,
        into: str = "one of each",
        threshold: int = THRESHOLD,
        only_confirmed: bool = False,
        keep: Iterable[ImageRef] = (),
    ) -> DeduplicationReport:
        """Make a dataset of the same files without duplicates.

        One image stays of those with the same pixels, of those with the verdict "same", and of those that look alike:
        the one with the most pixels, then with the larger file, then the first. The datasets they come
        from, and all files, stay as they are.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        into : str
            Name of the new dataset.
        threshold : int
            As in `near_duplicates`.
        only_confirmed : bool
            Leave out only images with the same pixels or the verdict "same", not those that only look alike.
        keep : iterable of images
            These stay instead of a larger one.

        Raises
        ------
        NameTaken
            There is a dataset of that name.
        UnknownName
            No such dataset or image.
        """
        options: Any = {"into": into, "threshold": threshold, "only_confirmed": only_confirmed, "keep": keep}
        return self._duplicates.keep_one_of_each(dataset, **options)

    def review_lookalikes(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> LookalikeReview:
        """A widget that shows similar pictures side by side and takes verdicts: the same, or different.

        For the last line of a notebook cell; for the parameters see `near_duplicates`.
        """
        return widget("LookalikeReview", self, threshold=threshold, dataset=dataset)
