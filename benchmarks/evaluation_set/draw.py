"""Draw every mask on its picture, to be looked at: ``python -m benchmarks.evaluation_set.draw --out FOLDER``.

Each object becomes a tile: the picture round it, enlarged or shrunk to one size, with the mask's edge in green.
``--grid PICTURE X0 Y0 X1 Y1`` instead enlarges a part of a picture with its pixel coordinates, to trace from.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation_set import SETS, Case, load_cases
from benchmarks.evaluation_set.pictures import read_picture

TILE = 240
CAPTION = 16
AROUND = 0.18
GREEN = (0, 255, 0)

Picture = npt.NDArray[np.uint8]


def tile(case: Case, side: int = TILE) -> Picture:
    """Return one object's (side + caption, side, 3) uint8 BGR tile."""
    y, x = np.nonzero(case.mask)
    height, width = case.mask.shape
    margin = 4 + int(AROUND * max(np.ptp(x), np.ptp(y)))
    x0, x1 = max(0, int(x.min()) - margin), min(width, int(x.max()) + margin + 1)
    y0, y1 = max(0, int(y.min()) - margin), min(height, int(y.max()) + margin + 1)
    scale = side / max(x1 - x0, y1 - y0)
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    part: Any = cv2.resize(case.pixels[y0:y1, x0:x1, ::-1], size, interpolation=cv2.INTER_LINEAR)
    inside: Any = cv2.resize(case.mask[y0:y1, x0:x1].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    edges, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(part, edges, -1, GREEN, 1)
    whole = np.full((side + CAPTION, side, 3), 30, np.uint8)
    whole[: size[1], : size[0]] = part
    caption = f"{case.image}: {case.label}"
    cv2.putText(whole, caption, (2, side + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.34, (255, 255, 255), 1, cv2.LINE_AA)
    return whole


def sheet(cases: list[Case], columns: int = 6, side: int = TILE) -> Picture:
    """Return the tiles of all cases side by side, (H, W, 3) uint8 BGR."""
    tiles = [tile(case, side) for case in cases]
    tiles += [np.full_like(tiles[0], 30)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def grid(pixels: Picture, box: tuple[int, int, int, int], wide: int = 1200) -> Picture:
    """Return a part (x0, y0, x1, y1) enlarged to about `wide` pixels, a line and number every ten image pixels."""
    x0, y0, x1, y1 = box
    scale = max(1, wide // max(x1 - x0, y1 - y0))
    part: Any = cv2.resize(pixels[y0:y1, x0:x1, ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    lines = part.copy()
    for x in range(-(-x0 // 10) * 10, x1, 10):
        at = int((x - x0 + 0.5) * scale)
        cv2.line(lines, (at, 0), (at, lines.shape[0]), (255, 255, 255), 1)
        cv2.putText(part, str(x), (at + 1, 9), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (0, 255, 255), 1, cv2.LINE_AA)
    for y in range(-(-y0 // 10) * 10, y1, 10):
        at = int((y - y0 + 0.5) * scale)
        cv2.line(lines, (0, at), (lines.shape[1], at), (255, 255, 255), 1)
        cv2.putText(part, str(y), (1, at - 1), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (0, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(part, 0.7, lines, 0.3, 0), np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("evaluation_set_drawn"), help="folder for the pictures")
    parser.add_argument("--side", type=int, default=TILE, help="pixels of a tile")
    parser.add_argument("--columns", type=int, default=6, help="tiles in a row")
    parser.add_argument("--suffix", choices=(".png", ".jpg"), default=".png")
    parser.add_argument("--grid", nargs=5, metavar=("PICTURE", "X0", "Y0", "X1", "Y1"), help="what to trace")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.grid:
        x0, y0, x1, y1 = map(int, arguments.grid[1:])
        path = arguments.out / f"{arguments.grid[0]}.png"
        cv2.imwrite(str(path), grid(read_picture(arguments.grid[0]), (x0, y0, x1, y1)))
        print(path)
        return
    for name in arguments.sets:
        path = arguments.out / f"{name}{arguments.suffix}"
        drawn = sheet(load_cases([name]), arguments.columns, arguments.side)
        cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, 80])
        print(path)


if __name__ == "__main__":
    main()
