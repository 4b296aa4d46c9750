"""HTML cards, panels and tables, and the text of numbers and sizes in them. Strings only."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from .printable import printable

__all__ = [
    *("BACKGROUND", "BACKGROUND_ALT", "BORDER", "FONT", "FONT_SIZE", "FONT_SIZE_SMALL", "GAP", "RADIUS"),
    *("TEXT", "TEXT_SECONDARY"),
    *("Html", "card", "count_text", "html_table", "more_text", "panel", "size_text", "text_rows"),
]

# JupyterLab's theme variables, so light and dark follow the theme; the second value is for pages without JupyterLab.
TEXT, TEXT_SECONDARY = "var(--jp-ui-font-color1,#222)", "var(--jp-ui-font-color2,#666)"
BACKGROUND, BACKGROUND_ALT = "var(--jp-layout-color1,#fff)", "var(--jp-layout-color2,#f2f2f2)"
BORDER = "var(--jp-border-color2,#ddd)"
FONT = "var(--jp-ui-font-family,system-ui,sans-serif)"
FONT_SIZE, FONT_SIZE_SMALL = "var(--jp-ui-font-size1,13px)", "11px"
RADIUS, GAP = "6px", "8px"


class Html(str):
    """Text that is HTML already: `html_table` does not escape it."""


def panel(title: str, content: str) -> str:
    """HTML in a frame like that of the widgets; the title is escaped, the content is HTML."""
    return (
        f"<div style='display:inline-block;box-sizing:border-box;max-width:100%;margin:2px;padding:10px 12px;"
        f"border:1px solid {BORDER};border-radius:{RADIUS};background:{BACKGROUND};color:{TEXT};font-family:{FONT};"
        f"font-size:{FONT_SIZE};line-height:20px;font-variant-numeric:tabular-nums'>"
        f"<div style='font-weight:600;margin-bottom:4px'>{html.escape(title)}</div>{content}</div>"
    )


def card(title: str, rows: Mapping[str, str]) -> str:
    """A panel with a list of labels and values; title, labels and values are escaped.

    Examples
    --------
    >>> "3 &lt; 4" in card("cache", {"entries": "3 < 4"})
    True
    """
    cells = "".join(
        f"<div style='color:{TEXT_SECONDARY}'>{html.escape(name)}</div>"
        f"<div style='min-width:0;overflow-wrap:anywhere'>{html.escape(text)}</div>"
        for name, text in rows.items()
    )
    return panel(title, f"<div style='display:grid;grid-template-columns:auto auto;gap:2px 14px'>{cells}</div>")


def text_rows(rows: Mapping[str, str], width: int) -> str:
    """The labels and values of a card as lines of text; the values start in one column.

    Parameters
    ----------
    rows : mapping of label to value
    width : int
        Characters from a label's start to its value; more where a label is longer.

    Examples
    --------
    >>> print(text_rows({"images": "5", "annotations": "12"}, 8))
      images      5
      annotations 12
    """
    width = max(width, *(len(name) + 1 for name in rows))
    return "\n".join(f"  {name:<{width}}{printable(text, lines=True)}" for name, text in rows.items())


def html_table(heads: Iterable[str], rows: Iterable[Iterable[object]], *, caption: str = "", style: str = "") -> str:
    """A plain table; all text is escaped, apart from `Html`.

    Parameters
    ----------
    heads : iterable of str
        Titles of the columns.
    rows : iterable of iterable
        Cells.
    caption : str
        Above the table; "" for none.
    style : str
        CSS of each cell.

    Examples
    --------
    >>> html_table(["a", "b"], [[1, "<"]])
    '<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>&lt;</td></tr></table>'
    """
    style = f" style='{style}'" if style else ""
    head = "".join(f"<th{style}>{_escaped(value)}</th>" for value in heads)
    lines = ("".join(f"<td{style}>{_escaped(value)}</td>" for value in row) for row in rows)
    title = f"<caption>{_escaped(caption)}</caption>" if caption else ""
    return f"<table>{title}<tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def count_text(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun; the plural is the noun with "s" unless it is given.

    >>> count_text(1, "image"), count_text(1200, "image"), count_text(2, "copy", "copies")
    ('1 image', '1,200 images', '2 copies')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def more_text(total: int, shown: int, where: str = "") -> str:
    """The number of items that are not shown, and where to find them; "" if all are shown.

    >>> more_text(30, 20, "in .failed"), more_text(20, 20)
    ('… and 10 more in .failed', '')
    """
    return f"… and {total - shown:,} more {where}".rstrip() if total > shown else ""


def size_text(size: int) -> str:
    """A number of bytes, in KiB, MiB or GiB.

    >>> size_text(2**21), size_text(50 * 10**9), size_text(5000), size_text(0)
    ('2.0 MiB', '46.6 GiB', '5 KiB', '0.0 MiB')
    """
    if 0 < abs(size) < 2**20:
        return f"{max(1, round(size / 2**10)):,d} KiB"
    return f"{size / 2**30:,.1f} GiB" if abs(size) >= 2**30 else f"{size / 2**20:,.1f} MiB"


def _escaped(value: object) -> str:
    return value if isinstance(value, Html) else html.escape(str(value))
