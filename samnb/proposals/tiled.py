"""Queries on large images: asked tile by tile, and stitched so that one object is one proposal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..encoding.regions import Region, check_region
from ..encoding.tile_search import TileFind, search_tiles
from ..masks.part import MaskPart
from ..prompts import Embedding, Prompt
from ..records import NewProposal
from ..templates.image_features import ImageFeatures
from ..templates.template import Template
from .query import Query, Search


@dataclass(frozen=True, eq=False)
class InRegion:
    """A query that is asked on a part of a large image.

    Parameters
    ----------
    query : Query
    region : (x0, y0, x1, y1)
        Whole image pixels. The tiles are searched whose inner squares have pixels of it.

    Examples
    --------
    >>> from samnb.proposals import Everything
    >>> InRegion(Everything(), (0, 0, 4096, 4096)).as_dict()["region"]
    [0, 0, 4096, 4096]
    """

    query: Query
    region: Region

    @property
    def kind(self) -> str:
        """That of the query."""
        return self.query.kind

    def as_dict(self) -> dict[str, Any]:
        """The query's values, and the region."""
        return {**self.query.as_dict(), "region": list(self.region)}

    def find(self, search: Search) -> list[NewProposal]:
        """The masks of the region, the best first."""
        return find_on_tiles(self.query, search, check_region(self.region, search.image.size_hw))


class TileSearch(Search):
    """One tile of a large image, searched as if it were an image."""

    def __init__(self, whole: Search, tile: Region):
        x0, y0, x1, y1 = tile
        super().__init__(replace(whole.image, width=x1 - x0, height=y1 - y0), whole.encoder, whole.reader)
        self._whole, self._tile = whole, tile

    def check_stop(self) -> None:
        """As the search of the whole image."""
        self._whole.check_stop()

    def embedding(self) -> Embedding:
        """The tile's embedding."""
        return self._whole.region_embedding(self._tile)

    def region_embedding(self, region: Region) -> Embedding:
        """Of a part of the tile, in the tile's pixels."""
        x, y = self._tile[:2]
        return self._whole.region_embedding((region[0] + x, region[1] + y, region[2] + x, region[3] + y))

    def features(self, template: Template) -> ImageFeatures:
        """What a template compares on the tile."""
        read = self.reader.read(self._whole.image, template, self._tile)
        self._whole.encodes += read.encodes
        return read.features


def find_on_tiles(query: Query, search: Search, region: Region | None = None) -> list[NewProposal]:
    """What a query finds on a large image, or on a region of it, the best first."""
    grid = search.encoder.large.grid(search.image)

    def on_tile(tile: Region) -> Iterator[TileFind]:
        search.check_stop()
        for one in query.find(TileSearch(search, tile)):
            part = MaskPart.of_rle(one.rle)
            x, y = part.corner
            moved = MaskPart(part.mask, (x + tile[0], y + tile[1]), search.image.size_hw)
            prompt = Prompt.from_dict(one.prompt).moved(tile[0], tile[1])
            yield TileFind(moved, one.score, prompt, stability=one.stability)

    found = search_tiles(search.image, grid.tiles(region), on_tile, search.encoder)
    return [
        NewProposal(
            one.part.rle,
            one.part.bbox,
            one.part.area,
            one.score,
            one.prompt.as_dict() if one.prompt else {},
            one.stability,
        )
        for one in found
    ]
