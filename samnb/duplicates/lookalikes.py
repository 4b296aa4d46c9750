"""The part of `Session` that is about pictures that are there several times, or look alike."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import NameTaken
from ..ingest.library import Datasets
from ..records import ImageRef
from . import service as verdicts
from .gallery import DuplicateGroups, NearDuplicateGroups
from .near import THRESHOLD, near_groups
from .service import OneOfEach

if TYPE_CHECKING:
    from ..widgets import LookalikeReview

__all__ = ["Lookalikes"]


class Lookalikes(Datasets):
    """What a `Session` does with pictures that are the same, or might be."""

    def duplicates(self, dataset: str | None = None) -> DuplicateGroups:
        """Groups of images that show the same pixels; in the last line of a notebook cell, a gallery.

        Parameters
        ----------
        dataset : str, optional
            Only groups within it. None: all images.
        """
        groups = self.catalog.duplicates()
        if dataset is not None:
            name = self.catalog.dataset(dataset).name
            groups = [tuple(image for image in group if image.dataset == name) for group in groups]
        return DuplicateGroups(group for group in groups if len(group) > 1)

    def near_duplicates(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> NearDuplicateGroups:
        """Groups of images that look alike and have different pixels: suggestions, nothing is merged.

        Re-compressed, resized, slightly cropped or brightened copies are found; turned or mirrored ones are not. A
        picture and its grey version count as alike. Groups are round a representative, the largest picture, and
        never chained from neighbour to neighbour. Pictures with hardly anything in them are left out, and so is
        what `say_different` told apart; what `say_same` confirmed is marked.

        Parameters
        ----------
        threshold : int
            Bits of 256 in which perceptual hashes may differ from the representative's: up to 31 it is almost surely
            the same picture, 51 finds more, unrelated ones begin near 75.
        dataset : str, optional
            None: all images.
        """
        said = verdicts.said_in(self.catalog)
        return NearDuplicateGroups(near_groups(self.images(dataset), threshold, said=said), threshold)

    def say_same(self, first: ImageRef, second: ImageRef) -> None:
        """Remember that two images show the same picture, in all datasets, until something else is said.

        Raises
        ------
        UnknownName
            No such image.
        SamePixels
            They have the same pixels: there is nothing to say.
        """
        verdicts.say(self.catalog, self._read(first), self._read(second), same=True)

    def say_different(self, first: ImageRef, second: ImageRef) -> None:
        """Remember that two images show different pictures: they are not suggested again. Raises as `say_same`."""
        verdicts.say(self.catalog, self._read(first), self._read(second), same=False)

    def unsay(self, first: ImageRef, second: ImageRef) -> bool:
        """Take back what was said of two images; False where nothing was."""
        return verdicts.forget(self.catalog, self.image(first), self.image(second))

    def keep_one_of_each(
        self,
        dataset: str | None = None,
        *,
        into: str = "one of each",
        threshold: int = THRESHOLD,
        only_confirmed: bool = False,
        keep: Iterable[ImageRef] = (),
    ) -> OneOfEach:
        """Make a dataset of the same files, without those that another one stands for.

        One stays of those with the same pixels, of those said to be the same, and of those that look alike: the
        largest in pixels, of several as large the one with the larger file, else the first. The datasets they come
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
            Leave out only what has the same pixels or was said to be the same, not what merely looks alike.
        keep : iterable of images
            These stay rather than a larger one.

        Raises
        ------
        NameTaken
            There is a dataset of that name.
        UnknownName
            No such dataset or image.
        """
        images = self._filled(self.images(dataset))
        wanted = {self.image(image).id for image in keep}
        if any(there.name == into for there in self.datasets()):
            raise NameTaken("dataset", into)
        said = verdicts.said_in(self.catalog)
        found = verdicts.one_of_each(images, said=said, threshold=threshold, only_confirmed=only_confirmed, keep=wanted)
        kept = self.catalog.add_images(into, [image.as_new() for image in found.kept])
        return replace(found, dataset=into, kept=tuple(kept))

    def review_lookalikes(self, threshold: int = THRESHOLD, *, dataset: str | None = None) -> LookalikeReview:
        """A widget that shows look-alikes side by side and asks: the same, or different?

        For the last line of a notebook cell; for the parameters see `near_duplicates`.
        """
        # By name at run time: the core knows no widgets.
        return importlib.import_module("samnb.widgets").LookalikeReview(self, threshold=threshold, dataset=dataset)
