"""What every search for proposals is made of: a `Query`, and the image it is asked on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..catalog.values import to_json
from ..encoding.encoder import Encoder
from ..encoding.regions import Region
from ..encoding.search_events import SearchStopped
from ..masks import mask_bbox
from ..masks.rle import encode_part_rle
from ..prompts import Embedding, Prompt
from ..records import ImageRecord, NewProposal
from ..templates.image_features import ImageFeatures
from ..templates.other_features import FeatureReader
from ..templates.template import Template


class Search:
    """One image to search, and what a query may read of it; on a prewarmed image none of it runs an image encoder.

    Parameters
    ----------
    image : ImageRecord
    encoder : Encoder
        Of the model that draws the masks.
    features : FeatureReader
        Reads the features of this model, or of another.
    go_on : callable
        False once the search is cancelled.

    Attributes
    ----------
    encoder, reader
        The arguments `encoder` and `features`.
    encodes : int
        How often an image encoder ran for it.
    """

    def __init__(
        self,
        image: ImageRecord,
        encoder: Encoder,
        features: FeatureReader,
        *,
        go_on: Callable[[], bool] = lambda: True,
    ):
        self.image, self.model = image, encoder.model
        self.encoder, self.reader, self._go_on = encoder, features, go_on
        self.encodes = 0

    def check_stop(self) -> None:
        """Raise `SearchStopped` once the search is cancelled; for queries that take seconds, between two steps."""
        if not self._go_on():
            raise SearchStopped

    def embedding(self) -> Embedding:
        """The image's embedding."""
        return self._counted(self.encoder.embedding(self.image))

    def region_embedding(self, region: Region) -> Embedding:
        """The embedding of a part of the image, encoded when it is first asked for."""
        return self._counted(self.encoder.region_embedding(self.image, region, urgent=False))

    def features(self, template: Template) -> ImageFeatures:
        """What a template compares."""
        read = self.reader.read(self.image, template)
        self.encodes += read.encodes
        return read.features

    def _counted(self, found: tuple[Embedding, bool]) -> Embedding:
        embedding, hit = found
        self.encodes += not hit
        return embedding


class Query(Protocol):
    """What is searched for: "everything", objects like an example, a phrase.

    Values only: two that are equal have the same key, and the second one is answered from the catalog.
    """

    @property
    def kind(self) -> str:
        """Names the query; a part of its key."""

    def as_dict(self) -> dict[str, Any]:
        """All that the result depends on besides the image and the model, for JSON."""

    def find(self, search: Search) -> list[NewProposal]:
        """The masks of one image, the best first."""


def query_key(query: Query) -> str:
    """The key of a query in the catalog: SHA-256 of its kind and its values, 64 hex digits.

    Examples
    --------
    >>> from samnb.proposals import Everything
    >>> query_key(Everything()) == query_key(Everything(points_per_side=32))
    True
    """
    return hashlib.sha256(to_json(described(query)).encode()).hexdigest()


def described(query: Query) -> dict[str, Any]:
    """The query as the catalog keeps it: its values, and its kind."""
    return {"kind": query.kind, **query.as_dict()}


def parameters_of(template: Template) -> dict[str, float]:
    """A template's parameters as a query keeps them, all as floats.

    Defaults have whole numbers where a caller's are floats: 50 and 50.0 are the same question.
    """
    return {name: float(value) for name, value in template.parameters.items()}


def proposal_of(
    mask: NDArray[np.bool_],
    score: float,
    *,
    prompt: Prompt,
    stability: float = 1.0,
    corner: tuple[int, int] = (0, 0),
    size_hw: tuple[int, int] | None = None,
) -> NewProposal | None:
    """A mask as it is saved; None for an empty one.

    Parameters
    ----------
    mask : (h, w) bool
        Of the image, or of a rectangle of it.
    score, stability : float
    prompt : Prompt
        In image pixels.
    corner : (x, y)
        The rectangle's first pixel.
    size_hw : (H, W), optional
        Of the image; None: the mask's.
    """
    x, y, width, height = mask_bbox(mask)
    if not width:
        return None
    part = mask[y : y + height, x : x + width]
    place = (corner[0] + x, corner[1] + y)
    return NewProposal(
        rle=encode_part_rle(part, place, mask.shape if size_hw is None else size_hw),
        bbox=(*place, width, height),
        area=int(np.count_nonzero(part)),
        score=float(score),
        prompt=prompt.as_dict(),
        stability=float(stability),
    )
