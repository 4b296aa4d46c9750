"""The previews and the summary of the tuner, as HTML. No session, no widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from ...cards import count_text
from ...images.thumbnails import jpeg_url
from ...masks import category_color
from ...masks.drawing import OutlineCache, draw_masks
from ...templates.preview import Preview

WIDTH = 240
"""Size of a preview, in pixels."""

CSS = """
.samnb .samnb-tuner { display: flex; flex-flow: row wrap; gap: 14px; margin: var(--samnb-gap) 0; overflow: hidden; }
.samnb .samnb-controls { display: flex; flex-flow: column; flex: 1 1 270px; max-width: 340px; gap: 4px;
  padding: 0 3px; }
.samnb .samnb-controls > * { flex: none; width: auto; }
.samnb .samnb-controls .widget-hslider .widget-label { width: 146px; text-align: left; }
.samnb .samnb-controls .widget-dropdown .widget-label { width: 146px; text-align: left; }
.samnb .samnb-gallery { display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fill, minmax(clamp(150px, 15vw, 340px), 1fr));
  flex: 3 1 420px; align-content: start; overflow: hidden; }
.samnb .samnb-gallery figure { margin: 0; border: 1px solid var(--samnb-line); border-radius: var(--samnb-radius);
  overflow: hidden; }
.samnb .samnb-gallery img, .samnb .samnb-gallery .samnb-wait { display: block; width: 100%;
  height: clamp(130px, min(13vw, 18vh), 260px); object-fit: contain; background: var(--samnb-sunk); }
.samnb .samnb-gallery .samnb-wait { box-sizing: border-box; padding: 8px; font-size: 11px; line-height: 15px;
  white-space: normal; overflow: auto; }
/* Room for a second line of what is said, which comes and goes with the parameters: rows do not move then. */
.samnb .samnb-gallery figcaption { padding: 2px 6px; font-size: 11px; line-height: 16px; min-height: 48px; }
.samnb .samnb-gallery figure { position: relative; }
.samnb .samnb-enlarge { position: absolute; right: 4px; top: 4px; width: 24px; height: 24px; padding: 0; border: 0;
  border-radius: 3px; background: rgba(0,0,0,.55); color: #fff; font-size: 14px; line-height: 24px; cursor: pointer;
  opacity: 0; }
.samnb figure:hover .samnb-enlarge, .samnb .samnb-enlarge:focus-visible,
.samnb .samnb-large .samnb-enlarge { opacity: 1; }
.samnb .samnb-gallery > .samnb-large { grid-column: 1 / -1; }
.samnb .samnb-gallery > .samnb-large img { height: min(560px, 70vh); }
.samnb .samnb-stale { opacity: .55; }
.samnb .samnb-gallery img { cursor: pointer; }
.samnb .samnb-marking { gap: 6px; }
.samnb .samnb-marking .widget-dropdown { width: 330px; }
.samnb .samnb-marking .widget-label { width: auto; margin-right: 8px; }
.samnb .samnb-marking .samnb-number { flex: 1 1 200px; }
.samnb .samnb-controls select[size] { width: 100%; overflow-x: auto; white-space: pre;
  font-family: var(--jp-code-font-family, monospace); font-size: 11px; }
"""


def figure(
    preview: Preview,
    *,
    number: int,
    review_score: float,
    colors: Mapping[str, str],
    outlines: OutlineCache,
    marks: Mapping[int, bool] | None = None,
) -> str:
    """One image with found objects: in the category's colour, uncertain ones yellow, missed ones blue.

    Parameters
    ----------
    preview : Preview
    number : int
        Of the image in the grid, for clicks on it.
    review_score : float
    colors : mapping of str to "#rrggbb"
        By category.
    outlines : OutlineCache
    marks : mapping of int to bool, optional
        By match: True was marked as good, False as bad.
    """
    shown, marks = preview.pixels.copy(), marks or {}
    unsure = [match.mask for match in preview.matches if match.score < review_score]
    draw_masks(shown, unsure, "#ffd54f", alpha=0.15, outlines=outlines)
    for category in dict.fromkeys(match.category for match in preview.matches):
        sure = [m.mask for m in preview.matches if m.category == category and m.score >= review_score]
        draw_masks(shown, sure, colors.get(category, category_color(0)), outlines=outlines)
    if preview.figures is not None:
        draw_masks(shown, preview.figures.missed, "#56b4e9", alpha=0.0, outlines=outlines)
    for index, good in marks.items():
        _draw_mark(shown, preview.matches[index].mask, good)
    said = _said(preview, len(unsure), marks)
    name = escape(f"{preview.image.dataset}/{preview.image.filename}: {said}", quote=True)
    image = f'<img data-sample="{number}" alt="{name}" src="{jpeg_url(shown, 80)}">'
    larger = f'<button class="samnb-enlarge" title="Larger, or small again" aria-label="enlarge {name}">⤢</button>'
    return f"<figure>{larger}{image}{_caption(preview.image.filename, said)}</figure>"


def _draw_mark(shown: NDArray[np.uint8], mask: NDArray[np.bool_], good: bool) -> None:
    """A tick or a cross in the middle of an object."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    x, y = int(columns[0] + columns[-1]) // 2, int(rows[0] + rows[-1]) // 2
    cv2.circle(shown, (x, y), 11, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(shown, (x, y), 9, (27, 158, 87) if good else (217, 63, 63), -1, cv2.LINE_AA)
    lines = [[(-4, 0), (-1, 4), (5, -4)]] if good else [[(-4, -4), (4, 4)], [(-4, 4), (4, -4)]]
    for line in lines:
        cv2.polylines(shown, [np.add(line, (x, y))], False, (255, 255, 255), 2, cv2.LINE_AA)


def waiting(filename: str, said: str) -> str:
    """A placeholder for an image: not ready yet, or with the reason of a failure."""
    return f'<figure><div class="samnb-wait">{escape(said)}</div>{_caption(filename, "")}</figure>'


def overall(previews: Sequence[Preview]) -> str:
    """The metrics over the images annotated by hand; – where there are none besides the template's examples."""
    measured = [each for each in previews if each.figures is not None]
    chosen = [each for each in measured if not each.is_example]
    tallies = [each.figures.tally for each in chosen if each.figures is not None]
    if not tallies:
        which = "only the examples' own images are" if measured else "no image here is"
        return f"F1 – · precision – · recall – · IoU – ({which} annotated by hand)"
    total = sum(tallies[1:], tallies[0])
    figures = f"F1 {total.f1:.2f} · precision {total.precision:.2f} · recall {total.recall:.2f}"
    return f"{figures} · IoU {total.mean_iou:.2f} ({count_text(len(chosen), 'image')} by hand)"


def _said(preview: Preview, unsure: int, marks: Mapping[int, bool]) -> str:
    parts = [f"{len(preview.matches)} found"]
    if unsure:
        parts.append(f"{unsure} unsure")
    if preview.matches:
        parts.append(f"score {sum(preview.scores) / len(preview.matches):.2f}")
    if preview.figures is not None:
        parts.append("F1 –" if preview.is_example else f"F1 {preview.figures.tally.f1:.2f}")
    if good := sum(marks.values()):
        parts.append(f"{good} good")
    if bad := len(marks) - good:
        parts.append(f"{bad} bad")
    if preview.is_example:
        parts.append("example")
    return " · ".join(parts)


def _caption(filename: str, said: str) -> str:
    return f'<figcaption><b>{escape(filename)}</b><br><span class="samnb-number">{escape(said)}</span></figcaption>'
