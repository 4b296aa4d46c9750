"""The one look of everything shown in a notebook: colours and spacing, and the frame of cards and galleries."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

__all__ = [
    "DIM",
    "FACE",
    "FONT",
    "GAP",
    "LINE",
    "RADIUS",
    "SIZE",
    "SMALL",
    "SUNK",
    "TEXT",
    "card",
    "counted",
    "html_table",
    "mebibytes",
    "pane",
]

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


def html_table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table of text, without a style; heads and cells are escaped."""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it is not 1."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def mebibytes(size: int) -> str:
    """A number of bytes in MiB."""
    return f"{size / 2**20:,.1f} MiB"
