"""`Case`: one object with a known mask, to measure a model on; `CaseList`: many, read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, PromptError, SamnbError, UnknownName
from ..masks import decode_rle
from ..records import AnnotationRecord, Failure


def check_seed(seed: int) -> None:
    """Raises `PromptError` for a seed below 0, of which nothing can be drawn."""
    if seed < 0:
        raise PromptError(f"seed: expected 0 or more; got {seed}.")


@dataclass(frozen=True, eq=False)
class Case:
    """One object with a known mask.

    Parameters
    ----------
    image : str
        The name of its picture, to show.
    pixels : (H, W, 3) uint8
        RGB, upright. Cases of one picture share the array, so that it is encoded once.
    mask : (H, W) bool
        The true mask of the object.
    category : str
        Class name, "" when there is none.
    group : str
        Metrics are also computed per group: a category, a kind of picture.
    id : str
        The picture's id in its source: in a session, the image's id.
    """

    image: str
    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    category: str = ""
    group: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if self.mask.shape != self.pixels.shape[:2]:
            raise ImageError(
                f"{self.image}: the mask is {self.mask.shape}, the picture {self.pixels.shape[:2]} (H, W). "
                "Both must have one size; was one of them scaled or turned?"
            )
        if not self.mask.any():
            raise ImageError(f"{self.image}: an empty mask{f' of {self.category}' if self.category else ''}.")

    def __repr__(self) -> str:
        what = f"{self.category} on {self.image}" if self.category else self.image
        return f"<Case {what}: {np.count_nonzero(self.mask)} of {self.mask.size} pixels>"


@dataclass(frozen=True)
class CaseSource:
    """The source a case is read from; small, so that many thousands fit into memory.

    Parameters
    ----------
    image, category, group, id : str
        As in `Case`.
    place : str
        The name in messages: a file, an annotation.
    read_pixels, read_mask : callable
        Without arguments, giving (H, W, 3) uint8 and (H, W) bool; raise a `SamnbError` where they cannot be read.
    annotation : AnnotationRecord, optional
        Of which it is made.
    """

    image: str
    place: str
    read_pixels: Callable[[], NDArray[np.uint8]]
    read_mask: Callable[[], NDArray[np.bool_]]
    category: str = ""
    group: str = ""
    id: str = ""
    annotation: AnnotationRecord | None = None


@dataclass(frozen=True)
class CaseList:
    """Cases in a fixed order; each iteration reads them again, with one picture in memory at a time.

    Iterating yields a `Case`, or a `Failure` if it cannot be read, each bad picture once.

    Parameters
    ----------
    sources : sequence of CaseSource
        Those of one picture are adjacent.
    failed : tuple of Failure
        Entries refused before any picture was opened.
    """

    sources: Sequence[CaseSource]
    failed: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def of_category(self, category: str | None) -> CaseList:
        """Only those of one category; None: all.

        Raises
        ------
        UnknownName
            No case has it.
        """
        if category is None:
            return self
        known = {source.category for source in self.sources}
        if category not in known:
            raise UnknownName("category", category, known)
        return replace(self, sources=[source for source in self.sources if source.category == category])

    def sampled(self, limit: int | None, *, seed: int = 0) -> CaseList:
        """At most `limit` of the cases, drawn with a fixed seed, in their order; None: all.

        Raises
        ------
        PromptError
            `limit` is below 1, or `seed` below 0.
        """
        check_seed(seed)
        if limit is not None and limit < 1:
            raise PromptError(f"limit: expected at least 1; got {limit}.")
        if limit is None or limit >= len(self.sources):
            return self
        chosen = np.random.default_rng(seed).choice(len(self.sources), limit, replace=False)
        return replace(self, sources=[self.sources[i] for i in sorted(chosen.tolist())])

    def __iter__(self) -> Iterator[Case | Failure]:
        yield from self.failed
        at: tuple[str, str] | None = None
        pixels: NDArray[np.uint8] | None = None
        for source in self.sources:
            if (source.id, source.image) != at:
                at, pixels = (source.id, source.image), None
                try:
                    pixels = source.read_pixels()
                except SamnbError as error:
                    yield Failure.of(source.image, error)
            if pixels is None:
                continue
            try:
                case = Case(source.image, pixels, source.read_mask(), source.category, source.group, source.id)
            except SamnbError as error:
                yield Failure.of(source.place, error)
                continue
            yield case


def annotated_cases(annotations: Iterable[AnnotationRecord], pixels_of: Callable[[str], NDArray[np.uint8]]) -> CaseList:
    """Annotations as cases, grouped by category; `pixels_of` gives an image's pixels by its id."""
    of_image: dict[str, list[AnnotationRecord]] = {}
    for annotation in annotations:
        of_image.setdefault(annotation.image_id, []).append(annotation)
    return CaseList(
        [
            CaseSource(
                image=found.image,
                place=f"{found.image}, annotation {found.id}",
                read_pixels=partial(pixels_of, found.image_id),
                read_mask=partial(decode_rle, found.rle),
                category=found.category,
                group=found.category,
                id=found.image_id,
                annotation=found,
            )
            for together in of_image.values()
            for found in together
        ]
    )
