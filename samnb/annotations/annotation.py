"""`Annotation`, one accepted object, and `Annotations`, a list of them that can become a table."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cards import html_table, more_text
from ..masks import decode_rle
from ..masks.part import MaskPart
from ..records import AnnotationRecord

if TYPE_CHECKING:
    import pandas


class Annotation:
    """One accepted object, saved.

    Attributes
    ----------
    id : int
    image, dataset : str
        File name and dataset of its image.
    category : str
    mask : (H, W) bool
        Decoded on first use.
    bbox : (x, y, w, h)
        Image pixels.
    area : int
        Pixels.
    score : float
        The model's IoU estimate, or for a template similarity x that estimate.
    source : str
        "hand", "import:<format>", or "template:<name>@<version>".
    attributes : dict of str to bool or str
        See `samnb.Session.add_attribute`; those left out are False or "".
    """

    def __init__(self, record: AnnotationRecord):
        self.record = record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return getattr(self.record, name)

    def __copy__(self) -> Annotation:
        """Without what was decoded, which may be megabytes."""
        return type(self)(self.record)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool. Raises `ImageError` for an image so large that it would take gigabytes: see `part`."""
        return decode_rle(self.record.rle)

    @cached_property
    def part(self) -> MaskPart:
        """The mask inside `bbox` alone, for large images: `part.mask` begins at `part.corner`, (x, y)."""
        return MaskPart.of_rle(self.record.rle)

    def as_dict(self) -> dict[str, Any]:
        """The fields of one row of a table; the mask is left out."""
        names = ("id", "dataset", "image", "category", "score", "area", "bbox", "source", "created_at")
        return {name: getattr(self.record, name) for name in names}

    def __repr__(self) -> str:
        return f"<Annotation {self.id}: {self.category} on {self.image}, score {self.score:.2f}, area {self.area}>"


class Annotations(list[Annotation]):
    """A list of annotations that can become a table."""

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per annotation; needs pandas."""
        import pandas

        columns = ["id", "dataset", "image", "category", "score", "area", "bbox", "source", "created_at"]
        return pandas.DataFrame([a.as_dict() for a in self], columns=columns)

    def _repr_html_(self) -> str:
        rows = [(a.id, a.image, a.category, f"{a.score:.2f}", a.area, a.source) for a in self[:50]]
        table = html_table(("id", "image", "category", "score", "area", "source"), rows)
        more = more_text(len(self), 50)
        return table + (f"<p>{more}</p>" if more else "")
