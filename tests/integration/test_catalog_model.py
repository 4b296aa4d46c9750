"""The catalog against plain dictionaries: random changes by two connections, refusals, and ends amid a change."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache as once
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from sqlalchemy import event

from samnb.catalog import Catalog, NewAnnotation
from samnb.errors import NameTaken, UnknownName, WorkWouldBeLost
from samnb.records import ACCEPTED, REJECTED, UNSURE, NewImage
from tests.support.faults import INJECTED, Stopped, ended_by_itself
from tests.support.machines import Machine, machine, new_folder
from tests.support.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="forks")]

datasets = st.sampled_from(["red", "green", "blue"])
names = st.sampled_from(["coin", "key", "nut", "Coin"])
files, which = st.integers(0, 3), st.integers(0, 1)
reviews = st.sampled_from(["", UNSURE, ACCEPTED, REJECTED])
RLE = {"size": [2, 2], "counts": [0, 4]}


def picture(number: int) -> NewImage:
    digit = f"{number:x}"
    return NewImage(f"/p/{number}.png", f"{number}.png", digit * 64, digit * 64, digit * 64, 2, 2, 1, number, number)


@once
def empty() -> Path:
    """The file of an empty catalog: making one takes longer than a run."""
    path = Path(tempfile.mkdtemp()) / "empty.db"
    Catalog(path).close()
    return path


class CatalogMachine(Machine):
    """`images` is (dataset, file) to id; `objects` is id to (image id, category, review); `known` are categories."""

    def make(self) -> str:
        """A new catalog without images; its address."""
        self.path = new_folder() / "catalog.db"
        shutil.copyfile(empty(), self.path)
        return str(self.path)

    def destroy(self) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
            assert database.execute("pragma foreign_key_check").fetchall() == []
        shutil.rmtree(self.path.parent, ignore_errors=True)

    @initialize()
    def start(self) -> None:
        self.address = self.make()
        self.catalogs = [Catalog(self.address), Catalog(self.address)]
        self.looks = 0
        self.names: set[str] = set()
        self.images: dict[tuple[str, int], str] = {}
        self.objects: dict[int, tuple[str, str, str]] = {}
        self.known: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "catalogs"):
            try:
                self.look_at_images(0)
                self.look_at_objects(1)
            finally:
                for catalog in self.catalogs:
                    catalog.close()
                self.destroy()

    def lose_images(self, gone: dict[tuple[str, int], str]) -> None:
        self.images = {place: image for place, image in self.images.items() if place not in gone}
        lost = set(gone.values())
        self.objects = {id: each for id, each in self.objects.items() if each[0] not in lost}

    def work_on(self, images: set[str]) -> bool:
        """All objects here are by hand: also one that was rejected is a person's work."""
        return any(image in images for image, *_ in self.objects.values())

    # -- datasets and images -----------------------------------------------------------------------

    @rule(dataset=datasets, chosen=st.lists(files, max_size=4), by=which)
    def add_images(self, dataset: str, chosen: list[int], by: int) -> None:
        records = self.catalogs[by].add_images(dataset, [picture(number) for number in chosen])
        self.names.add(dataset)
        for number, record in zip(chosen, records, strict=True):
            assert self.images.setdefault((dataset, number), record.id) == record.id

    @rule(old=datasets, new=datasets, by=which)
    def rename_dataset(self, old: str, new: str, by: int) -> None:
        if old not in self.names:
            with pytest.raises(UnknownName):
                self.catalogs[by].rename_dataset(old, new)
        elif new in self.names and new != old:
            with pytest.raises(NameTaken):
                self.catalogs[by].rename_dataset(old, new)
        else:
            self.catalogs[by].rename_dataset(old, new)
            self.names = self.names - {old} | {new}
            self.images = {(new if name == old else name, n): id for (name, n), id in self.images.items()}

    @rule(dataset=datasets, discard=st.booleans(), by=which)
    def delete_dataset(self, dataset: str, discard: bool, by: int) -> None:
        gone = {place: id for place, id in self.images.items() if place[0] == dataset}
        if dataset not in self.names:
            with pytest.raises(UnknownName):
                self.catalogs[by].delete_dataset(dataset, discard_annotations=discard)
        elif self.work_on(set(gone.values())) and not discard:
            with pytest.raises(WorkWouldBeLost):
                self.catalogs[by].delete_dataset(dataset)
        else:
            self.catalogs[by].delete_dataset(dataset, discard_annotations=discard)
            self.names.discard(dataset)
            self.lose_images(gone)

    @precondition(lambda self: self.images)
    @rule(data=st.data(), discard=st.booleans(), by=which)
    def remove_image(self, data: st.DataObject, discard: bool, by: int) -> None:
        place = data.draw(st.sampled_from(sorted(self.images)))
        image = self.images[place]
        if self.work_on({image}) and not discard:
            with pytest.raises(WorkWouldBeLost):
                self.catalogs[by].remove_image(image)
        else:
            self.catalogs[by].remove_image(image, discard_annotations=discard)
            self.lose_images({place: image})

    # -- annotations -------------------------------------------------------------------------------

    @precondition(lambda self: self.images)
    @rule(data=st.data(), new=st.lists(st.tuples(names, reviews), min_size=1, max_size=3), by=which)
    def add_annotations(self, data: st.DataObject, new: list[tuple[str, str]], by: int) -> None:
        image = self.images[data.draw(st.sampled_from(sorted(self.images)))]
        records = self.catalogs[by].add_annotations([object_on(image, *each) for each in new])
        for record, (category, review) in zip(records, new, strict=True):
            assert record.id not in self.objects
            self.objects[record.id] = (image, category, review)
            self.known.add(category)

    @rule(by=which)
    def add_to_no_image(self, by: int) -> None:
        wanted = [object_on(image, "coin", "") for image in [*self.images.values(), "no-image"]]
        with pytest.raises(UnknownName):
            self.catalogs[by].add_annotations(wanted)

    @precondition(lambda self: self.objects)
    @rule(data=st.data(), category=names, review=reviews, by=which)
    def update(self, data: st.DataObject, category: str, review: str, by: int) -> None:
        id = data.draw(st.sampled_from(sorted(self.objects)))
        self.catalogs[by].update_annotation(id, category=category, review=review)
        self.objects[id] = (self.objects[id][0], category, review)
        self.known.add(category)

    @rule(ids=st.sets(st.integers(1, 12)), by=which)
    def remove(self, ids: set[int], by: int) -> None:
        there = ids & set(self.objects)
        assert self.catalogs[by].remove_annotations(ids) == len(there)
        self.objects = {id: each for id, each in self.objects.items() if id not in ids}

    # -- categories: those saved, and those that annotations have -------------------------------------

    def categories_now(self, by: int) -> set[str]:
        """`known` holds every name that was used; one whose annotations went, and that was never saved, is gone."""
        shown = set(self.catalogs[by].categories())
        assert shown <= self.known
        assert shown >= {category for _, category, review in self.objects.values() if review != REJECTED}
        return shown

    @rule(old=names, new=names, by=which)
    def rename_category(self, old: str, new: str, by: int) -> None:
        there = self.categories_now(by)
        if old not in there:
            with pytest.raises(UnknownName):
                self.catalogs[by].rename_category(old, new)
        elif new in there and new != old:
            with pytest.raises(NameTaken):
                self.catalogs[by].rename_category(old, new)
        else:
            self.catalogs[by].rename_category(old, new)
            self.recategorize(old, new)

    @rule(name=names, into=names, by=which)
    def merge_category(self, name: str, into: str, by: int) -> None:
        there = self.categories_now(by)
        if not {name, into} <= there:
            with pytest.raises(UnknownName):
                self.catalogs[by].merge_category(name, into)
        else:
            count = sum(category == name for _, category, _ in self.objects.values())
            assert self.catalogs[by].merge_category(name, into) == (count if name != into else 0)
            self.recategorize(name, into)

    def recategorize(self, old: str, new: str) -> None:
        self.objects = {id: (i, new if c == old else c, r) for id, (i, c, r) in self.objects.items()}
        self.known.add(new)

    # -- misfortune --------------------------------------------------------------------------------

    # Not at every step: a new catalog connects and compiles each statement anew, half of the machine's time.

    @precondition(lambda self: self.looks % 4 == 0)
    @rule(by=which)
    def reopen(self, by: int) -> None:
        self.catalogs[by].close()
        self.catalogs[by] = Catalog(self.address)

    @precondition(lambda self: self.images and self.looks % 4 == 1)
    @rule(data=st.data(), at=st.integers(1, 12))
    def crash_while_adding(self, data: st.DataObject, at: int) -> None:
        image = self.images[data.draw(st.sampled_from(sorted(self.images)))]
        new = [object_on(image, "coin", ""), object_on(image, "key", "")]
        before = set(self.objects)
        stops_at_statement(at, self.address, lambda catalog: catalog.add_annotations(new))
        there = {record.id: record for record in self.catalogs[0].annotations() if record.id not in before}
        assert len(there) in (0, 2)
        for id, record in there.items():
            self.objects[id] = (image, record.category, "")
            self.known.add(record.category)

    @precondition(lambda self: self.looks % 4 == 2)
    @rule(dataset=datasets, at=st.integers(1, 12))
    def crash_while_deleting(self, dataset: str, at: int) -> None:
        if dataset in self.names:
            dies_at_statement(
                at, self.address, lambda catalog: catalog.delete_dataset(dataset, discard_annotations=True)
            )
            if dataset not in {record.name for record in self.catalogs[0].datasets()}:
                self.names.discard(dataset)
                self.lose_images({place: id for place, id in self.images.items() if place[0] == dataset})

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def both_tell_what_is_there(self) -> None:
        """In turns, by halves, and not after each step: a whole look takes longer than three of them."""
        if hasattr(self, "catalogs"):
            self.looks += 1
            turn, between = divmod(self.looks, 3)
            if not between:
                look = (self.look_at_images, self.look_at_objects)[turn // 2 % 2]
                look(turn % 2)

    def look_at_images(self, by: int) -> None:
        counts = Counter(name for name, _ in self.images)
        assert {d.name: d.images for d in self.catalogs[by].datasets()} == {name: counts[name] for name in self.names}
        found = {(image.dataset, int(image.filename[:-4])): image.id for image in self.catalogs[by].images()}
        assert found == self.images

    def look_at_objects(self, by: int) -> None:
        catalog = self.catalogs[by]
        records = [*catalog.annotations(), *catalog.annotations(review=REJECTED)]
        assert {r.id: (r.image_id, r.category, r.review) for r in records} == self.objects
        self.categories_now(by)


def object_on(image: str, category: str, review: str) -> NewAnnotation:
    return NewAnnotation(image, category, RLE, (0, 0, 2, 2), 4, review=review)


def dies_at_statement(number: int, address: str, work: Callable[[Catalog], object]) -> None:
    """Run `work` in a fork of this process that ends before its `number`-th statement or commit."""
    ended_by_itself(lambda: counted(number, address, work, lambda: os._exit(9)))


def stops_at_statement(number: int, address: str, work: Callable[[Catalog], object]) -> None:
    """Run `work` on a connection that goes, and takes no more, before its `number`-th statement or commit."""

    def stop() -> None:
        INJECTED["stop"] += 1
        raise Stopped

    with suppress(Stopped):
        counted(number, address, work, stop)


def counted(number: int, address: str, work: Callable[[Catalog], object], act: Callable[[], None]) -> None:
    left = [number]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] <= 0:
            act()

    with Catalog(address) as catalog:
        for name in ("before_cursor_execute", "commit"):
            event.listen(catalog._database.engine, name, count)
        work(catalog)


class PostgresqlMachine(CatalogMachine):
    """The same on a PostgreSQL, in a database for each run."""

    server: PostgresServer

    def make(self) -> str:
        return self.server.catalog()

    def destroy(self) -> None:
        self.server.execute(f"DROP DATABASE {self.address.rpartition('/')[2]} WITH (FORCE)")


class TestCatalogMachine(CatalogMachine.TestCase):
    settings = machine()

    def runTest(self) -> None:
        before = INJECTED.copy()
        super().runTest()
        CatalogMachine.made_enough()
        assert INJECTED["end"] > before["end"]
        assert INJECTED["stop"] > before["stop"]


class TestPostgresqlMachine(PostgresqlMachine.TestCase):
    settings = machine()

    @pytest.fixture(autouse=True)
    def server(self, postgres_server: PostgresServer) -> None:
        PostgresqlMachine.server = postgres_server

    def runTest(self) -> None:
        before = INJECTED.copy()
        super().runTest()
        PostgresqlMachine.made_enough()
        assert INJECTED["end"] > before["end"]
        assert INJECTED["stop"] > before["stop"]
