"""Work on a disk that campaigns harm: every kind of it, saying what it has done; and the look at what is left."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import samnb.session
from samnb import cache_archive
from samnb.errors import SamnbError, StoreError
from samnb.masks import decode_rle
from samnb.session import Session
from samnb.store.entry import round_trip, verify
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import RED, scene, truth

OLD = Path(__file__).parents[1] / "data" / "written_by_0_1"
Say = Callable[..., None]


def opened(disk: Path) -> Session:
    """The session on a disk, with a model that takes no time."""
    samnb.session.load_model = lambda *args, **options: NumpyModel()
    return Session(disk / "session", cache={"disk_bytes": 20_000_000, "min_free_bytes": 0})


def prepare(disk: Path, say: Say) -> None:
    """A session with a template; its first picture has an object by hand."""
    with opened(disk) as session:
        add(session, disk, random.Random(0), say, count=3)
        image = session.images()[0]
        kept = session.accept_mask(image, truth(session.pixels(image), RED), category="red")
        session.template("red")
        say("accepted", objects={kept.id: ["red", kept.rle["counts"]]})


def png(chance: random.Random) -> bytes:
    """A picture that no other one is, with a red square."""
    pixels = scene([(10 * chance.randrange(10), 10 * chance.randrange(10), 40, RED)])
    pixels[:, :, 2] += np.random.default_rng(chance.getrandbits(32)).integers(0, 9, (160, 160), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


# -- the kinds of work -----------------------------------------------------------------------------------


def add(session: Session, disk: Path, chance: random.Random, say: Say, *, count: int = 4) -> None:
    for _ in range(count):
        named = {f"{chance.getrandbits(64):016x}.png": png(chance) for _ in range(chance.randrange(1, 4))}
        report = session.add(named, show=False)
        _check(report.failed)
        say("added", images={image.filename: image.pixel_hash for image in report.images})


def prewarm(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    add(session, disk, chance, say, count=2)
    last = session.prewarm(show=False).wait(300)
    _check(last["failed"])
    say("prewarmed", cached=_cached(session))


def accept(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    mine = []
    for _ in range(6):
        image, mask = chance.choice(session.images()), np.zeros((160, 160), bool)
        x, y = chance.randrange(100), chance.randrange(100)
        mask[y : y + chance.randrange(1, 60), x : x + 30] = True
        kept = session.accept_mask(image, mask, category="hand")
        say("accepted", objects={kept.id: ["hand", kept.rle["counts"]]})
        mine.append(kept)
    changed = session.update(mine[0], category="changed")
    say("accepted", objects={changed.id: ["changed", changed.rle["counts"]]})
    say("removing", ids=[mine[1].id])
    session.remove(mine[1])
    say("removed", ids=[mine[1].id])


def apply(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    template = session.find_template("red").with_parameters(min_score=0.2 + chance.randrange(200) / 1000)
    last = session.apply(template, show=False).wait(300)
    _check(last["failed"])
    say("applied", found=sorted({kept.image for kept in session.annotations(category="red")}))


def export(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    for format, name in (
        ("coco", "all.json"),
        ("labelme", "labelme"),
        ("masks", f"masks-{chance.getrandbits(32):08x}"),
    ):
        report = session.export(format, disk / "out" / name)
        _check(report.failed)
        say("exported", files=[str(path.relative_to(disk)) for path in report.files])
    cache_archive.export_entries(session.cache, disk / "out" / "entries.tar")
    say("exported", files=["out/entries.tar"])


def import_(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    images = chance.sample(session.images(), min(4, len(session.images())))
    corner = [chance.randrange(60), chance.randrange(60), chance.randrange(10, 60), chance.randrange(10, 60)]
    x, y, w, h = corner
    ring = [x, y, x + w, y, x + w, y + h, x, y + h]
    document = {
        "images": [{"id": n, "file_name": i.filename, "width": 160, "height": 160} for n, i in enumerate(images)],
        "categories": [{"id": 1, "name": "imported"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "segmentation": [ring], "bbox": corner}
            for n, _ in enumerate(images)
        ],
    }
    file = disk / "from elsewhere.json"
    try:
        file.write_text(json.dumps(document))
    except OSError:  # cut off
        return
    report = session.import_("coco", file, show=False)
    _check(report.failed)
    there = session.annotations(category="imported")
    say("accepted", objects={a.id: ["imported", a.rle["counts"]] for a in there})
    archive = disk / "out" / "entries.tar"
    if os.path.exists(archive):  # Path.exists raises what a disk that was cut off answers
        _check(cache_archive.import_entries(session.cache, archive).stopped)
        say("imported", cached=_cached(session))


def _check(failed: object) -> None:
    """A failure that a report tells is an error that was told."""
    if failed:
        raise StoreError(str(failed))


def _cached(session: Session) -> list[str]:
    """Images whose embedding is on the disk: one for which it has no room is kept in memory, with a warning."""
    return [image.filename for image in session.images() if session.is_cached(image)]


def gc(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    session.prewarm(show=False).wait(300)
    say("evicting")
    session.cache.collect(to_bytes=chance.randrange(0, 40_000))
    say("evicted")


def migration(session: Session, disk: Path, chance: random.Random, say: Say) -> None:
    """A session of an older version, brought to this disk, is opened."""
    place = disk / f"old-{chance.getrandbits(32):08x}"
    try:
        shutil.copytree(OLD / "session", place)
        for path in (disk, place, *place.rglob("*")):
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.close(file)
    except OSError:  # cut off while it is being brought
        return
    say("brought", folder=place.name)
    with Session(place) as old:
        kept = old.annotations()[0]
        say("upgraded", folder=place.name)
        old.update(kept, category="after the upgrade")
        say("changed", folder=place.name, id=kept.id)


WORK = {f.__name__.rstrip("_"): f for f in (add, prewarm, accept, apply, export, import_, gc, migration)}


# -- what must be there ------------------------------------------------------------------------------------


class Ledger:
    """What was said to be done, kept off the disk."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.objects: dict[str, list[Any]] = {}
        self.removed: set[int] = set()
        self.cached: set[str] = set()
        self.found: set[str] = set()
        self.files: set[str] = set()
        self.old: dict[str, list[Any]] = {}
        self.said = 0

    def note(self, did: str, *, sure: bool = True, **what: Any) -> None:
        """Take down one report; of what is not sure, only that it is no longer as it was."""
        objects = {str(id): kept for id, kept in what.get("objects", {}).items()}
        for id in (*objects, *map(str, what.get("ids", ()))):
            self.objects.pop(id, None)
        if did == "evicting":
            self.cached.clear()
        if not sure:
            return
        self.said += did not in ("opened", "worked", "closed")
        self.images |= what.get("images", {})
        self.objects |= objects
        self.found |= set(what.get("found", ()))
        self.cached |= set(what.get("cached", ()))
        self.files |= set(what.get("files", ()))
        if did == "removed":
            self.removed |= set(what["ids"])
        if "folder" in what:
            self.old[what["folder"]] = [did, what.get("id")]

    def tidy(self, disk: Path) -> None:
        """Delete the older sessions that were looked at."""
        for name in self.old:
            shutil.rmtree(disk / name)
        self.old.clear()


