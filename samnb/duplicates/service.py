"""What a person said of pictures that look alike, and which of them stay when there shall be one of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..catalog import Catalog, ImageRecord
from ..errors import SamePixels
from .hamming import as_words
from .near import THRESHOLD, Said, near_groups, smallness

__all__ = ["LeftOut", "OneOfEach", "bits_apart", "forget", "one_of_each", "said_in", "say"]


@dataclass(frozen=True)
class LeftOut:
    """An image that another one stands for, and why."""

    image: ImageRecord
    instead: ImageRecord
    why: str


@dataclass(frozen=True)
class OneOfEach:
    """Which images stay, and which are left out.

    Parameters
    ----------
    dataset : str
        Where those that stay are; "" before they are anywhere.
    kept : tuple of ImageRecord
    left_out : tuple of LeftOut
    """

    dataset: str
    kept: tuple[ImageRecord, ...]
    left_out: tuple[LeftOut, ...] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{len(self.kept)} kept in {self.dataset!r} · {len(self.left_out)} left out; no file was touched"]
        for gone in self.left_out[:20]:
            lines.append(f"  {_name(gone.image)} left out for {_name(gone.instead)}: {gone.why}")
        if len(self.left_out) > 20:
            lines.append(f"  … and {len(self.left_out) - 20} more in .left_out")
        return "\n".join(lines)

    __repr__ = __str__


def said_in(catalog: Catalog) -> dict[tuple[str, str], bool]:
    """All that was said of pairs of pictures, by their pixel hashes, the smaller first."""
    return {(verdict.first_hash, verdict.second_hash): verdict.same for verdict in catalog.verdicts()}


def say(catalog: Catalog, first: ImageRecord, second: ImageRecord, *, same: bool) -> None:
    """Remember that two pictures are the same, or different; replaces what was said before.

    Raises
    ------
    SamePixels
        There is nothing to say of them.
    """
    if first.pixel_hash == second.pixel_hash:
        raise SamePixels(_name(first), _name(second))
    distance = bits_apart(first, second)
    catalog.save_verdict(first.pixel_hash, second.pixel_hash, same=same, distance=distance)


def forget(catalog: Catalog, first: ImageRecord, second: ImageRecord) -> bool:
    """Take back what was said of two pictures; False where nothing was."""
    return catalog.forget_verdict(first.pixel_hash, second.pixel_hash)


def bits_apart(first: ImageRecord, second: ImageRecord) -> int:
    """In how many of 256 bits the perceptual hashes of two images differ."""
    one, other = as_words([first.perceptual_hash, second.perceptual_hash])
    return sum(int(word).bit_count() for word in one ^ other)


def one_of_each(
    images: Sequence[ImageRecord],
    *,
    said: Said,
    threshold: int = THRESHOLD,
    only_confirmed: bool = False,
    keep: Collection[str] = (),
) -> OneOfEach:
    """One of those with the same pixels, of those said to be the same, and of those that look alike.

    Parameters
    ----------
    images : sequence of ImageRecord
    said : mapping
        See `said_in`. Pictures told apart never stand for each other, also not by way of a third.
    threshold : int
        For those of which nothing was said.
    only_confirmed : bool
        Leave out only what has the same pixels or was said to be the same.
    keep : collection of str
        Ids of images that stay rather than a larger one that shows the same; of the same pixels, rather than the first.
    """
    asked = {image.id for image in images if image.id in keep}
    preferred = {image.pixel_hash for image in images if image.id in asked}
    left_out: dict[str, LeftOut] = {}
    standing: dict[str, ImageRecord] = {}
    for image in sorted(images, key=lambda image: image.id not in asked):
        stays = standing.setdefault(image.pixel_hash, image)
        if stays is not image:
            left_out[image.id] = LeftOut(image, stays, "same pixels")
    instead = dict(_confirmed(standing, said, preferred))
    left = {name: LeftOut(standing[name], standing[other], "said to be the same") for name, other in instead.items()}
    if not only_confirmed:
        there = [image for image in images if image.id not in left_out and image.pixel_hash not in left]
        # What was told apart from a picture is apart from the one that stands for it, too.
        apart = {_of(instead, one, other): False for (one, other), same in said.items() if not same}
        for group in near_groups(there, threshold, said=apart, first=preferred).groups:
            for other in group.others:
                why = f"{other.distance} of 256 bits"
                left[other.image.pixel_hash] = LeftOut(other.image, group.representative, why)
    left_out |= {gone.image.id: gone for gone in left.values()}
    for image_id, gone in left_out.items():
        # The one that stood for it may have been left out for another.
        while gone.instead.id in left_out:
            gone = replace(gone, instead=left_out[gone.instead.id].instead)
        left_out[image_id] = gone
    kept = tuple(image for image in images if image.id not in left_out)
    return OneOfEach("", kept, tuple(left_out[image.id] for image in images if image.id in left_out))


def _confirmed(
    standing: Mapping[str, ImageRecord], said: Said, preferred: Collection[str]
) -> Iterator[tuple[str, str]]:
    """(pixel hash that goes, pixel hash that stays instead), along what was said to be the same."""
    same: dict[str, list[str]] = {}
    for (one, other), is_same in said.items():
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
            if name in free and all(said.get(_sorted(name, member), True) for member in taken):
                free.discard(name)
                taken.append(name)
                waiting += same[name]
                yield name, stays


def _of(instead: Mapping[str, str], one: str, other: str) -> tuple[str, str]:
    return _sorted(instead.get(one, one), instead.get(other, other))


def _sorted(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _name(image: ImageRecord) -> str:
    return f"{image.dataset}/{image.filename}"
