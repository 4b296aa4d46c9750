"""Who made each mask, from what, and how: ``python -m benchmarks.evaluation_set.manifest`` writes manifest.json again.

Area and box of every mask stand there too, so that a mask that changes is noticed.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.evaluation_set import TRACED_CELLS, Case, load_cases
from benchmarks.evaluation_set.everyday import CREDITS
from benchmarks.evaluation_set.labelled import ENLARGED, GLYPHS
from benchmarks.evaluation_set.pictures import HERE, PICTURES

MANIFEST = HERE / "manifest.json"

TRACED = {
    "who": "traced by hand for samnb",
    "how": "outline on 2 to 12 times enlarged parts of the picture, drawn back on it, looked at and corrected",
}
MADE = {
    "coins": {
        "who": "scikit-image's gallery recipe (Sobel and watershed), reviewed by eye for samnb",
        "how": "label picture, frozen; holes filled, specks removed",
        "source": "tests/data/coins/coins_masks.png",
    },
    "nuclei": {
        "who": "annotators of the 2018 Data Science Bowl; chosen and reviewed by eye for samnb",
        "how": "256 × 256 part at (40, 256) of img2d.tif and mask2d.tif as packaged in stardist 0.9.2 (BSD-3-Clause); "
        "left out: nuclei cut by the border, and one nearly hidden",
        "source": "labels/nuclei_masks.png",
    },
    "glyphs": {
        "who": "thresholded for samnb, chosen and reviewed by eye",
        "how": f"part of the picture enlarged {ENLARGED} times; connected pixels darker than 0.62–0.72 of the paper",
    },
    "phantom": {
        "who": "exact",
        "how": "connected region of one grey",
        "source": "phantom.png, made.py",
    },
    "silhouettes": {
        "who": "exact",
        "how": "scikit-image's horse laid on a texture, the outline softened by 0.8 pixels",
        "source": "horse.png, made.py",
    },
}
NOTES = {
    ("retina", "optic disc"): "the rim fades: another hand may differ by 8 of its 150 pixels",
    ("clock_motion", "clock"): "smeared by motion: the outline is where the smear ends",
    ("ihc", "small gland"): "the stain fades over about 5 pixels",
    ("coffee", "coffee"): "the dark band at the wall of the cup is taken as coffee",
    ("coffee", "cup"): "foot and handle lie in deep shadow",
    ("coffee", "spoon"): "in two parts, the cup's rim between them",
    ("camera", "man"): "in three parts, the tripod between them",
    ("astronaut", "shuttle model"): "with its stand",
    ("china", "pagoda"): "with what shows between its columns; ends where trees hide it",
    ("motorcycle_left", "front mudguard"): "in two parts, the fork between them",
    ("motorcycle_left", "big carton"): "its front only",
    ("motorcycle_left", "small carton"): "its front only",
    ("airport", "pickup truck"): "without the plough",
    ("airport", "tail fin in front"): "the dark fin only; the picture is coarse here",
    ("billiards", "man in white"): "feet in the shade; his cue is not cut out",
    ("billiards", "pink shirt"): "in two parts: without the cue and the hand in front of it",
    ("owl", "owl"): "in two parts, the branch between them",
    ("portrait_man", "man"): "the hair at his neck and his left cheek border on shadow",
    ("shepherd_dog", "dog"): "fur and grass: another hand may differ by 3 pixels",
    ("spray_bottle", "bottle"): "without the head; the edges are pale",
    ("three_men", "right man's arm"): "with the watch",
    ("rabbit", "rabbit"): "grass stands in front of the feet and is not cut out",
}


def origin(case: Case) -> dict[str, str]:
    """Return who, how and source of one case."""
    if case.set_name == "everyday":
        return {**TRACED, "source": f"outlines/everyday/{case.image}.json"}
    if case.set_name == "photographs" or case.image in TRACED_CELLS:
        return {**TRACED, "source": f"outlines/{case.image}.json"}
    if case.set_name == "glyphs":
        return {**MADE["glyphs"], "source": f"labels/{case.image}.png"}
    return MADE["nuclei" if case.set_name == "cells" else case.set_name]


def row(case: Case) -> dict[str, Any]:
    """Return the manifest's entry of one case; `box` is (x0, y0, x1, y1) in pixels, x1 and y1 exclusive."""
    y, x = np.nonzero(case.mask)
    box = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
    entry = {"set": case.set_name, "image": case.image, "what": case.label, **origin(case), "area": len(x), "box": box}
    note = NOTES.get((case.image, case.label))
    return {**entry, "note": note} if note else entry


def build() -> dict[str, Any]:
    """Return the whole manifest: pictures with credit and licence, the crops of the glyphs, and a row for each mask."""
    pictures = {
        name: {"from": folder or "here", "file": file, "credit": credit, "licence": licence}
        for name, (folder, file, credit, licence) in PICTURES.items()
    }
    for name, credit in CREDITS.items():
        pictures[name] |= {"package": credit.package, "source": credit.source}
    crops = {name: {"picture": picture, "box": box, "enlarged": ENLARGED} for name, (picture, box, _) in GLYPHS.items()}
    return {"pictures": pictures, "crops": crops, "masks": [row(case) for case in load_cases()]}


def main() -> None:
    """Write the manifest, one line for each entry."""
    parts = []
    for key, entries in build().items():
        if isinstance(entries, dict):
            lines = [f'  "{name}": {json.dumps(entry, ensure_ascii=False)}' for name, entry in entries.items()]
            parts.append(f' "{key}": {{\n' + ",\n".join(lines) + "\n }")
        else:
            lines = [f"  {json.dumps(entry, ensure_ascii=False)}" for entry in entries]
            parts.append(f' "{key}": [\n' + ",\n".join(lines) + "\n ]")
    MANIFEST.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    print(MANIFEST)


if __name__ == "__main__":
    main()
