"""What a session hands out: annotations, and reports that show themselves as text or as a card."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .cards import card
from .catalog import AnnotationRecord, ImageRecord
from .catalog.tallies import annotations_by_image
from .masks import decode_rle

if TYPE_CHECKING:
    import pandas

    from .encoding.encoder import Encoder

__all__ = ["AddReport", "Annotation", "Annotations", "Failure", "Status", "card"]


class Annotation:
    """One accepted object, saved.

    Attributes
    ----------
    id : int
    image, dataset : str
        File name and dataset of its image.
    category : str
    mask : (H, W) bool
        Decoded when first asked for.
    bbox : (x, y, w, h)
        Image pixels.
    area : int
        Pixels.
    score : float
        The model's IoU estimate, or for a template similarity x that estimate.
    source : str
        "hand", "import:<format>", or "template:<name>@<version>".
    """

    def __init__(self, record: AnnotationRecord):
        self.record = record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return getattr(self.record, name)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return decode_rle(self.record.rle)

    def as_dict(self) -> dict[str, Any]:
        """The fields of one row of a table; the mask is left out."""
        names = ("id", "dataset", "image", "category", "score", "area", "bbox", "source", "created_at")
        return {name: getattr(self.record, name) for name in names}

    def __repr__(self) -> str:
        return f"<Annotation {self.id}: {self.category} on {self.image}, score {self.score:.2f}, area {self.area}>"


class Annotations(list[Annotation]):
    """A list of annotations that can become a table."""

    def to_dataframe(self) -> pandas.DataFrame:
        """One row an annotation; needs pandas."""
        import pandas

        columns = ["id", "dataset", "image", "category", "score", "area", "bbox", "source", "created_at"]
        return pandas.DataFrame([a.as_dict() for a in self], columns=columns)

    def _repr_html_(self) -> str:
        rows = [(a.id, a.image, a.category, f"{a.score:.2f}", a.area, a.source) for a in self[:50]]
        more = f"<p>… and {len(self) - 50} more</p>" if len(self) > 50 else ""
        return _table(("id", "image", "category", "score", "area", "source"), rows) + more


@dataclass(frozen=True)
class Failure:
    """A file that was not added, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class AddReport:
    """What `Session.add` did.

    Parameters
    ----------
    dataset : str
    images : tuple of ImageRecord
        All images of this call that are in the dataset now.
    added : int
        How many of them were not in it before.
    duplicates_found : int
        How many of them already have their embedding cached, from whatever dataset or session run.
    duplicates : int
        How many of them show the same pixels as an earlier image of the session.
    failed : tuple of Failure
    changed : int
        How many were there under the same path with other pixels. Annotations stay, and belong to the old picture.
    """

    dataset: str
    images: tuple[ImageRecord, ...]
    added: int
    duplicates_found: int
    duplicates: int
    failed: tuple[Failure, ...] = ()
    changed: int = 0

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
        parts = [f"{_count(len(self.images), 'image')} in {self.dataset!r}", f"{self.added} new"]
        if self.changed:
            parts.append(f"{self.changed} changed, look at their annotations")
        if self.duplicates_found:
            parts.append(f"{self.duplicates_found} already cached, prewarm will be faster")
        if self.duplicates:
            parts.append(_count(self.duplicates, "duplicate"))
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        lines = [" · ".join(parts), *(f"  ⚠ {f.path}: {f.reason}" for f in self.failed[:20])]
        if len(self.failed) > 20:
            lines.append(f"  … and {len(self.failed) - 20} more in .failed")
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class Status:
    """A session at a glance: a card in a notebook, a text in a terminal, and a dict, `dict(status)`, for monitoring.

    Parameters
    ----------
    images, unique_contents, unique_images : int
        Images; how many have different bytes, and how many different pixels.
    duplicate_groups, duplicates : int
        Pictures that are there several times, and how many images are so beyond the first.
    cached, coverage_percent : int, float
        Images whose embedding the store holds now, for the session's model.
    cached_by_model : mapping
        Embeddings in the store by the name of their model; where there are thousands, reckoned from a part of them.
    cache_entries, cache_bytes : int
        Embeddings of all models, and what they take on the disk.
    image_bytes : int
        Of the files of the images, each content once.
    unread : int
        Images that came from the earlier server and were not read since.
    read_only : bool
        The catalog was written by a newer samnb: it is read and not changed.
    """

    name: str
    folder: str
    images: int
    unique_images: int
    duplicates: int
    datasets: int
    annotations: int
    cached: int
    coverage_percent: float
    model: str
    device: str
    cache_entries: int
    cache_bytes: int
    unread: int = 0
    unique_contents: int = 0
    duplicate_groups: int = 0
    cached_by_model: Mapping[str, int] = field(default_factory=dict)
    image_bytes: int = 0
    read_only: bool = False
    precision: str = ""

    @classmethod
    def read(cls, encoder: Encoder, folder: Path) -> Status:
        """Count now; the catalog's flags are set to what the store holds on the way, where it can be written."""
        catalog, stats = encoder.catalog, encoder.cache.stats(models=True)
        read_only = getattr(catalog, "read_only", False)
        if not read_only:
            catalog.refresh_cached(encoder.has)
        images, groups = catalog.images(), catalog.duplicates()
        cached = sum(encoder.has(image) if read_only else image.embedding_cached for image in images)
        contents = {image.content_hash or image.id: image.size_bytes for image in images}
        return cls(
            name=folder.name,
            folder=str(folder),
            images=len(images),
            unique_images=len({image.pixel_hash for image in images}),
            duplicates=sum(len(group) - 1 for group in groups),
            datasets=len(catalog.datasets()),
            annotations=sum(annotations_by_image(catalog).values()),
            cached=cached,
            coverage_percent=round(100 * cached / len(images), 2) if images else 0.0,
            model=encoder.model.name,
            # Asking a model for its device loads torch; a card must not take seconds.
            device=encoder.model.device if "torch" in sys.modules else encoder.device,
            cache_entries=stats.entries,
            cache_bytes=stats.bytes,
            unread=sum(not image.is_read for image in images),
            unique_contents=len(contents),
            duplicate_groups=len(groups),
            cached_by_model=dict(stats.models),
            image_bytes=sum(contents.values()),
            read_only=read_only,
            precision=getattr(encoder.model, "precision", ""),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return asdict(self)

    def keys(self) -> Iterable[str]:
        """The names of the values, so that `dict(status)` and `status["images"]` work."""
        return self.as_dict().keys()

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    @property
    def _half(self) -> str:
        """In which precision it computes, where that is not the one everybody expects."""
        usual = self.precision in ("", "float32") and not self.device.startswith("cuda")
        return "" if usual else f", {self.precision}"

    @property
    def _rows(self) -> dict[str, str]:
        copies = (
            f"{_count(self.duplicate_groups, 'picture')} with {self.duplicates} more" if self.duplicates else "none"
        )
        by_model = ", ".join(f"{name} {count:,}" for name, count in self.cached_by_model.items())
        rows = {
            "images": f"{self.images} in {_count(self.datasets, 'dataset')}, {_mebibytes(self.image_bytes)}",
            "unique": f"{self.unique_images} by pixels, {self.unique_contents} by bytes",
            "duplicates": copies,
            "cached": f"{self.cached} of {self.images} ({self.coverage_percent:g} %)",
            "annotations": str(self.annotations),
            "model": f"{self.model} on {self.device}{self._half}",
            "cache": f"{self.cache_entries} embeddings, {_mebibytes(self.cache_bytes)}"
            + (f" · {by_model}" if by_model else ""),
            "folder": self.folder,
        }
        if self.read_only:
            rows["read only"] = "written by a newer samnb: nothing is changed here"
        if self.unread:
            rows["not read yet"] = f"{self.unread} from the earlier server: session.fill_hashes()"
        return rows

    def __str__(self) -> str:
        return f"samnb session {self.name}\n" + "\n".join(f"  {name:<12}{text}" for name, text in self._rows.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return card(f"samnb · {self.name}", self._rows)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
