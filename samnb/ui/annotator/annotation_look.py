"""`AnnotationLook`: which annotations are drawn, and in which colours; the pixels where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...masks import category_color
from ...masks.part import MaskPart
from ...masks.rle import overlap_rle
from ...records import UNSURE
from .shapes import Shape

if TYPE_CHECKING:
    from ...annotations.annotation import Annotation
    from .annotation_outlines import AnnotationOutlines
    from .category_palette import Palette

OVERLAP = "#ff00c8"
"""Of no category's colour."""


@dataclass(frozen=True)
class AnnotationLook:
    """How annotations are drawn.

    Parameters
    ----------
    color_by : str
        "category", or "object": each object has another colour than those made before and after it.
    hidden : frozenset of str
        Categories that are not drawn.
    overlap : bool
        Whether pixels that belong to two or more annotations are marked.
    """

    color_by: str = "category"
    hidden: frozenset[str] = frozenset()
    overlap: bool = False

    def color(self, annotation: Annotation, palette: Palette) -> str:
        """The "#rrggbb" of an annotation."""
        return category_color(annotation.id) if self.color_by == "object" else palette.color(annotation.category)

    def shapes(
        self, drawn: Sequence[Annotation], outlines: AnnotationOutlines, palette: Palette, *, without: int | None
    ) -> list[Shape]:
        """The shapes of annotations in their order, but of those `without`, hidden ones, and those without outlines."""
        shapes = []
        for annotation in drawn:
            found = outlines.get(annotation)
            if annotation.id == without or annotation.category in self.hidden or found is None:
                continue
            unsure = annotation.review == UNSURE
            about = f" {annotation.score:.2f} · {annotation.source}" if unsure else ""
            color = self.color(annotation, palette)
            shapes.append(Shape(found, color, annotation.id, annotation.category + about, unsure))
        return shapes


def overlap_shape(annotations: Sequence[Annotation]) -> Shape | None:
    """The pixels that two or more annotations of one image have in common; None: there are none."""
    rles = [annotation.rle for annotation in annotations]
    if not rles:
        return None
    common = MaskPart.of_rle(overlap_rle(rles, (rles[0]["size"][0], rles[0]["size"][1])))
    found = common.polygons(tolerance=0.0, exact=False)
    return Shape(tuple(found), OVERLAP) if found else None
