"""How the files beside this one were written, with samnb 0.1.0 as it was at commit ac13ccf.

python make.py FOLDER       all of it into FOLDER; the session works in /tmp/samnb-example, which must not exist
"""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
import sys
from pathlib import Path

PLACE = Path("/tmp/samnb-example")
DISCS = ((22, 22, "#d04020"), (58, 24, "#d04020"), (94, 22, "#2050c0"), (28, 62, "#d04020"), (88, 60, "#2050c0"))


def draw(shift: int, ground: int):
    """A picture of five discs, 120 x 84 pixels."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (120, 84), (ground,) * 3)
    pen = ImageDraw.Draw(picture)
    for x, y, color in DISCS:
        pen.ellipse((x + shift - 11, y - 11, x + shift + 11, y + 11), fill=color)
    return picture


def work() -> dict[str, object]:
    """A session, its files beside it; returns what was in it at the end."""
    from samnb.cache_archive import export_entries

    import samnb

    (PLACE / "pictures").mkdir(parents=True)
    draw(0, 200).save(PLACE / "pictures" / "discs.png")
    draw(3, 208).save(PLACE / "pictures" / "alike.png")
    draw(0, 200).quantize(16).convert("RGB").save(PLACE / "pictures" / "discs_again.bmp")

    with samnb.Session(PLACE / "session") as session:
        session.add(PLACE / "pictures", dataset="monday")
        session.prewarm(show=False).wait()
        session.add_category("red disc", color="#d04020")
        for point in DISCS[:2]:
            session.accept(session.predict("discs.png", points=[point[:2]]), category="red disc")
        session.accept(session.predict("discs.png", box=(82, 10, 106, 34), multimask=False), category="blue disc")
        session.recolor_category("blue disc", "#2050c0")
        drawn = session.annotations()[0].mask.copy()
        drawn[:] = False
        drawn[40:46, 50:64] = True
        session.accept_mask("discs.png", drawn, category="label")
        session.template("discs", categories=["red disc"], max_objects=9)
        template = session.template("discs", categories=["red disc"], max_objects=4)
        session.apply(template, images=["alike.png"], show=False).wait()
        found = [a for a in session.annotations(image="alike.png") if a.source.startswith("template")]
        session.reject(found[-1])
        session.approve(found[0])
        session.say_same("discs.png", "alike.png")
        template.save(PLACE / "discs.template.json")
        session.export("recipe", PLACE / "recipe.json")
        session.export("coco", PLACE / "coco.json")
        state: dict[str, object] = {
            "fingerprint": session.model.fingerprint,
            "images": [[i.filename, i.pixel_hash, i.content_hash, list(i.size_hw)] for i in session.images()],
            "categories": [[c.name, c.color] for c in session.category_records()],
            "annotations": [
                [a.image, a.category, a.source, a.review, list(a.bbox), a.area, a.score, a.rle["counts"]]
                for a in session.annotations()
            ],
            "rejected": [a.rle["counts"] for a in session.catalog.annotations(review="rejected")],
            "templates": [list(pair) for pair in session.catalog.templates()],
        }
    with samnb.Session(PLACE / "of the archive", cache={"dtype": "int8"}) as session:
        session.add(PLACE / "pictures" / "discs.png")
        session.prewarm(show=False).wait()
        export_entries(session.cache, PLACE / "embeddings.tar")
    return state


def main(target: str) -> None:
    platform.node = lambda: "example"
    state = work()
    shutil.rmtree(PLACE / "of the archive")
    catalog = sqlite3.connect(PLACE / "session" / "catalog.db")
    catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    catalog.execute("VACUUM")
    catalog.close()
    for lock in (PLACE / "session").rglob("*.lock"):
        lock.unlink()
    (PLACE / "expected.json").write_text(json.dumps(state, indent=1) + "\n")
    shutil.copytree(PLACE, target, dirs_exist_ok=True)
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main(sys.argv[1])
