"""`AddReport`: the result of adding pictures, as text and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..cards import count_text, more_text
from ..records import Failure, ImageRecord


@dataclass(frozen=True)
class AddReport:
    """The result of `Session.add`.

    Parameters
    ----------
    dataset : str
    images : tuple of ImageRecord
        All images of this call that are in the dataset now.
    added : int
        How many of them were not in it before.
    duplicates_found : int
        How many of them already have their embedding cached, from any dataset or earlier session.
    duplicates : int
        How many of them have the same pixels as an earlier image of the session.
    failed : tuple of Failure
    changed : int
        How many had the same path with other pixels before. Annotations stay, and belong to the old picture.
    notes : tuple of str
        What was left out of the files read: further pages, pictures in formats that are not decoded.
    """

    dataset: str
    images: tuple[ImageRecord, ...]
    added: int
    duplicates_found: int
    duplicates: int
    failed: tuple[Failure, ...] = ()
    changed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def duplicates_message(self) -> str:
        """The server version's message; empty when nothing is cached yet."""
        if not self.duplicates_found:
            return ""
        return f"{self.duplicates_found} image(s) already cached, prewarm will be faster"

    def as_dict(self) -> dict[str, Any]:
        """Plain values with the server version's names."""
        return {
            "dataset": self.dataset,
            "images": [image.filename for image in self.images],
            "added": self.added,
            "duplicates_found": self.duplicates_found,
            "duplicates_message": self.duplicates_message,
            "duplicates": self.duplicates,
            "changed": self.changed,
            "failed": [asdict(f) for f in self.failed],
        }

    def __str__(self) -> str:
        parts = [f"{count_text(len(self.images), 'image')} in {self.dataset!r}", f"{self.added:,} new"]
        if self.changed:
            parts.append(f"{self.changed:,} changed, look at their annotations")
        if self.duplicates_found:
            parts.append(f"{self.duplicates_found:,} already cached, prewarm will be faster")
        if self.duplicates:
            parts.append(count_text(self.duplicates, "duplicate"))
        if self.failed:
            parts.append(f"{len(self.failed):,} failed")
        lines = [" · ".join(parts), *(f"  {note}" for note in self.notes), *(f"  ⚠ {f}" for f in self.failed[:20])]
        more = more_text(len(self.failed), 20, "in .failed")
        return "\n".join([*lines, *([f"  {more}"] if more else [])])

    __repr__ = __str__


def shown_text(shown: Mapping[str, int]) -> str:
    """How pictures of more than 8 bits are shown, by the text of their limits; "" for none."""
    if not shown:
        return ""
    most = sorted(shown.items(), key=lambda one: -one[1])
    listed = "; ".join(f"{count:,} as {limits}" for limits, count in most[:3]) + (" …" if len(most) > 3 else "")
    what = f"{count_text(sum(shown.values()), 'picture')} of more than 8 bits, shown from black to white: {listed}"
    return f"{what}. view=samnb.View(limits=…) shows them otherwise"


def pages_text(files: Sequence[str]) -> str:
    """Which files have more pictures than the one that was taken; "" for none."""
    if not files:
        return ""
    shown = "; ".join(files[:3]) + (" …" if len(files) > 3 else "")
    what = f"{count_text(len(files), 'file')} of several pages or frames"
    return f"{what}, of which the first was taken (stack=True adds all of a TIFF): {shown}"
