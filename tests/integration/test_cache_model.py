"""`EmbeddingCache` against plain sets: puts, reads, evictions, crashes and damage, by two caches of one folder."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache as once
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from samnb.cache import EmbeddingCache
from samnb.errors import NoRoom, StoreError
from samnb.prompts import Embedding
from samnb.store import check, eviction, folder, stats, usage
from samnb.store.entry import EntryDamaged, verify
from tests.support.embeddings import damage, same, some
from tests.support.faults import INJECTED, ends_at_call, fails_at_call, stops_at_call
from tests.support.machines import Machine, machine, new_folder

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="forks")]

numbers, which = st.integers(0, 5), st.integers(0, 1)
calls = st.integers(1, 12)
errors = st.sampled_from([errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])

HARM: dict[str, Callable[[Path], object]] = {
    "flip": lambda path: damage(path, lambda raw: raw.__setitem__(-3, raw[-3] ^ 1)),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "delete": lambda path: path.unlink(),
}


SHARDS = 4


@contextmanager
def few_shards() -> Iterator[None]:
    """Folders of four parts, not of 256: nearly all the time of a step would go into listing the empty ones."""
    totals = {"_SIZE": 16 * SHARDS, "_UNKNOWN": usage._UNKNOWN[: 16 * SHARDS]}
    with ExitStack() as stack:
        for module in (check, eviction, folder, stats, usage):
            stack.enter_context(patch.object(module, "SHARDS", SHARDS))
        stack.enter_context(patch.multiple(usage, **totals))
        yield


def key_of(number: int) -> str:
    """The key of a numbered entry, two of them in most parts of the folder."""
    return f"{number % SHARDS:02x}{number:062x}"


@once
def stored(number: int) -> Embedding:
    """The embedding of a number as a cache returns it: through float16."""
    return EmbeddingCache(None).put(key_of(number), some(seed=number), about={})


class CacheMachine(Machine):
    """`sound` and `damaged` are the numbers whose files must be there; caches 0 and 1 share the folder."""

    @initialize()
    def start(self) -> None:
        self.folder = new_folder()
        self.caches = [self.new(), self.new()]
        self.sound: set[int] = set()
        self.damaged: set[int] = set()
        self.pinned: list[set[int]] = [set(), set()]
        self.looks = 0

    def new(self) -> EmbeddingCache:
        # room in memory for two, so that most reads come from the disk
        return EmbeddingCache(self.folder / "e", min_free_bytes=0, disk_bytes=10**9, max_entries=2)

    def teardown(self) -> None:
        if hasattr(self, "caches"):
            for cache in self.caches:
                cache.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def there(self) -> set[int]:
        return self.sound | self.damaged

    def is_sound_now(self, number: int) -> None:
        self.sound.add(number)
        self.damaged.discard(number)

    # -- work --------------------------------------------------------------------------------------

    @rule(number=numbers, by=which)
    def put(self, number: int, by: int) -> None:
        assert same(self.caches[by].put(key_of(number), some(seed=number), about={}), stored(number))
        self.is_sound_now(number)

    @rule(number=numbers, by=which)
    def get(self, number: int, by: int) -> None:
        found = self.caches[by].get(key_of(number))
        if number in self.sound:
            assert same(found, stored(number))
        elif number in self.damaged:
            assert found is None or same(found, stored(number))  # from memory
            if found is None:
                self.damaged.discard(number)  # it is in quarantine
        else:
            assert found is None

    @rule(number=numbers, by=which)
    def get_or_compute(self, number: int, by: int) -> None:
        found, hit = self.caches[by].get_or_compute(key_of(number), lambda: some(seed=number), about={})
        assert same(found, stored(number))
        if number not in self.damaged:
            assert hit == (number in self.sound)
        if not hit:
            self.is_sound_now(number)

    @rule(number=numbers, by=which)
    def remove(self, number: int, by: int) -> None:
        assert self.caches[by].remove(key_of(number)) == (number in self.there)
        self.sound.discard(number)
        self.damaged.discard(number)

    @rule(chosen=st.sets(numbers, min_size=1), by=which)
    def pin(self, chosen: set[int], by: int) -> None:
        self.caches[by].pin(map(key_of, chosen))
        self.pinned[by] |= chosen

    @rule(chosen=st.sets(numbers), by=which)
    def unpin(self, chosen: set[int], by: int) -> None:
        self.caches[by].unpin(map(key_of, chosen))
        self.pinned[by] -= chosen

    @rule(to_bytes=st.sampled_from([0, 1_000, 3_000, 10**9]), by=which)
    def collect(self, to_bytes: int, by: int) -> None:
        before = self.there
        report = self.caches[by].collect(to_bytes=to_bytes)
        left = {number for number in before if key_of(number) in self.caches[by]}
        assert report.evicted == len(before - left)
        assert left >= before & (self.pinned[0] | self.pinned[1])
        assert to_bytes < 10**9 or left == before
        self.sound &= left
        self.damaged &= left

    @rule(by=which)
    def clear_memory(self, by: int) -> None:
        self.caches[by].clear_memory()

    # -- misfortune --------------------------------------------------------------------------------

    @rule(by=which)
    def reopen(self, by: int) -> None:
        self.caches[by].close()
        self.caches[by], self.pinned[by] = self.new(), set()

    @rule(number=numbers, at=calls, by=which)
    def put_and_crash(self, number: int, at: int, by: int) -> None:
        key, cache = key_of(number), self.caches[by]
        if stops_at_call(at, lambda: self.new().put(key, some(seed=number), about={})):
            self.is_sound_now(number)
        elif number not in self.sound and key in cache:
            raw = cache.raw(key)
            assert raw is not None
            try:
                verify(raw, key)
            except EntryDamaged:
                assert number in self.damaged
            else:
                self.is_sound_now(number)

    @rule(at=calls, by=which)
    def collect_and_crash(self, at: int, by: int) -> None:
        ends_at_call(at, lambda: self.caches[by].collect(to_bytes=0))
        left = {number for number in self.there if key_of(number) in self.caches[by]}
        assert left >= self.there & (self.pinned[0] | self.pinned[1])
        self.sound &= left
        self.damaged &= left

    @rule(number=numbers, at=calls, code=errors, by=which)
    def put_on_a_failing_disk(self, number: int, at: int, code: int, by: int) -> None:
        key = key_of(number)
        try:
            with fails_at_call(at, code):
                self.caches[by].put(key, some(seed=number), about={})
        except StoreError:
            assert (key in self.caches[by]) == (number in self.there)
        else:
            self.is_sound_now(number)

    @rule(number=numbers, at=calls, code=errors, by=which)
    def get_on_a_failing_disk(self, number: int, at: int, code: int, by: int) -> None:
        with fails_at_call(at, code):
            found = self.caches[by].get(key_of(number))
        assert found is None or (number in self.there and same(found, stored(number)))
        if key_of(number) not in self.caches[by]:  # what fails twice goes to quarantine
            self.sound.discard(number)
            self.damaged.discard(number)

    @rule(at=calls, code=errors, by=which)
    def collect_on_a_failing_disk(self, at: int, code: int, by: int) -> None:
        with suppress(StoreError), fails_at_call(at, code):
            self.caches[by].collect(to_bytes=0)
        left = {number for number in self.there if key_of(number) in self.caches[by]}
        assert left >= self.there & (self.pinned[0] | self.pinned[1])
        self.sound &= left
        self.damaged &= left

    @precondition(lambda self: self.sound)
    @rule(data=st.data(), harm=st.sampled_from(sorted(HARM)))
    def harm(self, data: st.DataObject, harm: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.sound)))
        HARM[harm](self.caches[0].path_of(key_of(number)))
        self.sound.discard(number)
        if harm != "delete":
            self.damaged.add(number)

    @rule(by=which, fix=st.booleans())
    def check(self, by: int, fix: bool) -> None:
        report = self.caches[by].check(fix=fix)
        assert (report.entries, len(report.damaged)) == (len(self.sound), len(self.damaged))
        assert not report.unreadable
        if fix:
            self.damaged.clear()
            assert self.caches[by].check().ok
            assert self.caches[by].check().miscounted == 0

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def both_hold_what_is_there(self) -> None:
        """In turns: a listing takes longer than most steps."""
        if hasattr(self, "caches"):
            self.looks += 1
            assert set(self.caches[self.looks % 2].keys()) == {key_of(number) for number in self.there}


class SmallCacheMachine(Machine):
    """A folder with room for three entries: never over its budget, never refusing, never another embedding."""

    @initialize()
    def start(self) -> None:
        self.folder = new_folder()
        measured = EmbeddingCache(self.folder / "measured")
        measured.put(key_of(0), some(), about={})
        self.budget = int(3.5 * measured.stats().bytes)
        self.cache = self.new()

    def new(self) -> EmbeddingCache:
        return EmbeddingCache(self.folder / "e", min_free_bytes=0, disk_bytes=self.budget, memory_bytes=0)

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.cache.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    @rule(number=numbers)
    def put(self, number: int) -> None:
        try:
            self.cache.put(key_of(number), some(seed=number), about={})
        except NoRoom:
            # For an hour, the temporary file of a killed writer keeps the room it asked for.
            assert len([*(self.folder / "e").rglob(".tmp-*")]) >= 3
        else:
            assert key_of(number) in self.cache

    @rule(number=numbers)
    def get(self, number: int) -> None:
        found = self.cache.get(key_of(number))
        assert found is None or same(found, stored(number))

    @rule(number=numbers, at=calls)
    def put_and_crash(self, number: int, at: int) -> None:
        stops_at_call(at, lambda: self.new().put(key_of(number), some(seed=number), about={}))

    @rule()
    def reopen(self) -> None:
        self.cache.close()
        self.cache = self.new()

    @invariant()
    def it_stays_within_its_budget(self) -> None:
        if hasattr(self, "cache"):
            used = sum(path.stat().st_size for path in (self.folder / "e").rglob("*.safetensors"))
            assert used <= self.budget


class TestCacheMachine(CacheMachine.TestCase):
    settings = machine()

    def runTest(self) -> None:
        before = INJECTED.copy()
        with few_shards():
            super().runTest()
        CacheMachine.made_enough()
        assert all(INJECTED[kind] > before[kind] for kind in ("end", "stop", "error"))


class TestSmallCacheMachine(SmallCacheMachine.TestCase):
    settings = machine()

    def runTest(self) -> None:
        before = INJECTED.copy()
        with few_shards():
            super().runTest()
        SmallCacheMachine.made_enough()
        assert INJECTED["stop"] > before["stop"]
