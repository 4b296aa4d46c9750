"""Groups of images, shown as lines of names, and in a notebook side by side."""

from __future__ import annotations

import html
from collections.abc import Iterable

from ..cards import BORDER, FONT_SIZE_SMALL, GAP, TEXT_SECONDARY, count_text, more_text, panel
from ..errors import ImageError
from ..images import read_pixels, thumbnail
from ..images.thumbnails import jpeg_url
from ..printable import printable
from ..records import ImageRecord
from .near import Lookalike, NearGroup, Search

GROUPS, PICTURES, SIDE = 12, 8, 120
"""Limits of a gallery: groups, pictures per group, and their longest side. A notebook stores them in its file."""

_ROW = f"display:flex;flex-wrap:wrap;gap:{GAP};padding:{GAP} 0;border-top:1px solid {BORDER}"
_FRAME = (
    f"margin:0;max-width:140px;font-size:{FONT_SIZE_SMALL};line-height:16px;overflow-wrap:anywhere;"
    f"color:{TEXT_SECONDARY}"
)
_PICTURE = "display:block;margin:0 0 4px;border-radius:4px"


class DuplicateGroups(list[tuple[ImageRecord, ...]]):
    """Groups of files with the same pixels, each file by its first image.

    Attributes
    ----------
    in_several : tuple of tuple of ImageRecord
        The images of each file that is in several datasets: no copies, and each has annotations of its own.
    """

    def __init__(
        self, groups: Iterable[tuple[ImageRecord, ...]] = (), in_several: Iterable[tuple[ImageRecord, ...]] = ()
    ):
        super().__init__(groups)
        self.in_several = tuple(in_several)

    @property
    def note(self) -> str:
        """One line about the files that are in several datasets; "" if none is."""
        if not self.in_several:
            return ""
        first = " = ".join(_name(image) for image in self.in_several[0])
        more = ", …" if len(self.in_several) > 1 else ""
        return f"{count_text(len(self.in_several), 'file')} in several datasets, each counted once: {first}{more}"

    def __str__(self) -> str:
        lines = [" = ".join(_name(image) for image in group) for group in self]
        return "\n".join([*(lines or ["No duplicates."]), *([self.note] if self.note else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        copies = sum(len(group) - 1 for group in self)
        title = f"{count_text(len(self), 'picture')} with {count_text(copies, 'further copy', 'further copies')}"
        title = " · ".join(filter(None, [title if self else "No duplicates.", self.note]))
        return gallery(title, ([(image, "") for image in group] for group in self))


class NearDuplicateGroups(list[NearGroup]):
    """Groups of images that look alike, and the numbers of images left out of the search.

    Attributes
    ----------
    threshold : int
        The maximum number of the 256 bits in which the others differ from their group's representative.
    compared, flat, unhashed, exact : int, int, int, bool
        As in `samnb.duplicates.near.Search`.
    """

    def __init__(self, search: Search, threshold: int):
        super().__init__(search.groups)
        self.threshold = threshold
        self.compared, self.flat, self.unhashed = search.compared, search.flat, search.unhashed
        self.exact = search.exact

    @property
    def summary(self) -> str:
        """One line: the number and kind of groups."""
        parts = [f"{count_text(len(self), 'group')} of pictures that look alike, {self.compared} compared"]
        if not self.exact:
            parts.append("too many to compare all pairs: a few near the threshold may be missing")
        if self.flat:
            parts.append(f"{self.flat} too flat to compare")
        if self.unhashed:
            parts.append(f"{self.unhashed} not compared: session.fill_hashes()")
        return " · ".join(parts)

    def __str__(self) -> str:
        lines = [self.summary]
        for group in self:
            others = " · ".join(
                f"{_name(other.image)} ({other.distance}{', same' if other.same else ''})" for other in group.others
            )
            lines.append(f"  {_name(group.representative)} ≈ {others}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = (
            [(group.representative, ""), *((other.image, _distance(other)) for other in group.others)] for group in self
        )
        return gallery(self.summary, rows)


def gallery(title: str, rows: Iterable[Iterable[tuple[ImageRecord, str]]]) -> str:
    """Rows of thumbnails with their names, as self-contained HTML; cut at `GROUPS` rows of `PICTURES`.

    Parameters
    ----------
    title : str
    rows : iterable of iterable of (ImageRecord, caption)
    """
    all_rows = [list(row) for row in rows]
    shown = "".join(f"<div style='{_ROW}'>{_row(row)}</div>" for row in all_rows[:GROUPS])
    more = more_text(len(all_rows), GROUPS, "groups")
    return panel(title, shown + (f"<div style='color:{TEXT_SECONDARY}'>{more}</div>" if more else ""))


def _row(row: list[tuple[ImageRecord, str]]) -> str:
    more = more_text(len(row), PICTURES)
    figures = "".join(_figure(image, caption) for image, caption in row[:PICTURES])
    return figures + (f"<div style='{_FRAME}'>{more}</div>" if more else "")


def _figure(image: ImageRecord, caption: str) -> str:
    name = html.escape(_name(image))
    try:
        source = jpeg_url(thumbnail(read_pixels(image.path), SIDE), quality=80)
        picture = f"<img alt='{name}' style='{_PICTURE}' src='{source}'>"
    except ImageError as error:
        picture = f"<div title='{html.escape(str(error), quote=True)}'>⚠ cannot be read</div>"
    size = f"{image.width} × {image.height}"
    said = f"<br>{html.escape(caption)}" if caption else ""
    return f"<figure style='{_FRAME}'>{picture}<figcaption>{name}<br>{size}{said}</figcaption></figure>"


def _distance(other: Lookalike) -> str:
    return f"{other.distance} of 256 bits" + (", said to be the same" if other.same else "")


def _name(image: ImageRecord) -> str:
    return printable(f"{image.dataset}/{image.filename}")
