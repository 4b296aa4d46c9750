"""`search_tiles`: a search of a large image, tile by tile; what is found is stitched, one object is one mask.

What a seam cuts off, and no tile shows whole, is decoded once more on a tile centred on it: see
`samnb.masks.stitching` for the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..masks.clicks import first_click
from ..masks.part import MaskPart
from ..masks.stitching import SAME, Piece, Stitched, stitch
from ..prompts import Prompt
from ..records import ImageRecord
from .encoder import Encoder
from .regions import Region, holds, in_region
from .tiles import TileGrid


@dataclass(frozen=True, eq=False)
class TileFind:
    """A mask that a search found on a tile.

    Parameters
    ----------
    part : MaskPart
        In image pixels.
    score : float
    prompt : Prompt
        In image pixels.
    category : str
    stability : float
    """

    part: MaskPart
    score: float
    prompt: Prompt
    category: str = ""
    stability: float = 1.0


FindOnTile = Callable[[Region], Iterable[TileFind]]


def search_tiles(image: ImageRecord, tiles: Sequence[Region], find: FindOnTile, encoder: Encoder) -> list[TileFind]:
    """All objects on some tiles of an image, the best score first.

    Objects that are cut off are decoded on tiles of their own: at most as many as there are tiles.

    Parameters
    ----------
    image : ImageRecord
    tiles : sequence of (x0, y0, x1, y1)
    find : callable
        Given a tile, the masks on it.
    encoder : Encoder
    """
    found: list[TileFind] = []
    of_tile: list[Region] = []
    for tile in tiles:
        here = list(find(tile))
        found += here
        of_tile += [tile] * len(here)
    kept: list[TileFind] = []
    for category in dict.fromkeys(one.category for one in found):
        mine = [number for number, one in enumerate(found) if one.category == category]
        pieces = [Piece(found[number].part, of_tile[number]) for number in mine]
        kept += _of_one_category([found[number] for number in mine], pieces, image, encoder, len(tiles))
    return sorted(kept, key=lambda one: -one.score)


def _of_one_category(
    found: Sequence[TileFind], pieces: Sequence[Piece], image: ImageRecord, encoder: Encoder, most: int
) -> list[TileFind]:
    joined = [(_joined(one, found), one) for one in stitch(pieces)]
    whole = [(one, pieces[how.members[0]].tile) for one, how in joined if not how.is_cut]
    cut = sorted((one for one, how in joined if how.is_cut), key=lambda one: -one.score)
    completer, left = _Completer(image, encoder), []
    for one in cut:
        done = completer.complete(one) if completer.tiles < most else None
        if done is None:
            left.append(one)
        else:
            whole.append(done)
    again = stitch([Piece(one.part, tile) for one, tile in whole])
    return [whole[one.members[0]][0] for one in again] + [one for one in left if not _covered(one, whole)]


def _joined(how: Stitched, found: Sequence[TileFind]) -> TileFind:
    best = found[how.members[0]]
    return replace(best, part=how.part, score=max(found[number].score for number in how.members))


def _covered(cut: TileFind, whole: Iterable[tuple[TileFind, Region]]) -> bool:
    return any(cut.part.common(one.part) >= SAME * cut.part.area and cut.part.iou(one.part) >= SAME for one, _ in whole)


class _Completer:
    """Decodes cut-off objects on tiles centred on them; counts the tiles that were encoded for it."""

    def __init__(self, image: ImageRecord, encoder: Encoder):
        self._image, self._encoder, self._grid = image, encoder, TileGrid(image.size_hw)
        self._seen: set[Region] = set()

    @property
    def tiles(self) -> int:
        """How many tiles were needed so far."""
        return len(self._seen)

    def complete(self, cut: TileFind) -> tuple[TileFind, Region] | None:
        """The whole object and its tile; None where the model sees another object there, or none that is whole."""
        tile = self._grid.centred(cut.part.box)
        x, y = first_click(cut.part.mask)
        prompt = Prompt.of(points=[(x + cut.part.corner[0], y + cut.part.corner[1])])
        if not holds(tile, prompt):
            return None
        self._seen.add(tile)
        embedding, _ = self._encoder.region_embedding(self._image, tile)
        prediction = self._encoder.model.decode(embedding, in_region(prompt, tile))
        best: tuple[float, TileFind] | None = None
        for index, score in enumerate(prediction.scores.tolist()):
            part = MaskPart.of(prediction.mask_of(index), tile[:2], self._image.size_hw)
            piece = Piece(part, tile)
            # The cut-off mask may end anywhere within the whole one, but must be on it.
            on_it = cut.part.common(part) / max(1, cut.part.area)
            if not piece.is_cut and on_it >= 0.8 and (best is None or score > best[0]):
                best = (score, replace(cut, part=part, prompt=prompt))
        return None if best is None else (best[1], tile)
