"""Draws docs/images/packages.svg, the packages of samnb and their imports: `python docs/site/package_picture.py`.

A row is a layer of `[tool.importlinter]` in pyproject.toml. An arrow is an import; one that follows from others is left
out, so that the picture stays readable.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "packages.svg"

# Layers of single files at the bottom are many, and say little: one row holds them.
BELOW = "small modules"
_ROW, _BOX, _GAP, _WIDTH = 58, 26, 24, 900


def layers() -> list[list[str]]:
    """Package names by layer, the highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[name.strip() for name in layer.split("|")] for layer in listed]


def imports() -> set[tuple[str, str]]:
    """Pairs (importer, imported) of top-level packages and modules of samnb."""
    graph = grimp.build_graph("samnb", cache_dir=None)
    pairs = set()
    for module in graph.modules - {"samnb"}:
        for imported in graph.find_modules_directly_imported_by(module) - {"samnb"}:
            pairs.add((module.split(".")[1], imported.split(".")[1]))
    return {(one, other) for one, other in pairs if one != other}


def rows() -> list[list[str]]:
    """The rows of the picture: layers from `cli` to `images`, and one row for everything below."""
    listed = layers()
    last = next(number for number, names in enumerate(listed) if "images" in names)
    return [*listed[: last + 1], [BELOW]]


def arrows() -> set[tuple[str, str]]:
    """The imports to draw: between rows, without those that follow from two others."""
    drawn = {name for row in rows() for name in row}
    pairs = {(one, other if other in drawn else BELOW) for one, other in imports() if one in drawn}
    follow = {(a, d) for a, b in pairs for c, d in _closure(pairs) if b == c}
    return pairs - follow


def svg() -> str:
    """The picture as text; the same for the same imports."""
    place: dict[str, tuple[float, float, float]] = {}  # middle, top, width
    for number, row in enumerate(rows()):
        widths = [9 * len(name) + 24 for name in row]
        x = (_WIDTH - sum(widths) - _GAP * (len(row) - 1)) / 2
        for name, width in zip(row, widths, strict=True):
            # Rows of one box swing to both sides, so that arrows past them can be seen.
            shift = 150 * (-1) ** number if len(row) == 1 and number else 0
            place[name] = (x + width / 2 + shift, 10 + _ROW * number, width)
            x += width + _GAP
    height = 10 + _ROW * len(rows())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="15">',
        "<title>The packages of samnb and their imports</title>",
        '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',
        '<defs><marker id="tip" markerWidth="7" markerHeight="6" refX="7" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#7a8aa0"/></marker></defs>',
    ]
    for one, other in sorted(arrows()):
        (x1, y1, _), (x2, y2, _) = place[one], place[other]
        start, end = y1 + _BOX, y2 - 1
        bend = (end - start) / 2
        lines.append(
            f'<path d="M{x1:.0f},{start:.0f} C{x1:.0f},{start + bend:.0f} '
            f'{x2:.0f},{end - bend:.0f} {x2:.0f},{end:.0f}" fill="none" stroke="#7a8aa0" marker-end="url(#tip)"/>'
        )
    for name, (x, y, width) in place.items():
        lines.append(
            f'<rect x="{x - width / 2:.0f}" y="{y}" width="{width}" height="{_BOX}" rx="5" '
            'fill="#e8eef7" stroke="#35507a"/>'
            f'<text x="{x:.0f}" y="{y + 18}" text-anchor="middle" fill="#16243a">{name}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _closure(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs that are connected by one import or several."""
    every = set(pairs)
    while more := {(a, d) for a, b in every for c, d in pairs if b == c} - every:
        every |= more
    return every


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
    print(PICTURE)
