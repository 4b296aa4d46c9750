"""`ReplayReport`: the result of a replay, as text and as a card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..cards import card
from ..records import Failure


@dataclass(frozen=True)
class Difference:
    """A mask that differs from the recipe's.

    Parameters
    ----------
    image, category : str
    number : int
        Of the mask in the recipe, from 0.
    iou : float
        With the mask of the recipe; 0 if there is none here.
    pixels : int
        The number of pixels that differ.
    """

    image: str
    category: str
    number: int
    iou: float
    pixels: int


@dataclass(frozen=True)
class ReplayReport:
    """The result of a replay.

    Parameters
    ----------
    images : int
        Pictures that were found, out of `wanted`.
    wanted : int
    same : int
        Masks made again that are identical.
    kept : int
        Masks that were only copied: drawn, refined by hand or imported.
    different : tuple of Difference
    failed : tuple of Failure
        Pictures that are missing, changed or unreadable, and why.
    notes : tuple of str
        Differences from the system the recipe was made on.
    """

    images: int
    wanted: int
    same: int
    kept: int
    different: tuple[Difference, ...] = ()
    failed: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when every picture was found and every mask is the same."""
        return not self.different and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"ok": self.ok} | asdict(self)

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {text}" if name else text for name, text in self._rows())

    def _repr_html_(self) -> str:
        rows = self._rows()
        return card(rows[0][1], {f"{name} " if i else name: text for i, (name, text) in enumerate(rows[1:])})

    def _rows(self) -> list[tuple[str, str]]:
        verdict = "the same masks again" if self.ok else "not all is as it was"
        made = self.same + len(self.different)
        rows = [("", f"replayed: {verdict}"), ("images", f"{self.images} of {self.wanted} found")]
        rows += [("masks", f"{self.same} of {made} made again identical, {self.kept} copied (drawn or imported)")]
        for one in self.different[:20]:
            apart = f"IoU {one.iou:.4f}, {one.pixels} pixels differ" if one.iou else "not found here"
            rows.append((f"≠ {one.image}, mask {one.number} ({one.category})", apart))
        if len(self.different) > 20:
            rows.append(("≠", f"and {len(self.different) - 20} more in .different"))
        rows += [(f"⚠ {failure.path}", failure.reason) for failure in self.failed]
        return rows + [("note", note) for note in self.notes]
