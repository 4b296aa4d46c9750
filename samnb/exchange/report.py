"""`ImportReport`: the result of an import, as text and as a card."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..cards import card, count_text, more_text
from ..records import Failure

__all__ = ["ImportReport"]

_SHOWN = 20


@dataclass(frozen=True)
class ImportReport:
    """The result of `Session.import_`.

    Parameters
    ----------
    format : str
    path : Path
    added : int
        Annotations that are new.
    already : int
        Annotations of the file that existed before; they are unchanged.
    images : int
        Images of the session that the file names, including those without objects.
    pictures_added : int
        Images that were not in the session before.
    categories_added : tuple of str
    failed : tuple of Failure
        Records that could not be read, or fit no image, and why.
    notes : tuple of str
        Records that were changed on import.
    by_hand : bool
        The new ones count as made by hand: templates are made from them, and measured with them.
    """

    format: str
    path: Path
    added: int
    already: int
    images: int
    pictures_added: int = 0
    categories_added: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    by_hand: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return asdict(self) | {"path": str(self.path)}

    def __str__(self) -> str:
        parts = [f"{count_text(self.added, 'annotation')} from {self.path.name} on {count_text(self.images, 'image')}"]
        parts += ["as made by hand"] if self.by_hand else []
        parts += [f"{self.already:,} there already"] if self.already else []
        parts += [f"{count_text(self.pictures_added, 'picture')} added"] if self.pictures_added else []
        parts += [f"{len(self.failed):,} not used"] if self.failed else []
        lines = [" · ".join(parts), *(f"  {note}" for note in self.notes), *(f"  ⚠ {line}" for line in self._failures)]
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def _failures(self) -> list[str]:
        lines = [f"{failure.path}: {failure.reason}" for failure in self.failed[:_SHOWN]]
        return [*lines, *filter(None, [more_text(len(self.failed), _SHOWN, "in .failed")])]

    def _repr_html_(self) -> str:
        rows = {
            "new": count_text(self.added, "annotation") + (", as made by hand" if self.by_hand else ""),
            "there already": count_text(self.already, "annotation") if self.already else "none",
            "images": f"{self.images:,}" + (f", {self.pictures_added:,} of them new" if self.pictures_added else ""),
        }
        if self.categories_added:
            more = " …" if len(self.categories_added) > _SHOWN else ""
            rows["new categories"] = ", ".join(self.categories_added[:_SHOWN]) + more
        if self.notes:
            rows["note"] = "; ".join(self.notes)
        if self.failed:
            rows["not used"] = f"{len(self.failed):,}"
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in self._failures)
        return card(f"{self.format} · {self.path.name}", rows) + (f"<ul>{lines}</ul>" if lines else "")
