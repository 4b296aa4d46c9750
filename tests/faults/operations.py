"""What a session does, on a small folder: where each operation begins, what it promises, what must hold after it.

`OPERATIONS` work on a copy of what `Bench` prepared once: a session with pictures, embeddings, annotations and a
template, by a model that takes no time.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samnb.session import Session
from samnb.store.archive import export_entries, import_entries

GREY, RED, GREEN = (120, 120, 120), (220, 30, 30), (30, 200, 40)
WRITTEN_BY_0_1 = Path(__file__).parents[1] / "data" / "written_by_0_1" / "session"
Say = Callable[[Any], None]


def scene(number: int, side: int = 40) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey picture with a red square, at another place for each number, and a green one."""
    pixels = np.full((160, 160, 3), GREY, np.uint8)
    x = 10 * (number % 10)
    pixels[20 : 20 + side, x : x + side] = RED
    pixels[110:150, 110:150] = GREEN
    pixels[0, 0] = number
    return pixels


@dataclass(frozen=True)
class Operation:
    """One thing a session does.

    Parameters
    ----------
    begins : {"new", "cold", "warm", "0.1"}
        The state of `Bench` that it begins with.
    run : callable
        Gets the opened session (None if opening is what it does), the folder of the case, and `say`.
    broken : callable
        What of the promises does not hold: gets the session opened again, the folder, and what was said.
    opens : bool
        It opens the session itself.
    again : bool
        It may be run again, and then comes to the same state as one that nothing disturbed.
    """

    begins: str
    run: Callable[[Any, Path, Say], object]
    broken: Callable[[Session, Path, tuple[Any, ...]], Iterable[str]] = lambda session, case, said: ()
    opens: bool = False
    again: bool = True


class Bench:
    """The states that operations begin with, below one folder; a case is a copy of one."""

    def __init__(self, folder: Path):
        self.folder = folder
        pictures = folder / "pictures"
        pictures.mkdir(parents=True)
        (folder / "more").mkdir()
        for number in range(4):
            Image.fromarray(scene(number)).save(pictures / f"{number}.png")
        for number in range(4, 7):
            Image.fromarray(scene(number)).save(folder / "more" / f"{number}.png")
        (folder / "new").mkdir()
        with Session(folder / "cold" / "session") as session:
            session.add(pictures, show=False)
            self._annotate(session)
        shutil.copytree(folder / "cold", folder / "warm")
        with Session(folder / "warm" / "session") as session:
            session.prewarm(show=False).wait()
            export_entries(session.cache, folder / "entries.tar")
            for number in (2, 3):
                session.accept_mask(f"{number}.png", is_color(scene(number), RED), category="found")
            session.export("coco", folder / "coco.json")
            session.remove(session.annotations()[-1])
            session.remove(session.annotations()[-1])
        shutil.copytree(WRITTEN_BY_0_1, folder / "0.1" / "session")
        for state in ("new", "cold", "warm", "0.1"):
            (folder / state / "out").mkdir()
        self.before = {state: contents(folder / state / "session") for state in ("cold", "warm")}

    def _annotate(self, session: Session) -> None:
        for number in range(2):
            session.accept_mask(f"{number}.png", is_color(scene(number), RED), category="red")
        session.accept_mask("0.png", is_color(scene(0), GREEN), category="green")
        session.template("red", categories=["red"])

    def case(self, begins: str) -> Path:
        """A new copy, in the place of this process's last one."""
        case = self.folder / f"case-{os.getpid()}"
        shutil.rmtree(case, ignore_errors=True)
        return Path(shutil.copytree(self.folder / begins, case))


def is_color(pixels: Any, color: tuple[int, int, int]) -> Any:
    return (pixels == np.array(color, np.uint8)).all(axis=2)


def contents(folder: Path) -> dict[str, Any]:
    """What a person has in a session, without times and numbers of rows; read past samnb, with its embeddings."""
    queries = {
        "images": "SELECT filename, embedding_cached FROM images",
        "annotations": "SELECT filename, category, rle, substr(source, 1, 12), review FROM annotations "
        "JOIN images ON images.id = image_id",
        "categories": "SELECT name FROM categories",
        "templates": "SELECT name, max(version) FROM templates GROUP BY name",
        "applied": "SELECT template, filename FROM applied JOIN images ON images.id = image_id",
    }
    with closing(sqlite3.connect(folder / "catalog.db")) as database:
        rows: dict[str, Any] = {n: sorted(map(list, database.execute(query))) for n, query in queries.items()}
    rows["embeddings"] = sorted(path.stem for path in (folder / "embeddings").rglob("*.safetensors"))
    return rows


