"""`TemplateReport` and `Sweep`: how many hand-annotated objects a template finds, and how many false ones."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..cards import Html, card, count_text, html_table
from ..images.thumbnails import jpeg_url
from ..masks import overlay
from ..records import Failure

if TYPE_CHECKING:
    import pandas


WORST = 6
"""Images that a report shows."""


@dataclass(frozen=True)
class DetectionCounts:
    """Counts over some images, and the metrics computed from them.

    Parameters
    ----------
    wanted : int
        Objects annotated by hand.
    kept : int
        Masks the template made.
    found : int
        Pairs of the two with at least the minimum IoU, each object and mask in at most one pair.
    iou_sum : float
        Of the pairs.

    Examples
    --------
    >>> from samnb.templates.report import DetectionCounts
    >>> tally = DetectionCounts(wanted=10, kept=8, found=6, iou_sum=5.4)
    >>> round(tally.precision, 2), round(tally.recall, 2), round(tally.f1, 2), round(tally.mean_iou, 2)
    (0.75, 0.6, 0.67, 0.9)
    """

    wanted: int = 0
    kept: int = 0
    found: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        return DetectionCounts(
            self.wanted + other.wanted,
            self.kept + other.kept,
            self.found + other.found,
            self.iou_sum + other.iou_sum,
        )

    @property
    def precision(self) -> float:
        """Share of correct masks; 1 if there are none and none are wanted."""
        return self.found / self.kept if self.kept else float(not self.wanted)

    @property
    def recall(self) -> float:
        """Share of the objects that were found; 1 if none are wanted."""
        return self.found / self.wanted if self.wanted else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 1 if nothing is wanted and nothing was kept."""
        return 2 * self.found / (self.wanted + self.kept) if self.wanted + self.kept else 1.0

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the pairs; 0 if there are none."""
        return self.iou_sum / self.found if self.found else 0.0

    def as_dict(self) -> dict[str, float]:
        """Counts and metrics, as plain values."""
        names = ("wanted", "kept", "found", "precision", "recall", "f1", "mean_iou")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class ImageMetrics:
    """One image: its counts by category, and the missed and the false masks.

    Parameters
    ----------
    image_id, image : str
        The catalog's id, and the file name.
    tallies : mapping of str to DetectionCounts
        By category.
    scores : tuple of (score, right)
        Of every mask the template made.
    missed, false : tuple of (H, W) bool
    """

    image_id: str
    image: str
    tallies: Mapping[str, DetectionCounts]
    scores: tuple[tuple[float, bool], ...] = ()
    missed: tuple[NDArray[np.bool_], ...] = field(default=(), repr=False)
    false: tuple[NDArray[np.bool_], ...] = field(default=(), repr=False)

    @property
    def tally(self) -> DetectionCounts:
        """Over all categories."""
        return sum(self.tallies.values(), DetectionCounts())


@dataclass(frozen=True, eq=False)
class TemplateReport:
    """The evaluation of a template on objects annotated by hand; made by `Session.evaluate`.

    Parameters
    ----------
    template : str
        Name and version.
    images : tuple of ImageMetrics
        The worst first.
    min_iou : float
        The IoU from which a mask counts as the object.
    left_out : int
        Images that contain the template's own examples.
    failed : tuple of Failure
    pictures : mapping of str to array
        By image id, (H, W, 3) uint8, of the worst images, to show in the report.
    """

    template: str
    images: tuple[ImageMetrics, ...] = field(repr=False)
    min_iou: float
    left_out: int = 0
    failed: tuple[Failure, ...] = ()
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    @property
    def overall(self) -> DetectionCounts:
        """Over all images and categories."""
        return sum((image.tally for image in self.images), DetectionCounts())

    @property
    def categories(self) -> dict[str, DetectionCounts]:
        """Over all images, by category."""
        names = dict.fromkeys(name for image in self.images for name in image.tallies)
        return {
            name: sum((i.tallies.get(name, DetectionCounts()) for i in self.images), DetectionCounts())
            for name in names
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "template": self.template,
            "min_iou": self.min_iou,
            "left_out": self.left_out,
            "overall": self.overall.as_dict(),
            "categories": {name: tally.as_dict() for name, tally in self.categories.items()},
            "images": [{"image": image.image, **image.tally.as_dict()} for image in self.images],
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per image and category."""
        import pandas

        rows = [
            {"image": i.image, "category": name, **t.as_dict()} for i in self.images for name, t in i.tallies.items()
        ]
        return pandas.DataFrame(rows)

    def __str__(self) -> str:
        lines = [f"{self.template} on {count_text(len(self.images), 'image')}, a mask counts from IoU {self.min_iou:g}"]
        lines.append(f"{'':<16}{'wanted':>8}{'found':>8}{'false':>8}{'precision':>11}{'recall':>8}{'F1':>7}{'IoU':>7}")
        named = self.categories
        lines += [_line(name, tally) for name, tally in named.items()]
        if len(named) != 1:
            lines.append(_line("all", self.overall))
        if self.left_out:
            lines.append(f"{count_text(self.left_out, 'image')} left out: the template's examples are on them")
        lines += [f"⚠ {failure}" for failure in self.failed]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        overall = self.overall
        rows = [
            ("template", self.template),
            ("found", f"{overall.found} of {overall.wanted} (recall {overall.recall:.0%})"),
            ("false", f"{overall.kept - overall.found} of {overall.kept} kept (precision {overall.precision:.0%})"),
            ("F1", f"{overall.f1:.3f}"),
            ("mean IoU", f"{overall.mean_iou:.3f} of what was found"),
        ]
        if len(self.categories) > 1:
            rows += [(name, f"F1 {t.f1:.3f}, {t.found} of {t.wanted}") for name, t in self.categories.items()]
        if self.left_out:
            rows.append(("left out", f"{count_text(self.left_out, 'image')} with the template's examples"))
        rows += [("⚠", str(failure)) for failure in self.failed]
        return card(count_text(len(self.images), "image"), dict(rows)) + "".join(self._worst())

    def _worst(self) -> Iterator[str]:
        shown = [image for image in self.images if image.image_id in self.pictures]
        if not shown:
            return
        yield '<div style="display:flex;flex-wrap:wrap;gap:8px;padding:8px 0">'
        for image in shown:
            pixels, tally = self.pictures[image.image_id], image.tally
            masks = [*image.missed, *image.false]
            colors = ["#56b4e9"] * len(image.missed) + ["#d55e00"] * len(image.false)
            said = f"{image.image}: {len(image.missed)} missed, {tally.kept - tally.found} false"
            yield (
                f'<figure style="margin:0;max-width:240px;font-size:11px"><img alt="{html.escape(said, quote=True)}" '
                f'src="{_small_jpeg(overlay(pixels, masks, colors=colors) if masks else pixels)}">'
                f"<figcaption>{html.escape(said)}</figcaption></figure>"
            )
        yield "</div><div style='font-size:11px'>blue: missed · orange: made up</div>"


