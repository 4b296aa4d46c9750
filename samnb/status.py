"""`Status`: a summary of a session, as a card, as text and as plain values."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cards import card, count_text, size_text, text_rows
from .models import HasPrecision
from .records import UNSURE

if TYPE_CHECKING:
    from .encoding.encoder import Encoder

__all__ = ["Status"]


@dataclass(frozen=True)
class Status:
    """A summary of a session: a card in a notebook, text in a terminal, and a dict, `dict(status)`, for monitoring.

    Parameters
    ----------
    images, unique_contents, unique_images : int
        Images; how many have different bytes, and how many different pixels.
    duplicate_groups, duplicates : int
        Groups of images with the same pixels, and how many images they have beyond the first.
    annotations, unsure : int
        Annotations, and how many of them a template found and wait for a review.
    cached, coverage_percent : int, float
        Images whose embedding the store holds now, for the session's model.
    cached_by_model : mapping
        Embeddings in the store by the name of their model; if there are thousands, estimated from a part of them.
    cache_entries, cache_bytes : int
        Embeddings of all models, and what they take on the disk.
    image_bytes : int
        Of the files of the images, each content once.
    unread : int
        Images that came from the earlier server and were not read since.
    read_only : bool
        The catalog was written by a newer samnb: it is read and not changed.
    precision, precision_reason : str
        What the model's encoder computes in, and why, where samnb chose between several.
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
    precision_reason: str = ""
    unsure: int = 0

    @classmethod
    def read(cls, encoder: Encoder, folder: Path) -> Status:
        """Count now. A writable catalog's flags are set to what the store holds."""
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
            annotations=sum(catalog.count_annotations().values()),
            unsure=sum(catalog.count_annotations(review=UNSURE).values()),
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
            precision=encoder.model.precision if isinstance(encoder.model, HasPrecision) else "",
            precision_reason=getattr(encoder.model, "precision_reason", ""),
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
        """The precision it computes in, if that is not float32."""
        usual = self.precision in ("", "float32") and not self.device.startswith("cuda")
        return "" if usual else f", {self.precision}"

    @property
    def _rows(self) -> dict[str, str]:
        copies = (
            f"{count_text(self.duplicate_groups, 'picture')} with {self.duplicates} more" if self.duplicates else "none"
        )
        by_model = ", ".join(f"{name} {count:,}" for name, count in self.cached_by_model.items())
        rows = {
            "images": f"{self.images} in {count_text(self.datasets, 'dataset')}, {size_text(self.image_bytes)}",
            "unique": f"{self.unique_images} by pixels, {self.unique_contents} by bytes",
            "duplicates": copies,
            "cached": f"{self.cached} of {self.images} ({self.coverage_percent:g} %)",
            "annotations": str(self.annotations) + (f", {self.unsure} wait for a review" if self.unsure else ""),
            "model": f"{self.model} on {self.device}{self._half}",
            "cache": f"{self.cache_entries} embeddings, {size_text(self.cache_bytes)}"
            + (f" · {by_model}" if by_model else ""),
            "folder": self.folder,
        }
        if self.precision_reason:
            rows["precision"] = f"{self.precision}: {self.precision_reason}"
        if self.read_only:
            rows["read only"] = "written by a newer samnb: nothing is changed here"
        if self.unread:
            rows["not read yet"] = f"{self.unread} from the earlier server: session.fill_hashes()"
        return rows

    def __str__(self) -> str:
        return f"samnb session {self.name}\n{text_rows(self._rows, 12)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return card(f"samnb · {self.name}", self._rows)