def set_aside(folder: Path) -> set[str]:
    """The embeddings in quarantine: a file that the disk fails to read twice goes there, and is computed again."""
    return {path.name[:64] for path in (folder / "embeddings" / "quarantine").glob("*.safetensors.*")}


def missing(before: dict[str, Any], now: dict[str, Any], *, evicts: bool = False) -> list[str]:
    """What was there and is not."""
    names = ["images", "annotations", "categories", "templates", *([] if evicts else ["embeddings"])]
    flags = {"images": lambda row: row[:1]}
    found = []
    for name in names:
        as_is = flags.get(name, lambda row: row)
        there = [as_is(row) for row in now[name]]
        found += [f"lost: {name} {str(row)[:60]}" for row in before[name] if as_is(row) not in there]
    return found


# -- the operations -------------------------------------------------------------------------------


def _open(session: None, case: Path, say: Say) -> None:
    Session(case / "session").close()
    say("opened")


def _migrated(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    if len(session.annotations()) != 7:
        yield f"lost: {len(session.annotations())} of 7 annotations"


def _add(session: Session, case: Path, say: Say) -> None:
    job = session.add_job([case.parent / "more", scene(7), scene(8)], show=False)
    job.subscribe(lambda event: say(event.filename) if event.status == "computed" else None)
    job.wait()
    for failure in job.report.failed if job.report else ():
        say({"failed": str(failure)})
    session.close()


def _added(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    there = {image.filename for image in session.images()}
    yield from (f"lost: image {name}" for name in said if isinstance(name, str) and name not in there)
    for image in session.images():
        if session.pixels(image).shape != (160, 160, 3):
            yield f"torn: {image.filename}"


def _prewarm(session: Session, case: Path, say: Say) -> None:
    for event in session.prewarm_stream():
        if event.status == "computed":
            say(event.filename)
        elif event.status == "failed":
            say({"failed": str(event.details)})
    session.close()


def _prewarmed(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    for name in said:
        if isinstance(name, str) and not session.is_cached(name):
            yield f"lost: embedding of {name}"


def _annotate(session: Session, case: Path, say: Say) -> None:
    taken = session.accept(session.predict("2.png", points=[(40, 40)]), category="red")
    say({"there": taken.id, "category": "red"})
    session.update(taken, category="green")
    say({"there": taken.id, "category": "green"})
    other = session.accept_mask("3.png", is_color(scene(3), GREEN), category="new")
    say({"there": other.id, "category": "new"})
    session.rename_category("new", "newer")
    say({"there": other.id, "category": "newer"})
    session.remove(taken)
    say({"gone": taken.id})
    session.restore([taken])
    say({"there": taken.id, "category": "red"})
    session.close()


def _annotated(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    """The last thing said of each, unless the step after it was done and not said."""
    steps = ("red", "green", "new", "newer", "gone", "red")
    there = {annotation.id: annotation.category for annotation in session.annotations()}
    for at, one in enumerate(said):
        later = said[at + 1 :]
        id = one.get("there", one.get("gone"))
        if any(id in (each.get("there"), each.get("gone")) for each in later):
            continue
        now = there.get(id, "gone")
        allowed = {one.get("category", "gone")}
        if one is said[-1] and at + 1 < len(steps):
            allowed.add(steps[at + 1])
        elif at == 1:  # the second, which the fifth step removes
            allowed |= {"gone", "red"} if len(said) >= 4 else set()
        elif at == 2:
            allowed.add("newer")
        if now not in allowed:
            yield f"lost: annotation {id} is {now}, said was {one}"


def _apply(session: Session, case: Path, say: Say) -> None:
    for event in session.apply_stream("red"):
        if event.status == "computed":
            say(event.filename)
        elif event.status == "failed":
            say({"failed": str(event.details)})
    session.close()


def _applied(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    now = contents(case / "session")
    applied = {name for _, name in now["applied"]}
    found = [row[0] for row in now["annotations"] if row[3].startswith("template:")]
    yield from (f"lost: apply on {name}" for name in said if isinstance(name, str) and name not in applied)
    yield from (f"doubled: {name}" for name in set(found) if found.count(name) > 1)
    yield from (f"torn: objects on {name}, not noted as applied" for name in set(found) - applied)


def _export_file(session: Session, case: Path, say: Say) -> None:
    session.export("coco", case / "out" / "coco.json")
    say("written")
    session.close()


def _file_exported(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    written = case / "out" / "coco.json"
    if not written.exists():
        yield from ["lost: the file"] if said else []
    elif len(json.loads(written.read_text())["annotations"]) != 3:
        yield "torn: the file"


def _export_folder(session: Session, case: Path, say: Say) -> None:
    session.export("labelme", case / "out" / "labelme")
    say("written")
    session.close()


def _folder_exported(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    folder = case / "out" / "labelme"
    files = sorted(folder.glob("?.json")) if folder.exists() else []
    if len(files) not in (0, 4) or (said and not files):
        yield f"torn: {len(files)} of 4 files" if files else "lost: the folder"
    if sum(len(json.loads(file.read_text())["shapes"]) for file in files) not in (0, 3):
        yield "torn: a file"


def _import(session: Session, case: Path, say: Say) -> None:
    report = session.import_("coco", case.parent / "coco.json", show=False)
    say({"added": report.added})
    for failure in report.failed:
        say({"failed": str(failure)})
    session.close()


def _imported(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    there = sum(annotation.category == "found" for annotation in session.annotations())
    if said and there < said[0]["added"]:
        yield f"lost: {there} of {said[0]['added']} annotations"


def _collect(session: Session, case: Path, say: Say) -> None:
    size = session.cache.stats().bytes
    report = session.cache.collect(to_bytes=size // 2)
    say({"evicted": report.evicted})
    session.close()


def _export_cache(session: Session, case: Path, say: Say) -> None:
    report = export_entries(session.cache, case / "out" / "entries.tar")
    say({"entries": report.entries})
    session.close()


def _cache_exported(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    path = case / "out" / "entries.tar"
    if not path.exists():
        yield from ["lost: the archive"] if said else []
        return
    shutil.rmtree(case / "other", ignore_errors=True)
    with Session(case / "other") as other:
        report = import_entries(other.cache, path)
        if not report.ok or (said and report.entries != said[0]["entries"]):
            yield f"torn: {report}"
    shutil.rmtree(case / "other")


def _import_cache(session: Session, case: Path, say: Say) -> None:
    report = import_entries(session.cache, case.parent / "entries.tar")
    say({"entries": report.entries} if report.ok else {"failed": str(report)})
    session.close()


def _cache_imported(session: Session, case: Path, said: tuple[Any, ...]) -> Iterable[str]:
    if said and "entries" in said[0] and len(session.cache) < said[0]["entries"]:
        yield f"lost: {len(session.cache)} of {said[0]['entries']} embeddings"


OPERATIONS: dict[str, Operation] = {
    "make": Operation("new", _open, opens=True),
    "open": Operation("warm", _open, opens=True),
    "migrate": Operation("0.1", _open, _migrated, opens=True),
    "add": Operation("cold", _add, _added),
    "prewarm": Operation("cold", _prewarm, _prewarmed),
    "annotate": Operation("warm", _annotate, _annotated, again=False),
    "apply": Operation("warm", _apply, _applied),
    "export a file": Operation("warm", _export_file, _file_exported),
    "export a folder": Operation("warm", _export_folder, _folder_exported),
    "import": Operation("warm", _import, _imported),
    "collect": Operation("warm", _collect, again=False),
    "export the cache": Operation("warm", _export_cache, _cache_exported),
    "import a cache": Operation("cold", _import_cache, _cache_imported),
}


def left_behind(case: Path) -> list[str]:
    """Hidden files beside what was written; one that was killed, or could not delete, leaves them to the next one."""
    return [path.name for path in os.scandir(case / "out") if path.name.startswith(".")]


def broken(name: str, case: Path, said: tuple[Any, ...], before: dict[str, Any] | None) -> list[str]:
    """All that does not hold after an operation, of everything that must, whether it ended well or not."""
    operation = OPERATIONS[name]
    problems: list[str] = []
    if (case / "session" / "catalog.db").exists():
        with closing(sqlite3.connect(case / "session" / "catalog.db")) as database:
            if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                problems.append("torn: the database")
            if database.execute("PRAGMA foreign_key_check").fetchall():
                problems.append("torn: rows without what they belong to")
    with Session(case / "session") as session:
        first = session.cache.check(fix=True)
        problems += [f"torn: {path} {reason}" for path, reason in first.damaged]
        second = session.cache.check()
        if not second.ok or second.miscounted or second.trash:
            problems.append(f"not clean after a repair: {second}")
        if before is not None:
            now = contents(case / "session")
            now["embeddings"] += set_aside(case / "session")
            problems += missing(before, now, evicts=name == "collect")
        problems += operation.broken(session, case, said)
    return problems