@dataclass(frozen=True)
class SweepRow:
    """One set of parameters and its result."""

    parameters: Mapping[str, float]
    tally: DetectionCounts


@dataclass(frozen=True)
class Sweep:
    """Parameters tried on the images annotated by hand, the best F1 first; made by `Session.sweep`.

    Parameters
    ----------
    template : str
        Name and version.
    rows : tuple of SweepRow
    images : int
        The number of searched images.
    """

    template: str
    rows: tuple[SweepRow, ...]
    images: int

    @property
    def best(self) -> dict[str, float]:
        """The parameters of the first row: ``template.with_parameters(**sweep.best)``."""
        return dict(self.rows[0].parameters)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per set of parameters."""
        import pandas

        return pandas.DataFrame([{**row.parameters, **row.tally.as_dict()} for row in self.rows])

    def __str__(self) -> str:
        names = list(self.rows[0].parameters)
        widths = [max(len(name), 8) + 2 for name in names]
        head = "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
        lines = [
            f"{self.template} on {count_text(self.images, 'image')}",
            f"{head}{'F1':>8}{'precision':>11}{'recall':>8}{'IoU':>7}",
        ]
        for row in self.rows:
            values = "".join(f"{row.parameters[name]:>{width}g}" for name, width in zip(names, widths, strict=True))
            tally = row.tally
            lines.append(f"{values}{tally.f1:>8.3f}{tally.precision:>11.3f}{tally.recall:>8.3f}{tally.mean_iou:>7.3f}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        names = list(self.rows[0].parameters)
        heads = (*names, "F1", "", "precision", "recall", "IoU")
        return html_table(heads, self._rows(names), caption=self.template)

    def _rows(self, names: Sequence[str]) -> Iterator[list[str]]:
        for row in self.rows:
            tally = row.tally
            bar = Html(f'<div style="width:{tally.f1 * 80:.0f}px;height:8px;background:#1976d2"></div>')
            cells = [*(f"{row.parameters[name]:g}" for name in names), f"{tally.f1:.3f}", bar]
            yield cells + [f"{value:.3f}" for value in (tally.precision, tally.recall, tally.mean_iou)]


def _line(name: str, tally: DetectionCounts) -> str:
    false = tally.kept - tally.found
    return (
        f"{name:<16}{tally.wanted:>8}{tally.found:>8}{false:>8}"
        f"{tally.precision:>11.3f}{tally.recall:>8.3f}{tally.f1:>7.3f}{tally.mean_iou:>7.3f}"
    )


def _small_jpeg(pixels: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((240, 240))
    return jpeg_url(np.asarray(picture), quality=85)
