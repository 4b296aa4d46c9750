"""What the tuner shows of one image and of all scores, as HTML. No session, no widgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from ..masks import category_color
from ..template_preview import Preview
from .closeup import jpeg, outlined

__all__ = ["CSS", "figure", "histogram", "waiting"]

WIDTH = 240
"""Of a preview, in pixels."""

CSS = """
.samnb .samnb-tuner { display: flex; flex-flow: row wrap; gap: 14px; margin: var(--samnb-gap) 0; overflow: hidden; }
.samnb .samnb-controls { display: flex; flex-flow: column; flex: 1 1 270px; max-width: 340px; gap: 4px;
  padding: 0 3px; }
.samnb .samnb-controls > * { flex: none; width: auto; }
.samnb .samnb-controls .widget-hslider .widget-label { width: 118px; text-align: left; }
.samnb .samnb-controls .widget-dropdown .widget-label { width: 118px; text-align: left; }
.samnb .samnb-gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 8px;
  flex: 3 1 420px; align-content: start; overflow: hidden; }
.samnb .samnb-gallery figure { margin: 0; border: 1px solid var(--samnb-line); border-radius: var(--samnb-radius);
  overflow: hidden; }
.samnb .samnb-gallery img, .samnb .samnb-gallery .samnb-wait { display: block; width: 100%; height: 130px;
  object-fit: contain; background: var(--samnb-sunk); }
.samnb .samnb-gallery .samnb-wait { box-sizing: border-box; padding: 8px; font-size: 11px; line-height: 15px;
  white-space: normal; overflow: auto; }
.samnb .samnb-gallery figcaption { padding: 2px 6px; font-size: 11px; line-height: 16px; }
.samnb .samnb-stale { opacity: .55; }
.samnb .samnb-scores { display: block; width: 100%; height: 64px; }
.samnb .samnb-controls select { width: 100%; overflow-x: auto;
  font-family: var(--jp-code-font-family, monospace); font-size: 11px; }
"""


def figure(preview: Preview, *, review_score: float, colors: dict[str, str]) -> str:
    """One image with what was found: in the category's colour, yellow where unsure, blue what was missed."""
    shown = preview.pixels
    sure = [(m.mask, colors.get(m.category, category_color(0))) for m in preview.matches if m.score >= review_score]
    unsure = [(m.mask, "#ffd54f") for m in preview.matches if m.score < review_score]
    shown = outlined(outlined(shown, unsure, alpha=0.15), sure)
    missed = [] if preview.figures is None else [(mask, "#56b4e9") for mask in preview.figures.missed]
    shown = outlined(shown, missed, alpha=0.0)
    said = _said(preview, len(unsure))
    name = escape(f"{preview.image.dataset}/{preview.image.filename}: {said}", quote=True)
    image = f'<img alt="{name}" src="data:image/jpeg;base64,{jpeg(shown, 80)}">'
    return f"<figure>{image}{_caption(preview.image.filename, said)}</figure>"


def waiting(filename: str, said: str) -> str:
    """An image of which there is nothing to show: not yet, or because of what is said."""
    return f'<figure><div class="samnb-wait">{escape(said)}</div>{_caption(filename, "")}</figure>'


def histogram(scores: Iterable[float], *, min_score: float, review_score: float) -> str:
    """The scores of all masks in steps of 0.05, with the two thresholds: accepted, to be reviewed."""
    values = np.clip(np.fromiter(scores, float), 0, 1)
    counts, _ = np.histogram(values, bins=20, range=(0, 1))
    top = max(int(counts.max(initial=0)), 1)
    bars = "".join(
        f'<rect x="{5 * place + 0.4}" y="{40 - 38 * count / top:.2f}" width="4.2" height="{38 * count / top:.2f}" '
        f'fill="{"#ffb300" if 5 * place + 2.5 < 100 * review_score else "var(--samnb-accent)"}"/>'
        for place, count in enumerate(counts)
        if count
    )
    lines = "".join(
        f'<line x1="{100 * at:.1f}" x2="{100 * at:.1f}" y1="0" y2="40" stroke="{color}" stroke-width=".8"/>'
        for at, color in ((min_score, "#c62828"), (review_score, "currentColor"))
    )
    unsure = int((values < review_score).sum())
    said = f"scores of {len(values)} masks: {unsure} below {review_score:.2f}, to be reviewed"
    return (
        f'<svg class="samnb-scores" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{said}">{bars}{lines}</svg><div class="samnb-dim">{said}</div>'
    )


def overall(previews: Sequence[Preview]) -> str:
    """The figures over the images annotated by hand, without the template's examples if there are others."""
    measured = [each for each in previews if each.figures is not None]
    chosen = [each for each in measured if not each.is_example] or measured
    tallies = [each.figures.tally for each in chosen if each.figures is not None]
    if not tallies:
        return "no image here is annotated by hand: no figures"
    total = sum(tallies[1:], tallies[0])
    what = "the examples' own images" if all(each.is_example for each in chosen) else f"{len(chosen)} images by hand"
    figures = f"F1 {total.f1:.2f} · precision {total.precision:.2f} · recall {total.recall:.2f}"
    return f"{figures} · IoU {total.mean_iou:.2f} ({what})"


def _said(preview: Preview, unsure: int) -> str:
    parts = [f"{len(preview.matches)} found"]
    if unsure:
        parts.append(f"{unsure} unsure")
    if preview.matches:
        parts.append(f"score {sum(preview.scores) / len(preview.matches):.2f}")
    if preview.figures is not None:
        parts.append(f"F1 {preview.figures.tally.f1:.2f}")
    if preview.is_example:
        parts.append("example")
    return " · ".join(parts)


def _caption(filename: str, said: str) -> str:
    return f'<figcaption><b>{escape(filename)}</b><br><span class="samnb-number">{escape(said)}</span></figcaption>'
