"""YOLO's segmentation format: a text file of polygons for each picture, and data.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...cards import count_text
from ...errors import PromptError
from ...masks.part import MaskPart
from ...records import AnnotationRecord, Failure
from ..report import ExportReport
from .layout import ExportItem, FolderWriter, Names, each
from .pictures import upright_copy
from .single_ring import bridged


def export_yolo(
    path: Path,
    items: Sequence[ExportItem],
    categories: Sequence[str],
    *,
    pictures: bool = True,
    tolerance: float = 0.5,
    val: float = 0.0,
) -> ExportReport:
    """A folder for training YOLO: ``data.yaml``, ``images/`` and ``labels/``; empty label files for empty images.

    A line is one object: its category's number from 0, then x and y of its outline's corners, 0 to 1. The format has
    one polygon per object: holes and further parts are joined to it by cuts of zero width, which filling by the
    even-odd rule leaves open; readers that also paint outlines close them by a pixel. Annotations are in stacking
    order, the topmost last.

    Parameters
    ----------
    pictures : bool
        Upright copies of the pictures in ``images/``. False: only labels, with the same names.
    tolerance : float
        How far, in pixels, an outline may leave the mask's edge; 0: exact.
    val : float
        The share of the pictures that validates: these are in ``images/val`` and ``labels/val``, the others in
        ``…/train``. Chosen by the pixels, so the same pictures are divided the same way each time. 0: not divided.

    Raises
    ------
    PromptError
        A share that is none.
    """
    if isinstance(val, bool) or not (isinstance(val, (int, float)) and 0 <= val < 1):
        raise PromptError(f"val: expected the share of pictures that validates, from 0 to below 1; got {val!r}.")
    validating = _chosen(items, val)
    failed: list[Failure] = []
    stems, cut, written = Names(), [0, 0], 0
    originals: dict[str, str] = {}

    def write(item: ExportItem) -> None:
        stem = stems.stem(item.name)
        if validating:
            stem = f"{'val' if item.image.id in validating else 'train'}/{stem}"
        if pictures:
            suffix, content = upright_copy(item.image)
            folder.write(f"images/{stem}{suffix}", content)
        lines = [
            line for annotation in item.annotations if (line := _line(item, annotation, categories, tolerance, cut))
        ]
        folder.write(f"labels/{stem}.txt", "".join(lines).encode("ascii"))
        originals[f"labels/{stem}"] = item.name

    with FolderWriter(path, items) as folder:
        items = list(each(items, write, failed))
        folder.write("data.yaml", _data(categories, divided=bool(validating)))
        folder.write_manifest("yolo", images=originals, failed=failed)
    written = sum(bool(annotation.area) for item in items for annotation in item.annotations)
    notes = [*folder.notes]
    if val and not validating:
        notes.append("not divided: that takes two different pictures, or stacks")
    elif val:
        apart = sum(item.image.id in validating for item in items)
        notes.append(f"{count_text(len(items) - apart, 'image')} in train, {apart:,} in val")
    if cut[0]:
        notes.append(f"{count_text(cut[0], 'hole')} joined to outlines by cuts: the format knows none")
    if without := sum(bool(annotation.attributes) for item in items for annotation in item.annotations):
        notes.append(f"attributes of {count_text(without, 'object')} left out: the format has none")
    if cut[1]:
        notes.append(f"{count_text(cut[1], 'object')} in parts, joined to one outline by cuts")
    if bare := sum(not any(annotation.area for annotation in item.annotations) for item in items):
        notes.append(f"{count_text(bare, 'image')} without an object, as background")
    return ExportReport("yolo", path, len(items), written, tuple(folder.files), tuple(failed), tuple(notes))


def _line(
    item: ExportItem, annotation: AnnotationRecord, categories: Sequence[str], tolerance: float, cut: list[int]
) -> str:
    polygons = MaskPart.of_rle(annotation.rle).polygons(tolerance=tolerance)
    if not polygons:
        return ""
    cut[0] += sum(len(polygon.holes) for polygon in polygons)
    cut[1] += len(polygons) > 1
    ring = bridged(polygons) / np.array([item.image.width, item.image.height])
    # Seven digits: a thousandth of a pixel in the largest picture.
    numbers = " ".join(f"{value:.7f}".rstrip("0").rstrip(".") for value in ring.ravel())
    return f"{categories.index(annotation.category)} {numbers}\n"


def _chosen(items: Sequence[ExportItem], share: float) -> set[str]:
    """The ids of the images that validate: a random choice, always the same one, and neither part empty."""
    groups = sorted(_inseparable(items), key=lambda group: min(item.image.pixel_hash for item in group))
    if not share or len(groups) < 2:
        return set()
    wanted, chosen, count = share * len(items), list[list[ExportItem]](), 0
    for group in groups:
        if abs(count + len(group) - wanted) < abs(count - wanted):
            chosen.append(group)
            count += len(group)
    chosen = chosen[:-1] if len(chosen) == len(groups) else chosen or [min(groups, key=len)]
    return {item.image.id for group in chosen for item in group}


def _inseparable(items: Sequence[ExportItem]) -> list[list[ExportItem]]:
    """The images by what may not be divided: slices of one stack are alike, and equal pictures teach what is asked."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while (above := leaders.setdefault(name, name)) != name:
            leaders[name] = leaders[above]
            name = above
        return name

    for item in items:
        if item.details.stack:
            leaders[leader(item.details.stack)] = leader(item.image.pixel_hash)
    groups: dict[str, list[ExportItem]] = {}
    for item in items:
        groups.setdefault(leader(item.image.pixel_hash), []).append(item)
    return list(groups.values())


def _data(categories: Sequence[str], *, divided: bool) -> bytes:
    # No path: readers then use the folder this file is in, also after a move.
    train, val = ("images/train", "images/val") if divided else ("images", "images")
    document = {"train": train, "val": val, "nc": len(categories), "names": dict(enumerate(categories))}
    # A line for each name, in ASCII: some readers open the file in the system's encoding, or by lines.
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=10**9)
    return text.encode("ascii")
