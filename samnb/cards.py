"""The one look of everything shown in a notebook: colours and spacing, and the frame of cards and galleries."""

from __future__ import annotations

import html
from collections.abc import Mapping

__all__ = ["DIM", "FACE", "FONT", "GAP", "LINE", "RADIUS", "SIZE", "SMALL", "SUNK", "TEXT", "card", "pane"]

# JupyterLab's theme variables, so light and dark follow the theme; the second value is for pages without JupyterLab.
TEXT, DIM = "var(--jp-ui-font-color1,#222)", "var(--jp-ui-font-color2,#666)"
FACE, SUNK = "var(--jp-layout-color1,#fff)", "var(--jp-layout-color2,#f2f2f2)"
LINE = "var(--jp-border-color2,#ddd)"
FONT, SIZE, SMALL = "var(--jp-ui-font-family,system-ui,sans-serif)", "var(--jp-ui-font-size1,13px)", "11px"
RADIUS, GAP = "6px", "8px"


def pane(title: str, inside: str) -> str:
    """HTML in the frame that the widgets have too; the title is escaped."""
    return (
        f"<div style='display:inline-block;box-sizing:border-box;max-width:100%;margin:2px;padding:10px 12px;"
        f"border:1px solid {LINE};border-radius:{RADIUS};background:{FACE};color:{TEXT};font-family:{FONT};"
        f"font-size:{SIZE};line-height:20px;font-variant-numeric:tabular-nums'>"
        f"<div style='font-weight:600;margin-bottom:4px'>{html.escape(title)}</div>{inside}</div>"
    )


def card(title: str, rows: Mapping[str, str]) -> str:
    """A small card of names and what they say; title and rows are escaped.

    Examples
    --------
    >>> "3 &lt; 4" in card("cache", {"entries": "3 < 4"})
    True
    """
    cells = "".join(
        f"<div style='color:{DIM}'>{html.escape(name)}</div>"
        f"<div style='min-width:0;overflow-wrap:anywhere'>{html.escape(text)}</div>"
        for name, text in rows.items()
    )
    return pane(title, f"<div style='display:grid;grid-template-columns:auto auto;gap:2px 14px'>{cells}</div>")
