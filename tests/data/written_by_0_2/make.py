"""How the files beside this one are written: what samnb 0.2.0 keeps and 0.1.0 did not, by a model without a network.

python tests/data/written_by_0_2/make.py     from the root of the repository, at the version that is released
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import tifffile

import samnb.session
from samnb import cache_archive
from samnb.images import encode_png
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene, truth

HERE, PLACE = Path(__file__).parent, Path("/tmp/samnb-example")  # which must not exist


def work(place: Path) -> dict[str, object]:
    """A session, its files beside it; returns what was in it at the end."""
    pictures = {
        "two.png": scene([(20, 20, 40, RED), (100, 100, 40, GREEN)]),
        "one.png": scene([(100, 20, 40, RED)]),
        "none.png": scene([]),
    }
    stack = np.zeros((3, 40, 60), np.uint16)
    stack[:, 10:30, 20:40] = np.arange(1000, 4000, 1000).reshape(3, 1, 1)
    tifffile.imwrite(place / "stack.tif", stack, imagej=True, metadata={"axes": "ZYX"}, compression="zlib")
    with Session(place / "session") as session:
        session.add({name: encode_png(pixels) for name, pixels in pictures.items()}, dataset="monday", show=False)
        session.add(place / "stack.tif", dataset="stack", stack="z", show=False)
        session.set_pixel_size(0.25, dataset="stack")
        session.prewarm(show=False).wait()
        session.add_attribute("broken")
        session.add_attribute("side", kind="choice", choices=["left", "right"])
        kept = session.accept_mask("two.png", truth(pictures["two.png"], RED), category="red")
        session.update(kept, attributes={"broken": True, "side": "left"})
        session.accept_mask("two.png", truth(pictures["two.png"], GREEN), category="green")
        session.mark_image("none.png", "empty")
        session.mark_image("two.png", "done")
        session.template("red", categories=["red"])
        session.apply("red", images=["one.png"], show=False).wait()
        offered = session.segment_everything("one.png")
        session.reject_proposals(offered[0])
        session.find_template("red").save(place / "red.template.json")
        session.export("recipe", place / "recipe.json", dataset="monday")
        session.export("coco", place / "coco.json", dataset="monday")
        session.export("labelme", place / "labelme", dataset="monday")
        cache_archive.export_entries(session.cache, place / "embeddings.tar")
        return contents(session)


def contents(session: Session) -> dict[str, object]:
    """What a session holds, as values of JSON."""
    return {
        "images": [[i.filename, i.dataset, i.pixel_hash, i.content_hash, list(i.size_hw)] for i in session.images()],
        "annotations": [
            [a.image, a.category, a.source, a.review, a.area, a.score, a.rle["counts"], dict(a.record.attributes)]
            for a in session.annotations()
        ],
        "attributes": [[a.name, a.kind, list(a.choices)] for a in session.attributes()],
        "states": sorted([session.image(id).filename, state] for id, state in session.image_states().items()),
        "templates": [list(pair) for pair in session.catalog.templates()],
        "proposals": sorted([p.image, p.rle["counts"]] for p in session.proposals(images=["one.png"])),
        "stack": [image.filename for image in session.stack_of("stack.tif[z=1]")],
        "pixel_size": session.pixel_size("stack.tif[z=1]").x_um,
    }


if __name__ == "__main__":
    samnb.session.load_model = lambda *args, **options: NumpyModel()
    PLACE.mkdir()
    try:
        expected = work(PLACE)
        for found in sorted(PLACE.iterdir()):
            target = HERE / found.name
            if target.is_dir():
                shutil.rmtree(target)
            shutil.copytree(found, target) if found.is_dir() else shutil.copy(found, target)
        for left in ("locks", "quarantine", "trash"):
            shutil.rmtree(HERE / "session" / "embeddings" / left, ignore_errors=True)
        for lock in HERE.glob("session/*.lock"):
            lock.unlink()
    finally:
        shutil.rmtree(PLACE)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1))