def look(disk: Path, ledger: Ledger) -> list[str]:
    """What is lost, torn or stale on a disk: nothing, one hopes. Each begins with the word."""
    wrong: list[str] = []
    with opened(disk) as session:
        wrong += _images(session, ledger) + _objects(session, ledger)
        report = session.cache.check(fix=True)
        wrong += [f"torn: {path}: {reason}" for path, reason in (*report.damaged, *report.unreadable)]
        again = session.cache.check()
        if not again.ok or again.damaged or again.flags or again.stale_temporary or again.trash or again.miscounted:
            wrong.append(f"torn: after one repair the check says {again}")
        wrong += _embeddings(session, ledger)
    wrong += _files(disk, ledger) + _database(disk / "session" / "catalog.db")
    for name, (did, id) in ledger.old.items():
        wrong += _old(disk / name, did, id)
    return wrong


def _images(session: Session, ledger: Ledger) -> list[str]:
    there = {image.filename: image for image in session.images()}
    wrong = [f"lost: image {name}" for name in ledger.images.keys() - there.keys()]
    for name, image in there.items():
        if ledger.images.get(name, image.pixel_hash) != image.pixel_hash:
            wrong.append(f"stale: image {name} is another picture")
        try:
            session.pixels(image)
        except SamnbError as error:
            wrong.append(f"torn: image {name}: {error}")
    return wrong


