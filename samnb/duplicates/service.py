"""`DuplicateService`: groups of equal and similar images, verdicts on them, and datasets without copies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..cards import more_text
from ..catalog import Catalog, ImageRecord
from ..errors import NameTaken, SamePixels
from ..ingest.library import ImageLibrary
from ..printable import printable
from ..records import ImageRef
from .gallery import DuplicateGroups, NearDuplicateGroups
from .hamming import as_words
from .near import THRESHOLD, Verdicts, near_groups, smallness


@dataclass(frozen=True)
class ExcludedImage:
    """An image that another one replaces, and why."""

    image: ImageRecord
    instead: ImageRecord
    why: str


@dataclass(frozen=True)
class DeduplicationReport:
    """The images that stay, and those that are left out.

    Parameters
    ----------
    dataset : str
        The dataset of those that stay; "" before it exists.
    kept : tuple of ImageRecord
    left_out : tuple of ExcludedImage
    """

    dataset: str
    kept: tuple[ImageRecord, ...]
    left_out: tuple[ExcludedImage, ...] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{len(self.kept)} kept in {self.dataset!r} · {len(self.left_out)} left out; no file was touched"]
        if self.dataset and self.kept:
            # Without a dataset, the annotator has both images of a file.
            lines.append(f"  they are in their earlier datasets too: annotate each once with dataset={self.dataset!r}")
        for gone in self.left_out[:20]:
            lines.append(f"  {_name(gone.image)} left out for {_name(gone.instead)}: {gone.why}")
        more = more_text(len(self.left_out), 20, "in .left_out")
        return "\n".join([*lines, *([f"  {more}"] if more else [])])

    __repr__ = __str__


class DuplicateService:
    """The duplicate methods of `samnb.session.Session`, which documents the arguments."""

    def __init__(self, catalog: Catalog, library: ImageLibrary):
        self._catalog, self._library = catalog, library

    def duplicates(self, dataset: str | None) -> DuplicateGroups:
        """Groups of files with the same pixels; a file that is in several datasets counts once."""
        groups = self._catalog.duplicates()
        if dataset is not None:
            name = self._catalog.dataset(dataset).name
            groups = [tuple(image for image in group if image.dataset == name) for group in groups]
        files = [list(_by_file(group).values()) for group in groups]
        return DuplicateGroups(
            [tuple(images[0] for images in group) for group in files if len(group) > 1],
            in_several=[tuple(images) for group in files for images in group if len(images) > 1],
        )

    def near_duplicates(self, threshold: int, *, dataset: str | None) -> NearDuplicateGroups:
        """Groups of images that look alike and have different pixels."""
        images = self._catalog.images(dataset=dataset)
        return NearDuplicateGroups(near_groups(images, threshold, verdicts=self._verdicts()), threshold)

    def set_verdict(self, first: ImageRef, second: ImageRef, *, same: bool) -> None:
        """Save whether two images show the same picture. Raises `SamePixels` where their pixels are equal."""
        one, other = self._library.read(first), self._library.read(second)
        if one.pixel_hash == other.pixel_hash:
            raise SamePixels(_name(one), _name(other))
        self._catalog.save_verdict(one.pixel_hash, other.pixel_hash, same=same, distance=bits_apart(one, other))

    def clear_verdict(self, first: ImageRef, second: ImageRef) -> bool:
        """Remove the verdict on two images; False if there was none."""
        one, other = self._library.image(first), self._library.image(second)
        return self._catalog.forget_verdict(one.pixel_hash, other.pixel_hash)

    def keep_one_of_each(
        self, dataset: str | None, *, into: str, threshold: int, only_confirmed: bool, keep: Iterable[ImageRef]
    ) -> DeduplicationReport:
        """Make a dataset of the same files without copies; see `one_of_each`."""
        images = self._library.with_hashes(self._catalog.images(dataset=dataset))
        wanted = {self._library.image(image).id for image in keep}
        if any(there.name == into for there in self._catalog.datasets()):
            raise NameTaken("dataset", into)
        found = one_of_each(
            images, verdicts=self._verdicts(), threshold=threshold, only_confirmed=only_confirmed, keep=wanted
        )
        kept = self._catalog.add_images(into, [image.as_new() for image in found.kept])
        return replace(found, dataset=into, kept=tuple(kept))

    def _verdicts(self) -> Verdicts:
        return {(verdict.first_hash, verdict.second_hash): verdict.same for verdict in self._catalog.verdicts()}


def _by_file(group: Iterable[ImageRecord]) -> dict[str, list[ImageRecord]]:
    """The images of each file, by its path."""
    files: dict[str, list[ImageRecord]] = {}
    for image in group:
        files.setdefault(image.path, []).append(image)
    return files


def bits_apart(first: ImageRecord, second: ImageRecord) -> int:
    """The number of the 256 bits in which the perceptual hashes of two images differ."""
    one, other = as_words([first.perceptual_hash, second.perceptual_hash])
    return sum(int(word).bit_count() for word in one ^ other)


def one_of_each(
    images: Sequence[ImageRecord],
    *,
    verdicts: Verdicts,
    threshold: int = THRESHOLD,
    only_confirmed: bool = False,
    keep: Collection[str] = (),
) -> DeduplicationReport:
    """Choose one of those with the same pixels, with the verdict "same", and of those that look alike.

    Parameters
    ----------
    images : sequence of ImageRecord
    verdicts : mapping
        See `samnb.duplicates.near.Verdicts`. Of two different pictures neither stands for the other, also not through
        a third one.
    threshold : int
        For pairs without a verdict.
    only_confirmed : bool
        Leave out only images with the same pixels or the verdict "same".
    keep : collection of str
        Ids of images that stay instead of a larger one of the same picture, or of the first with the same pixels.
    """
    asked = {image.id for image in images if image.id in keep}
    preferred = {image.pixel_hash for image in images if image.id in asked}
    left_out: dict[str, ExcludedImage] = {}
    standing: dict[str, ImageRecord] = {}
    for image in sorted(images, key=lambda image: image.id not in asked):
        stays = standing.setdefault(image.pixel_hash, image)
        if stays is not image:
            left_out[image.id] = ExcludedImage(image, stays, "same pixels")
    instead = dict(_confirmed(standing, verdicts, preferred))
    left = {
        name: ExcludedImage(standing[name], standing[other], "said to be the same") for name, other in instead.items()
    }
    if not only_confirmed:
        there = [image for image in images if image.id not in left_out and image.pixel_hash not in left]
        # A picture that differs from another also differs from the one that replaces it.
        apart = {_of(instead, one, other): False for (one, other), same in verdicts.items() if not same}
        for group in near_groups(there, threshold, verdicts=apart, first=preferred).groups:
            for other in group.others:
                why = f"{other.distance} of 256 bits"
                left[other.image.pixel_hash] = ExcludedImage(other.image, group.representative, why)
    left_out |= {gone.image.id: gone for gone in left.values()}
    for image_id, gone in left_out.items():
        # Its replacement may itself have been replaced.
        while gone.instead.id in left_out:
            gone = replace(gone, instead=left_out[gone.instead.id].instead)
        left_out[image_id] = gone
    kept = tuple(image for image in images if image.id not in left_out)
    return DeduplicationReport("", kept, tuple(left_out[image.id] for image in images if image.id in left_out))


def _confirmed(
    standing: Mapping[str, ImageRecord], verdicts: Verdicts, preferred: Collection[str]
) -> Iterator[tuple[str, str]]:
    """(pixel hash left out, pixel hash that stays instead), by the verdicts "same"."""
    same: dict[str, list[str]] = {}
    for (one, other), is_same in verdicts.items():
        if is_same and one in standing and other in standing:
            same.setdefault(one, []).append(other)
            same.setdefault(other, []).append(one)
    order = {name: place for place, name in enumerate(standing)}
    free = set(same)
    for stays in sorted(same, key=lambda name: (name not in preferred, *smallness(standing[name]), order[name])):
        if stays not in free:
            continue
        free.discard(stays)
        taken, waiting = [stays], list(same[stays])
        while waiting:
            name = waiting.pop(0)
            if name in free and all(verdicts.get(_sorted(name, member), True) for member in taken):
                free.discard(name)
                taken.append(name)
                waiting += same[name]
                yield name, stays


def _of(instead: Mapping[str, str], one: str, other: str) -> tuple[str, str]:
    return _sorted(instead.get(one, one), instead.get(other, other))


def _sorted(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _name(image: ImageRecord) -> str:
    return printable(f"{image.dataset}/{image.filename}")
