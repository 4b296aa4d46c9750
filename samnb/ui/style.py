"""The one place for colours, spacing and the style sheet of all widgets.

Surfaces, text and borders are JupyterLab's theme variables, so light and dark follow the theme; the second value of
each `var()` is for pages without JupyterLab.
"""

from __future__ import annotations

from functools import cache
from html import escape

import ipywidgets

from ..masks import CATEGORY_COLORS

__all__ = ["ACCENT", "BACKGROUND_POINT", "FOREGROUND_POINT", "PICTURE_SIZE", "button", "html", "sheet"]

ACCENT = "#1e88e5"
FOREGROUND_POINT = "#1b9e57"
BACKGROUND_POINT = "#d93f3f"

# (width, height) in CSS pixels: the most a picture takes; wider does not fit a notebook beside the side panel.
PICTURE_SIZE = (720, 540)

_CSS = """
.samnb {
  --samnb-accent: #1976d2; --samnb-on-accent: #fff; --samnb-gap: 8px; --samnb-radius: 4px;
  --samnb-text: var(--jp-ui-font-color1, #222); --samnb-dim: var(--jp-ui-font-color2, #666);
  --samnb-line: var(--jp-border-color2, #ddd); --samnb-sunk: var(--jp-layout-color2, #f2f2f2);
  --samnb-bad: var(--jp-error-color1, #c62828);
  box-sizing: border-box; max-width: 100%; overflow: hidden; margin: 2px; padding: 10px 12px;
  border: 1px solid var(--samnb-line); border-radius: 6px; background: var(--jp-layout-color1, #fff);
  color: var(--samnb-text); font-family: var(--jp-ui-font-family, system-ui, sans-serif);
  font-size: var(--jp-ui-font-size1, 13px); line-height: 20px;
}
[data-jp-theme-light="false"] .samnb { --samnb-accent: #64b5f6; --samnb-on-accent: #10202e; }
.samnb .widget-html, .samnb .widget-html-content { margin: 0; height: auto; line-height: 20px; font-size: inherit;
  color: inherit; overflow: hidden; }
.samnb .widget-html-content { width: 100%; }
.samnb .samnb-sheet { display: none; }
.samnb .samnb-tools { margin-top: var(--samnb-gap); }
.samnb .samnb-row { display: flex; flex-flow: row wrap; align-items: center; gap: var(--samnb-gap); overflow: hidden; }
.samnb .samnb-spread { display: flex; flex-flow: row wrap; justify-content: space-between; gap: 0 16px; }
.samnb .samnb-status { display: flex; justify-content: space-between; gap: 16px; white-space: nowrap; }
.samnb .samnb-status .samnb-number { flex: none; }
.samnb .samnb-status .samnb-clip { min-width: 0; }
.samnb .samnb-dim { color: var(--samnb-dim); }
.samnb .samnb-strong { font-weight: 600; }
.samnb .samnb-number { font-variant-numeric: tabular-nums; }
.samnb .samnb-clip { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.samnb .samnb-label { color: var(--samnb-dim); font-size: 11px; letter-spacing: .04em; text-transform: uppercase; }

.samnb .samnb-button { display: inline-flex; align-items: center; justify-content: center; width: auto; height: 28px;
  line-height: 1; margin: 0; padding: 0 10px; flex: none; gap: 6px;
  font-size: inherit; border: 1px solid var(--samnb-line); border-radius: var(--samnb-radius); box-shadow: none;
  background: transparent; color: var(--samnb-text); font-variant-numeric: tabular-nums; }
.samnb .samnb-button:hover:enabled { background: var(--samnb-sunk); box-shadow: none; }
.samnb .samnb-button:focus-visible { outline: 2px solid var(--samnb-accent); outline-offset: 1px; }
.samnb .samnb-button:disabled { opacity: .4; }
.samnb .samnb-button.samnb-icon { width: 30px; padding: 0; }
.samnb .samnb-button.samnb-plain { border-color: transparent; color: var(--samnb-dim); width: 24px; height: 22px;
  padding: 0; }
.samnb .samnb-button.samnb-primary, .samnb .samnb-button.samnb-primary:hover:enabled {
  background: var(--samnb-accent); border-color: var(--samnb-accent); color: var(--samnb-on-accent); flex: 1 1 auto; }
.samnb .samnb-button.samnb-chosen { border-color: var(--samnb-accent); box-shadow: inset 0 0 0 1px var(--samnb-accent);
  font-weight: 600; }
.samnb .samnb-grow { flex: 1 1 0; }
.samnb .samnb-button.samnb-grow { padding: 0 4px; }
.samnb .samnb-button i { margin: 0; }
.samnb .samnb-chip::before, .samnb .samnb-dot { content: ""; display: inline-block; width: 9px; height: 9px;
  border-radius: 50%; background: var(--samnb-dim); }
.samnb .samnb-dot { margin-right: 6px; }
.samnb .samnb-new { width: 120px; height: 28px; margin: 0; }
.samnb .samnb-new input { height: 28px; border-radius: var(--samnb-radius); font-size: inherit; }

.samnb .samnb-stage { flex: 100 1 420px; align-self: flex-start; overflow: hidden; padding: 0; margin: 0;
  border-radius: var(--samnb-radius);
  background: var(--samnb-sunk); cursor: crosshair; outline: none; line-height: 0; }
.samnb .samnb-stage canvas { pointer-events: none; display: block; }
.samnb .samnb-body { display: flex; flex-flow: row wrap; gap: 12px; margin: var(--samnb-gap) 0; overflow: hidden; }
.samnb .samnb-side { flex: 1 1 204px; max-width: 300px; gap: var(--samnb-gap); overflow: hidden; }
.samnb .samnb-list { overflow: hidden auto; border-top: 1px solid var(--samnb-line); padding-top: 4px; }
.samnb .samnb-entry { display: flex; flex-flow: row nowrap; align-items: center; min-height: 26px; flex: none;
  overflow: hidden; border-radius: var(--samnb-radius); }
.samnb .samnb-entry:hover { background: var(--samnb-sunk); }
.samnb .samnb-entry .widget-html { flex: 1 1 0; min-width: 0; }

.samnb .samnb-notice { display: flex; flex-flow: row nowrap; align-items: flex-start; margin: 6px 0 0;
  padding: 4px 4px 4px 10px; border-left: 3px solid var(--samnb-bad); background: var(--samnb-sunk); overflow: hidden; }
.samnb .samnb-notice .widget-html { flex: 1 1 0; min-width: 0; color: var(--samnb-bad); }
.samnb .samnb-notice .widget-html-content { overflow-wrap: anywhere; }

.samnb .samnb-bar { display: flex; height: 8px; margin: 6px 0; border-radius: 4px; overflow: hidden;
  background: var(--samnb-sunk); }
.samnb .samnb-bar div { transition: width .15s linear; }
.samnb .samnb-bar-computed { background: var(--samnb-accent); }
.samnb .samnb-bar-skipped { background: var(--samnb-accent); opacity: .45; }
.samnb .samnb-bar-failed { background: var(--samnb-bad); }
.samnb details { margin-top: 4px; } .samnb summary { cursor: pointer; }
.samnb .samnb-failures { max-height: 160px; overflow: auto; margin: 4px 0 0; padding-left: 18px; }
.samnb .samnb-failures li { overflow-wrap: anywhere; }
"""