def _objects(session: Session, ledger: Ledger) -> list[str]:
    there = {str(kept.id): kept for kept in session.annotations()}
    wrong = [f"lost: object {id}" for id in ledger.objects.keys() - there.keys()]
    wrong += [f"stale: object {id} was removed" for id in ledger.removed if str(id) in there]
    for id, kept in there.items():
        if decode_rle(kept.rle).sum() != kept.area:
            wrong.append(f"torn: object {id}")
        if id in ledger.objects and ledger.objects[id] != [kept.category, kept.rle["counts"]]:
            wrong.append(f"stale: object {id}, {kept.category} instead of {ledger.objects[id][0]}")
    with_red = {kept.image for kept in there.values() if kept.category == "red"}
    return wrong + [f"lost: what the template found on {name}" for name in ledger.found - with_red]


def _embeddings(session: Session, ledger: Ledger) -> list[str]:
    wrong = []
    for image in session.images():
        if image.embedding_cached != session.is_cached(image):
            wrong.append(f"stale: the flag of {image.filename} is {image.embedding_cached}")
        if not session.is_cached(image):
            wrong += [f"lost: embedding of {image.filename}"] if image.filename in ledger.cached else []
            continue
        got = session.embedding(image)[0].tensors["image_embedding"]
        fresh = round_trip(NumpyModel.embed(session.pixels(image)), "float16").tensors["image_embedding"]
        if not np.array_equal(got, fresh):
            wrong.append(f"stale: embedding of {image.filename}")
    return wrong


def _files(disk: Path, ledger: Ledger) -> list[str]:
    wrong = [f"lost: {name}" for name in ledger.files if not (disk / name).exists()]
    for path in (disk / "out").rglob("*"):
        if path.is_dir() or any(part.startswith(".samnb-") for part in path.parts):
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".png":
                with Image.open(path) as picture:
                    picture.load()
            elif path.suffix == ".tar":
                with tarfile.open(path, "r:") as archive:
                    for member in archive:
                        verify(archive.extractfile(member).read(), Path(member.name).stem)
        except Exception as error:
            wrong.append(f"torn: {path.name}: {error!r}")
    return wrong


def _database(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchall()
        strays = connection.execute("PRAGMA foreign_key_check").fetchall()
    return [f"torn: {path}: {said} {strays}"] if said != [("ok",)] or strays else []


def _old(folder: Path, did: str, id: int | None) -> list[str]:
    expected = json.loads((OLD / "expected.json").read_text())
    wrong = []
    with Session(folder) as session:
        there = session.annotations()
        if [list(kept.bbox) for kept in there] != [row[4] for row in expected["annotations"]]:
            wrong.append(f"torn: {folder}: its objects are {[kept.bbox for kept in there]}")
        if did == "changed" and {kept.id: kept.category for kept in there}.get(id) != "after the upgrade":
            wrong.append(f"lost: {folder}: the change after its upgrade")
    if did != "brought" and not list(folder.glob("catalog.before-*.db")):
        wrong.append(f"lost: {folder}: the copy of its catalog as it was")
    return wrong + _database(folder / "catalog.db")
