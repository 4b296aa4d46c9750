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
            Only groups within it. Default: all images.

        Returns
        -------
        DuplicateGroups
            A list of tuples of `ImageRecord`, the first added image first. A file that is in several datasets is in it
            once; such files are in its `in_several`.

        Raises
        ------
        UnknownName
            No such dataset.

        Examples
        --------
        >>> added = session.add(folder / "pictures" / "photos", dataset="photos", show=False)
        >>> session.duplicates("photos")
        photos/coffee.png = photos/IMG_0412.png
        photos/flower.jpg = photos/flower_resaved.png
        photos/IMG_0413.jpg = photos/rocket.jpg
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
            Number of the 256 bits, 0 to 255, that may differ from the representative's perceptual hash: up to 31 it is
            almost surely the same picture, 51 (the default) finds more, unrelated ones begin near 75.
        dataset : str, optional
            Default: all images.

        Returns
        -------
        NearDuplicateGroups
            A list of groups, each with its `representative`, and the `others`, nearest first, with their `distance` in
            bits. `compared`, `flat` and `unhashed` count what was compared and what was not.

        Raises
        ------
        UnknownName
            No such dataset.
        PromptError
            A threshold below 0 or above 255.

        Examples
        --------
        >>> half = session.pixels("coins_1.png")[::2, ::2]
        >>> added = session.add(half, dataset="monday", show=False)
        >>> [group] = session.near_duplicates()
        >>> group.representative.filename, [other.image.size_hw for other in group.others]
        ('coins_1.png', [(101, 122)])
        """
        return self._duplicates.near_duplicates(threshold, dataset=dataset)

    def say_same(self, first: ImageRef, second: ImageRef) -> None:
        """Save that two images show the same picture, in all datasets; a later verdict replaces it.

        `keep_one_of_each` keeps one of them then, however much they differ.

        Parameters
        ----------
        first, second : str, path or ImageRecord
            Each by file name, "dataset/file name", id, path or hash.

        Raises
        ------
        UnknownName
            No such image.
        SamePixels
            They have the same pixels, so there is nothing to decide.
        ImageError
            A file that was not read yet cannot be read.

        Examples
        --------
        >>> session.say_same("coins_1.png", "coins_2.png")
        >>> report = session.keep_one_of_each("monday", into="one of each")
        >>> [(gone.image.filename, gone.why) for gone in report.left_out]
        [('coins_2.png', 'said to be the same')]
        """
        self._duplicates.set_verdict(first, second, same=True)

    def say_different(self, first: ImageRef, second: ImageRef) -> None:
        """Save that two images show different pictures: they are not suggested again.

        Parameters
        ----------
        first, second : str, path or ImageRecord
            Each by file name, "dataset/file name", id, path or hash.

        Raises
        ------
        UnknownName, SamePixels, ImageError
            As `say_same`.

        Examples
        --------
        >>> half = session.pixels("coins_1.png")[::2, ::2]
        >>> [image] = session.add(half, dataset="monday", show=False).images
        >>> session.say_different("coins_1.png", image)
        >>> len(session.near_duplicates())
        0
        """
        self._duplicates.set_verdict(first, second, same=False)

    def unsay(self, first: ImageRef, second: ImageRef) -> bool:
        """Remove the verdict of `say_same` or `say_different` on two images.

        Parameters
        ----------
        first, second : str, path or ImageRecord
            Each by file name, "dataset/file name", id, path or hash.

        Returns
        -------
        bool
            False if there was none.

        Raises
        ------
        UnknownName
            No such image.

        Examples
        --------
        >>> session.say_different("coins_1.png", "coins_2.png")
        >>> session.unsay("coins_1.png", "coins_2.png"), session.unsay("coins_1.png", "coins_2.png")
        (True, False)
        """
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
            Where the images come from. Default: all images.
        into : str
            Name of the new dataset.
        threshold : int
            As in `near_duplicates`.
        only_confirmed : bool
            Leave out only images with the same pixels or the verdict "same", not those that only look alike.
        keep : iterable of images
            These stay instead of a larger one. Default: none.

        Returns
        -------
        DeduplicationReport
            The images that were `kept`, in the new dataset, and those `left_out`: each with its `image`, the image that
            stays `instead`, and `why`.

        Raises
        ------
        UnknownName
            No such dataset or image.
        NameTaken
            There is a dataset of the new name.
        PromptError
            The new name is empty, or the threshold is below 0 or above 255.

        Examples
        --------
        >>> added = session.add(folder / "pictures" / "photos", dataset="photos", show=False)
        >>> report = session.keep_one_of_each("photos", into="photos once", keep=["IMG_0412.png"])
        >>> len(report.kept), [gone.image.filename for gone in report.left_out]
        (7, ['coffee.png', 'flower_resaved.png', 'rocket.jpg'])
        """
        options: Any = {"into": into, "threshold": threshold, "only_confirmed": only_confirmed, "keep": keep}
        return self._duplicates.keep_one_of_each(dataset, **options)

    def review_lookalikes(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> LookalikeReview:
        """A widget that shows similar pictures side by side and takes verdicts: the same, or different.

        For the last line of a notebook cell.

        Parameters
        ----------
        threshold, dataset
            As in `near_duplicates`.

        Returns
        -------
        LookalikeReview
            Its `pairs` are those without a verdict.

        Raises
        ------
        UnknownName
            No such dataset.
        PromptError
            A threshold below 0 or above 255.

        Examples
        --------
        >>> added = session.add(session.pixels("coins_1.png")[::2, ::2], dataset="monday", show=False)
        >>> review = session.review_lookalikes()
        >>> len(review.pairs)
        1
        >>> review.same()
        >>> len(session.catalog.verdicts())
        1
        >>> review.close()
        """
        return widget("LookalikeReview", self, threshold=threshold, dataset=dataset)
