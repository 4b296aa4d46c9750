"""`Proposal`, one mask that nobody accepted yet, and `Proposals`, a list of them that can become a table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cards import html_table, more_text
from ..masks import decode_rle
from ..records import AnnotationRecord, ImageRecord, ProposalRecord

if TYPE_CHECKING:
    import pandas

OFFERED = "proposal"
"""Category of proposals in an export."""

_COLUMNS = ("id", "dataset", "image", "kind", "score", "stability", "area", "bbox", "review")


class Proposal:
    """One mask that a search offers and nobody accepted yet.

    Attributes
    ----------
    id : int
    image, dataset : str
        File name and dataset of the image it was asked for on.
    kind : str
        Of the query: "everything", …
    mask : (H, W) bool
        Decoded on first use.
    bbox : (x, y, w, h)
        Image pixels.
    area : int
        Pixels.
    score : float
        What the search ranks by: for "everything" the model's IoU estimate.
    stability : float
        IoU of the mask with a raised and with a lowered threshold, 0 to 1.
    review : str
        "", "accepted" or "rejected".
    """

    def __init__(self, record: ProposalRecord, image: ImageRecord):
        self.record, self.image_record = record, image

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("record", "image_record"):
            raise AttributeError(name)
        return getattr(self.record, name)

    @property
    def image(self) -> str:
        """File name of the image."""
        return self.image_record.filename

    @property
    def image_id(self) -> str:
        """The catalog's id of the image."""
        return self.image_record.id

    @property
    def dataset(self) -> str:
        """The image's dataset."""
        return self.image_record.dataset

    @property
    def kind(self) -> str:
        """The query's kind."""
        return str(self.record.query["kind"])

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return decode_rle(self.record.rle)

    def as_dict(self) -> dict[str, Any]:
        """The fields of one row of a table; the mask is left out."""
        return {name: getattr(self, name) for name in _COLUMNS}

    def __repr__(self) -> str:
        return f"<Proposal {self.id}: {self.kind} on {self.image}, score {self.score:.2f}, area {self.area}>"


class Proposals(list[Proposal]):
    """A list of proposals that can become a table."""

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per proposal; needs pandas."""
        import pandas

        return pandas.DataFrame([one.as_dict() for one in self], columns=list(_COLUMNS))

    def _repr_html_(self) -> str:
        rows = [(p.id, p.image, p.kind, f"{p.score:.2f}", p.area, p.review) for p in self[:50]]
        table = html_table(("id", "image", "kind", "score", "area", "review"), rows)
        more = more_text(len(self), 50)
        return table + (f"<p>{more}</p>" if more else "")


def as_annotations(proposals: Iterable[Proposal], *, after: int) -> list[AnnotationRecord]:
    """Proposals as rows of an export, numbered after the last annotation."""
    first = after + 1
    return [
        AnnotationRecord(
            id=first + place,
            image_id=one.image_id,
            image=one.image,
            dataset=one.dataset,
            category=OFFERED,
            rle=one.record.rle,
            bbox=one.record.bbox,
            area=one.record.area,
            score=one.record.score,
            source=f"proposal:{one.kind}",
            prompt=one.record.prompt,
            model=one.record.model,
            created_at=one.record.created_at,
        )
        for place, one in enumerate(proposals)
    ]
