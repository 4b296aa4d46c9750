"""Label pictures of images and of stacks, for the formats that keep a stack in one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UnknownName
from ...masks import decode_rle
from ...records import ImageDetails
from .layout import ExportItem, Names

LABELS = ("object", "linked", "category")
_LINKED_IOU = 0.5


@dataclass(frozen=True, eq=False)
class LabelStack:
    """The images that one file holds: those of a stack, or one image.

    Parameters
    ----------
    name : str
        A file name without suffix that no other stack of the export has.
    axes : tuple of str
        Of the stack, such as ("t", "z"); () for one image.
    shape : tuple of int
        The length of each axis: of all places up to the last one that is exported.
    items : dict
        The item at each place; others of the stack are not images of the session, and empty.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    items: dict[tuple[int, ...], ExportItem]

    @property
    def first(self) -> ExportItem:
        """Any of the items."""
        return next(iter(self.items.values()))

    @property
    def details(self) -> ImageDetails:
        """The pixel size of the stack."""
        return self.first.details

    @property
    def full_shape(self) -> tuple[int, ...]:
        """With (H, W)."""
        return (*self.shape, *self.first.image.size_hw)


def stacks_of(items: Sequence[ExportItem]) -> list[LabelStack]:
    """The items by stack, in their order."""
    groups: dict[tuple[str, ...], list[ExportItem]] = {}
    times: Counter[object] = Counter()
    for item in items:
        place = item.details.place
        # Images of one stack that have other sizes, or axes, are no array.
        size = f"{item.image.size_hw}{tuple(place)}"
        key = (item.image.dataset, item.details.stack, size) if item.details.stack else (item.image.id,)
        # A stack that was added twice, by two views, has two images at one place: each time is an array of its own.
        times[key, tuple(place.values())] += 1
        groups.setdefault((*key, str(times[key, tuple(place.values())])), []).append(item)
    names, found = Names(), []
    for group in groups.values():
        first = group[0]
        axes = tuple(first.details.place) if first.details.stack else ()
        at = {tuple(one.details.place.values()) if axes else (): one for one in group}
        shape = tuple(max(place[axis] for place in at) + 1 for axis in range(len(axes)))
        name = first.name.rpartition("[")[0] if axes and "[" in first.name else first.name
        found.append(LabelStack(names.stem(name), axes, shape, at))
    return found


def numbers_of(stack: LabelStack, categories: Sequence[str], labels: str) -> dict[int, int]:
    """The number of each annotation, by its id, from 1.

    Parameters
    ----------
    labels : {"object", "linked", "category"}
        One number for each annotation of the stack; one for annotations of a category that overlap from slice to slice
        along the last axis, with an IoU of 0.5 or more; that of the category.
    """
    if labels not in LABELS:
        raise UnknownName("kind of labels", labels, LABELS)
    every = [annotation for place in sorted(stack.items) for annotation in stack.items[place].annotations]
    if labels == "category":
        return {annotation.id: categories.index(annotation.category) + 1 for annotation in every}
    if labels == "object" or not stack.axes:
        return {annotation.id: number for number, annotation in enumerate(every, 1)}
    return _linked(stack)


def planes(stack: LabelStack, numbers: dict[int, int]) -> Iterator[NDArray[Any]]:
    """(H, W) of each place in order: the number of the topmost annotation, 0 where there is none."""
    dtype = np.uint16 if max(numbers.values(), default=0) < 1 << 16 else np.uint32
    for place in np.ndindex(*stack.shape):
        labels = np.zeros(stack.first.image.size_hw, dtype)
        if place in stack.items:
            for annotation in stack.items[place].annotations:
                labels[decode_rle(annotation.rle)] = numbers[annotation.id]
        yield labels


def _linked(stack: LabelStack) -> dict[int, int]:
    numbers: dict[int, int] = {}
    masks_before: list[tuple[str, int, NDArray[np.bool_]]] = []
    last: tuple[int, ...] = ()
    count = 0
    for place in sorted(stack.items):
        follows = last[:-1] == place[:-1] and bool(last) and place[-1] == last[-1] + 1
        free = list(masks_before) if follows else []
        masks_before, last = [], place
        for annotation in stack.items[place].annotations:
            mask = decode_rle(annotation.rle)
            same = [(_iou(mask, one[2]), one) for one in free if one[0] == annotation.category]
            iou, best = max(same, key=lambda one: one[0], default=(0.0, None))
            if best is not None and iou >= _LINKED_IOU:
                free = [one for one in free if one is not best]
                number = best[1]
            else:
                count += 1
                number = count
            numbers[annotation.id] = number
            masks_before.append((annotation.category, number, mask))
    return numbers


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    shared = int(np.count_nonzero(first & second))
    return shared / max(1, int(np.count_nonzero(first | second)))
