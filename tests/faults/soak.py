"""Four processes work on one session for hours; some are killed, its stores fail: nothing is lost, nothing grows.

python -m tests.faults.soak --hours 2          ends with counts, and the slopes of memory and of open files

Two of the processes live for all of that time, and are measured; two are killed again and again. The remote tier is a
folder that comes and goes. The disk budget is small, so that embeddings are evicted all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import samnb.session
from samnb.atomic_files import write_atomic
from samnb.errors import SamnbError
from samnb.masks import decode_rle
from samnb.session import Session
from tests.faults.operations import GREEN, RED, is_color, scene
from tests.support.numpy_model import NumpyModel, append

PICTURES, MOST_ANNOTATIONS = 40, 150
BUDGET = 40 * 3500
"""Bytes: for about half of the embeddings."""

LASTING, MORTAL = (0, 1), (2, 3)
WARM_UP = 0.25
"""The part of the time whose memory does not count: pools and caches fill."""

SLOPE = 1.0
"""MB an hour that a process may grow."""


# -- a worker ----------------------------------------------------------------------------------------


def work(folder: Path, name: int) -> None:
    """Work until the file "stop" is there; what was promised goes to a file of its own, to the disk."""
    samnb.session.load_model = lambda *arguments, **options: NumpyModel()
    chance, counts = random.Random(os.getpid()), Counter[str]()
    promised, ended = folder / f"promised-{name}", time.monotonic() + 1
    options = {
        "remote": [f"file://{folder / 'shared'}"],
        "disk_bytes": BUDGET,
        "min_free_bytes": 0,
        "memory_bytes": 50_000,
    }
    session = Session(folder / "session", cache=options)
    while not (folder / "stop").exists():
        action = chance.choices(list(ACTIONS), weights=[weight for _, weight in ACTIONS.values()])[0]
        try:
            ACTIONS[action][0](session, chance, lambda what: append(promised, json.dumps(what)))
            counts[action] += 1
        except SamnbError as error:
            counts[f"{type(error).__name__} in {action}"] += 1
        if action == "open again":
            session.close()
            session = Session(folder / "session", cache=options)
        if time.monotonic() > ended:
            ended = time.monotonic() + 1
            write_atomic(folder / f"counts-{name}-{os.getpid()}", json.dumps(counts).encode())
    write_atomic(folder / f"counts-{name}-{os.getpid()}", json.dumps(counts).encode())
    session.close()


def _add(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    report = session.add([scene(chance.randrange(PICTURES))], show=False)
    promise(["image", report.images[0].id])


def _prewarm(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    images = session.images()
    for event in session.prewarm_stream(images=chance.sample(images, min(4, len(images)))):
        if event.status == "failed":
            raise AssertionError(event)


def _accept(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    image = chance.choice(session.images())
    prediction = session.predict(image, points=[(chance.randrange(160), chance.randrange(160))])
    if prediction.masks[prediction.best].any():
        promise(["annotation", session.accept(prediction, category=chance.choice(["red", "green", "blue"])).id])


def _relabel(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    found = session.annotations()
    if found:
        session.update(chance.choice(found), category=chance.choice(["red", "green", "blue"]))


def _remove(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    """Down to what the session is to hold: with more and more of them, more memory would be right."""
    found = session.annotations()
    for each in found[: max(1, len(found) - MOST_ANNOTATIONS)]:
        promise(["removes", each.id])
        session.remove(each)


def _apply(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    images = session.images()
    for _ in session.apply_stream("red", images=chance.sample(images, min(5, len(images)))):
        pass
    session.undo_apply("red")


def _export(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    path = session.folder.parent / f"coco-{os.getpid()}.json"
    session.export("coco", path)
    json.loads(path.read_text())
    session.import_("coco", path, show=False)
    path.unlink()


def _evict(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    session.cache.collect(to_bytes=BUDGET // 2)


def _check(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    report = session.cache.check(fix=chance.random() < 0.5)
    if report.damaged:
        raise AssertionError(report)


def _nothing(session: Session, chance: random.Random, promise: Callable[[Any], None]) -> None:
    """The worker opens the session again."""


Action = Callable[[Session, random.Random, Callable[[Any], None]], None]
ACTIONS: dict[str, tuple[Action, int]] = {
    "add": (_add, 4),
    "prewarm": (_prewarm, 6),
    "accept": (_accept, 8),
    "relabel": (_relabel, 4),
    "remove": (_remove, 5),
    "apply": (_apply, 1),
    "export and import": (_export, 1),
    "evict": (_evict, 2),
    "check": (_check, 1),
    "open again": (_nothing, 1),
}


# -- the one who watches ---------------------------------------------------------------------------


class Soak:
    """Starts the workers, disturbs them, and measures."""

    def __init__(self, folder: Path, seconds: float):
        self.folder, self.seconds = folder, seconds
        self.chance, self.counts = random.Random(5), Counter[str]()
        self.samples: dict[int, list[tuple[float, float, int]]] = {name: [] for name in LASTING}
        self.problems: list[str] = []

    def prepare(self) -> None:
        (self.folder / "shared").mkdir()
        with Session(self.folder / "session") as session:
            images = session.add([scene(number) for number in range(6)], show=False).images
            for number in range(2):
                session.accept_mask(images[number], is_color(scene(number), RED), category="red")
            session.accept_mask(images[0], is_color(scene(0), GREEN), category="green")
            session.template("red", categories=["red"])

    def start(self, name: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.soak", "--worker", str(name), "--folder", str(self.folder)]
        with open(self.folder / f"log-{name}", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "MALLOC_ARENA_MAX": "2"})

    def run(self) -> None:
        began = time.monotonic()
        workers = {name: self.start(name) for name in (*LASTING, *MORTAL)}
        kill_at, outage_at, say_at = began + 10, began + 15, began + 60
        while (now := time.monotonic()) < began + self.seconds:
            time.sleep(1)
            for name, worker in workers.items():
                if (code := worker.poll()) is not None:
                    self.problems.append(f"worker {name} ended with {code}: {self._log(name)}")
                    workers[name] = self.start(name)
            for name in LASTING:
                self._measure(name, workers[name].pid, now - began)
            if now > say_at:
                say_at = now + 300
                self._say(now - began)
            if now > kill_at:
                kill_at = now + self.chance.uniform(3, 30)
                name = self.chance.choice(MORTAL)
                workers[name].send_signal(signal.SIGKILL)
                workers[name].wait()
                self.counts["kills"] += 1
                workers[name] = self.start(name)
            if now > outage_at:
                outage_at = now + self.chance.uniform(5, 40)
                self._toggle_the_tier()
        (self.folder / "stop").touch()
        for name, worker in workers.items():
            if worker.wait(300) != 0:
                self.problems.append(f"worker {name}: {self._log(name)}")

    def _toggle_the_tier(self) -> None:
        shared, away = self.folder / "shared", self.folder / "away"
        if shared.exists():
            shared.rename(away)
            self.counts["outages"] += 1
        else:
            away.rename(shared)
            self.counts["recoveries"] += 1

    def _measure(self, name: int, pid: int, at: float) -> None:
        status = Path(f"/proc/{pid}/status").read_text()
        private = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
        self.samples[name].append((at, private / 1024, len(os.listdir(f"/proc/{pid}/fd"))))

    def _say(self, seconds: float) -> None:
        """One line on the way: a run of hours is looked at before it ends."""
        latest = [samples[-1] for samples in self.samples.values()]
        memory = " ".join(f"{megabytes:.1f} MB {files} files" for _, megabytes, files in latest)
        faults = " ".join(f"{n:,} {what}" for what, n in self.counts.items())
        print(f"{seconds / 60:.0f} min · {faults} · {memory} · {len(self.problems)} problems", flush=True)

    def _log(self, name: int) -> str:
        return (self.folder / f"log-{name}").read_text()[-1500:]

    # -- afterwards ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Everything that was promised is there, and the session is clean after one repair."""
        with closing(sqlite3.connect(self.folder / "session" / "catalog.db")) as database:
            if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                self.problems.append("the database is damaged")
        promised: dict[str, set[Any]] = {"image": set(), "annotation": set(), "removes": set()}
        for path in self.folder.glob("promised-*"):
            lines = path.read_text().split("\n")[:-1]  # of one who was killed, the last may be half a line
            for what, id in map(json.loads, lines):
                promised[what].add(id)
        with Session(self.folder / "session") as session:
            first, second = session.cache.check(fix=True), session.cache.check()
            if first.damaged or not second.ok or second.miscounted:
                self.problems.append(f"not clean: {first} {second}")
            images = {image.id for image in session.images()}
            there = {annotation.id for annotation in session.annotations()}
            lost = (promised["image"] - images) | (promised["annotation"] - promised["removes"] - there)
            self.problems += [f"lost: {id}" for id in sorted(lost, key=str)]
            self.problems += [f"torn: {a.id}" for a in session.annotations() if not decode_rle(a.rle).any()]
        self.counts["promises"] = sum(map(len, promised.values()))

    def report(self) -> bool:
        """Print all of it; False for a failure."""
        done: Counter[str] = Counter()
        for path in self.folder.glob("counts-*"):
            done.update(json.loads(path.read_text()))
        print(f"{self.seconds / 3600:.2f} h · " + " · ".join(f"{n:,} {what}" for what, n in self.counts.items()))
        print("work: " + ", ".join(f"{what} {n:,}" for what, n in sorted(done.items())))
        long = self.seconds >= 3600
        for name, samples in self.samples.items():
            after = [sample for sample in samples if sample[0] > WARM_UP * self.seconds]
            hours, megabytes, files = np.array(after).T
            slope = np.polyfit(hours / 3600, megabytes, 1)[0]
            half = len(files) // 2
            grown = files[half:].max() - files[:half].max()
            print(
                f"process {name}: {megabytes[0]:.1f} MB, then {megabytes[-1]:.1f} MB, {slope:+.2f} MB an hour "
                f"(limit {SLOPE:g}, of runs of an hour or more) · open files {files.min():.0f} to {files.max():.0f}, "
                f"{grown:+.0f} in the second half"
            )
            tenths = " ".join(f"{np.median(part):.1f}" for part in np.array_split(megabytes, 10))
            print(f"process {name}, the median MB of each tenth of that time: {tenths}")
            if long and slope > SLOPE:
                self.problems.append(f"process {name} grows by {slope:.2f} MB an hour")
            if grown > 5:
                self.problems.append(f"process {name} opens more and more files")
        if not (self.counts["kills"] and self.counts["outages"]):
            self.problems.append("nothing was disturbed: it was too short")
        print("\n".join(self.problems) or "nothing lost, nothing torn, clean after one repair")
        return not self.problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--worker", type=int)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.worker is not None:
        work(given.folder, given.worker)
        return 0
    samnb.session.load_model = lambda *arguments, **options: NumpyModel()
    folder = Path(tempfile.mkdtemp(prefix="samnb-soak-"))
    soak = Soak(folder, given.hours * 3600)
    soak.prepare()
    soak.run()
    soak.check()
    if not soak.report():
        print(f"everything it left lies in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