@cache
def _css() -> str:
    dots = (
        f".samnb .samnb-color-{i}::before, .samnb .samnb-dot.samnb-color-{i} {{ background: {color}; }}"
        for i, color in enumerate(CATEGORY_COLORS)
    )
    return "\n".join((_CSS.strip(), *dots))


def sheet() -> ipywidgets.HTML:
    """The style sheet as a widget; each outermost widget carries one, since a notebook has no other place for it."""
    widget = html(f"<style>{_css()}</style>")
    widget.add_class("samnb-sheet")
    return widget


def color_class(index: int) -> str:
    """CSS class of the dot of the category at that place."""
    return f"samnb-color-{index % len(CATEGORY_COLORS)}"


def html(value: str = "", *classes: str) -> ipywidgets.HTML:
    """A line of HTML without the default width."""
    widget = ipywidgets.HTML(value, layout=ipywidgets.Layout(width="auto"))
    for name in classes:
        widget.add_class(name)
    return widget


def button(text: str = "", *classes: str, icon: str = "", tooltip: str = "") -> ipywidgets.Button:
    """A button as wide as its text."""
    widget = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip)
    for name in ("samnb-button", *classes):
        widget.add_class(name)
    return widget


def box(*children: ipywidgets.Widget, classes: tuple[str, ...] = ()) -> ipywidgets.Box:
    """A box that the style sheet lays out."""
    widget = ipywidgets.Box(children)
    for name in classes:
        widget.add_class(name)
    return widget


def span(text: object, *classes: str) -> str:
    """Escaped text in a span of these classes, without their "samnb-"."""
    names = " ".join(f"samnb-{name}" for name in classes)
    return f'<span class="{names}">{escape(str(text))}</span>'
