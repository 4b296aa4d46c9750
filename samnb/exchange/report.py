"""`ExportReport` and `ImportReport`: what an export or an import did, as text and as a card."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..cards import card, count_text, more_text
from ..records import Failure

_SHOWN = 20


@dataclass(frozen=True)
class ExportReport:
    """The result of an export.

    Parameters
    ----------
    format : str
        Name of the format, a key of `samnb.exchange.export.EXPORTERS`, or "recipe".
    path : Path
        The requested file or folder.
    images, annotations : int
        Their numbers in it; images without annotations count.
    files : tuple of Path
        Every file written.
    failed : tuple of Failure
        What was left out, with the reason.
    notes : tuple of str
        Values that the format cannot store.
    unsure : int
        Annotations among those written that a template found and that wait for a review.
    """

    format: str
    path: Path
    images: int
    annotations: int
    files: tuple[Path, ...] = field(default=(), repr=False)
    failed: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    unsure: int = 0

    @property
    def _written(self) -> str:
        text = f"{count_text(self.annotations, 'annotation')} on {count_text(self.images, 'image')}"
        return f"{text}, {self.unsure:,} of them wait for a review (session.review())" if self.unsure else text

    def __repr__(self) -> str:
        return _text(f"{self._written} → {self.path}", self.notes, self.failed)

    def _repr_html_(self) -> str:
        rows = {
            "written": self._written,
            "files": f"{len(self.files):,}",
            "where": str(self.path),
        }
        return _card(f"{self.format} · {self.path.name}", rows, self.notes, self.failed, "left out")


@dataclass(frozen=True)
class ImportReport:
    """The result of `Session.import_`.

    Parameters
    ----------
    format : str
    path : Path
    added : int
        New annotations.
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
        return _text(" · ".join(parts), self.notes, self.failed)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = {
            "new": count_text(self.added, "annotation") + (", as made by hand" if self.by_hand else ""),
            "there already": count_text(self.already, "annotation") if self.already else "none",
            "images": f"{self.images:,}" + (f", {self.pictures_added:,} of them new" if self.pictures_added else ""),
        }
        if self.categories_added:
            more = " …" if len(self.categories_added) > _SHOWN else ""
            rows["new categories"] = ", ".join(self.categories_added[:_SHOWN]) + more
        return _card(f"{self.format} · {self.path.name}", rows, self.notes, self.failed, "not used")


def _text(head: str, notes: Sequence[str], failed: Sequence[Failure]) -> str:
    return "\n".join([head, *(f"  {note}" for note in notes), *(f"  ⚠ {line}" for line in _failures(failed))])


def _card(title: str, rows: dict[str, str], notes: Sequence[str], failed: Sequence[Failure], failed_label: str) -> str:
    if notes:
        rows["note"] = "; ".join(notes)
    if failed:
        rows[failed_label] = f"{len(failed):,}"
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in _failures(failed))
    return card(title, rows) + (f"<ul>{lines}</ul>" if lines else "")


def _failures(failed: Sequence[Failure]) -> list[str]:
    lines = [str(failure) for failure in failed[:_SHOWN]]
    return [*lines, *filter(None, [more_text(len(failed), _SHOWN, "in .failed")])]
