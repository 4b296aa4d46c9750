"""A folder of entries: damage, kills, full disks and permissions."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from samnb.cache import CacheReport, EmbeddingCache
from samnb.errors import SessionReadOnly, StoreError
from samnb.store import folder as entry_folder
from samnb.store.entry import EntryDamaged, deserialize, serialize
from samnb.store.entry_files import read_entry
from tests.support.cache_child import embedding_of, key_of
from tests.support.embeddings import KEY, damage, same, some, start

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX users, limits or fork")


def test_no_changed_byte_goes_unnoticed() -> None:
    raw = serialize(KEY, some((2, 3)), dtype="float16", metadata={"filename": "a.jpg"})
    deserialize(raw, KEY)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << position % 8
        with pytest.raises(EntryDamaged):
            deserialize(bytes(changed), KEY)
    for length in range(len(raw)):
        with pytest.raises(EntryDamaged):
            deserialize(raw[:length], KEY)
    with pytest.raises(EntryDamaged):
        deserialize(raw + b"\0", KEY)


def zero_a_page(raw: bytearray) -> None:
    raw[8192:12288] = bytes(4096)


def flip_a_byte(raw: bytearray) -> None:
    raw[len(raw) // 2] ^= 0x10


def truncate(raw: bytearray) -> None:
    del raw[-1000:]


@pytest.mark.parametrize("change", [flip_a_byte, zero_a_page, truncate, bytearray.clear])
def test_a_damaged_entry_is_a_miss_set_aside_and_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[bytearray], object]
) -> None:
    good = EmbeddingCache(tmp_path).put(KEY, some((16, 32, 32)), about={})
    cache = EmbeddingCache(tmp_path)
    damage(cache.path_of(KEY), change)
    with caplog.at_level(logging.WARNING, "samnb.cache"):
        assert cache.get(KEY) is None
    assert str(cache.path_of(KEY)) in caplog.text
    assert "checksum" in caplog.text or "not an embedding" in caplog.text
    assert KEY not in cache
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    again, hit = cache.get_or_compute(KEY, lambda: some((16, 32, 32)), about={})
    assert not hit
    assert same(again, good)
    assert same(EmbeddingCache(tmp_path).get(KEY), good)
    assert (cache.stats().quarantined, cache.stats().computed, cache.stats().misses) == (1, 1, 2)


def test_an_entry_under_another_key_is_not_served(cache: EmbeddingCache) -> None:
    cache.put(KEY, some(), about={})
    other = cache.path_of(key_of(1))
    other.parent.mkdir(parents=True)
    os.replace(cache.path_of(KEY), other)
    assert cache.get(key_of(1)) is None
    assert cache.get(KEY) is None
    assert cache.check().quarantined == 1


def test_a_sound_entry_published_meanwhile_is_not_set_aside(tmp_path: Path) -> None:
    # two readers met the damage; the first has moved it and published again before the second gets to it
    cache = EmbeddingCache(tmp_path, memory_bytes=0)
    cache.put(KEY, some(), about={})
    damage(cache.path_of(KEY), flip_a_byte)
    folder = entry_folder.EntryFolder(tmp_path)
    with pytest.raises(EntryDamaged) as caught:
        read_entry(str(cache.path_of(KEY)), KEY)
    assert cache.get(KEY) is None
    cache.put(KEY, some(), about={})
    folder.quarantine(cache.path_of(KEY), caught.value)
    assert cache.get(KEY) is not None


def test_check_finds_and_mends(cache: EmbeddingCache) -> None:
    for index in range(5):
        cache.put(key_of(index), some(), about={})
    assert cache.check() == CacheReport(entries=5)
    damage(cache.path_of(key_of(1)), flip_a_byte)
    misplaced = cache.path_of(key_of(2)).with_name(f"{key_of(3)}.safetensors")
    shutil.copy(cache.path_of(key_of(3)), misplaced)
    stale, fresh = (cache.path_of(key_of(4)).with_name(f".tmp-host-1-{name}") for name in ("stale", "fresh"))
    stale.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(stale, (time.time() - 3700,) * 2)

    report = cache.check()
    assert not report.ok
    assert {path for path, _ in report.damaged} == {cache.path_of(key_of(1)), misplaced}
    assert (report.entries, report.stale_temporary, report.quarantined) == (4, (stale,), 0)
    assert len(cache) == 5  # looking changes nothing

    mended = cache.check(fix=True)
    assert mended.ok
    assert (mended.damaged, mended.stale_temporary, mended.quarantined) == (report.damaged, (stale,), 2)
    assert "fixed" in mended._repr_html_()
    assert not stale.exists()
    assert fresh.exists()
    assert cache.check() == CacheReport(entries=4, quarantined=2)
    assert cache.get(key_of(1)) is None


@pytest.mark.slow
@posix_only
def test_killed_writers_leave_no_torn_entry(tmp_path: Path) -> None:
    folder, chance = tmp_path / "embeddings", random.Random(1)
    reader = EmbeddingCache(folder, memory_bytes=0)
    index_of: dict[str, int] = {}
    for run in range(20):
        index_of |= {key_of(index): index for index in range(run * 1000, run * 1000 + 200)}
        child = start("write", folder, run * 1000)
        assert child.stdout.readline() == "writing\n"
        end = time.monotonic() + chance.uniform(0, 0.06)
        while time.monotonic() < end:  # read what the child is writing
            key = key_of(run * 1000 + chance.randrange(10))
            if (embedding := reader.get(key)) is not None:
                assert same(embedding, embedding_of(index_of[key]))
        child.kill()
        assert child.wait() == -9
    keys = list(reader.keys())
    assert len(keys) >= 20
    for key in keys:
        assert same(reader.get(key), embedding_of(index_of[key]))
    assert reader.stats().quarantined == 0
    for left in folder.glob("??/??/.tmp-*"):
        os.utime(left, (time.time() - 7200,) * 2)
    assert reader.check(fix=True).ok
    assert reader.check() == CacheReport(entries=len(keys))
    assert not list(folder.glob("??/??/.tmp-*"))


@posix_only
def test_a_full_disk_is_said_and_leaves_no_trace(cache: EmbeddingCache) -> None:
    import resource

    cache.put(KEY, some(), about={})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # a write fails half way
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            cache.put(key_of(1), some((256, 64, 64)), about={})
        with pytest.raises(StoreError, match="free some space"):
            cache.get_or_compute(key_of(1), lambda: some((256, 64, 64)), about={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert key_of(1) not in cache
    assert cache.get(key_of(1)) is None
    assert not list(cache.folder.glob("??/??/.tmp-*"))
    assert cache.check() == CacheReport(entries=1)  # and no room stays reserved for what was not written
    assert same(EmbeddingCache(cache.folder).get(KEY), cache.get(KEY))
    assert cache.get_or_compute(key_of(1), some, about={})[1] is False


@pytest.fixture
def open_folder() -> Iterator[Path]:
    # pytest's own folders are closed to other users
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def locked(mode: int, *paths: Path) -> Iterator[None]:
    """With `paths` at `mode`, and without root's power to ignore that."""
    before = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(mode)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, old in zip(paths, before, strict=True):
            path.chmod(old)


@posix_only
def test_a_folder_that_cannot_be_written_can_be_read(open_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = open_folder / "embeddings"
    told = EmbeddingCache(folder).put(KEY, some(), about={})
    EmbeddingCache(folder).put(key_of(1), some(), about={})
    cache = EmbeddingCache(folder)
    damage(cache.path_of(key_of(1)), flip_a_byte)
    computed = []
    folders = [folder, *folder.glob("??"), *folder.glob("??/??")]
    with locked(0o555, *folders), caplog.at_level(logging.WARNING, "samnb.cache"):
        assert same(cache.get(KEY), told)
        assert cache.get_or_compute(KEY, some, about={})[1] is True
        assert cache.get(key_of(1)) is None  # damaged, and must stay where it is
        with pytest.raises(SessionReadOnly, match=str(folder)):
            cache.put(key_of(2), some(), about={})
        with pytest.raises(SessionReadOnly):
            cache.get_or_compute(key_of(2), lambda: computed.append(1) or some(), about={})
        with pytest.raises(SessionReadOnly):
            cache.check(fix=True)
        assert not cache.check().ok
    assert "cannot be moved" in caplog.text
    assert not computed
    assert len(cache) == 2


@posix_only
def test_a_file_that_may_not_be_read_is_a_miss_and_not_damage(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = open_folder / "embeddings"
    told = EmbeddingCache(folder).put(KEY, some(), about={})
    cache = EmbeddingCache(folder)
    path = cache.path_of(KEY)
    with locked(0o000, path), caplog.at_level(logging.WARNING, "samnb.cache"):
        assert cache.get(KEY) is None
        assert cache.get(KEY) is None
        report = cache.check()
        assert (report.ok, report.damaged, [where for where, _ in report.unreadable]) == (False, (), [path])
    assert caplog.text.count("cannot be read") == 1
    with locked(0o000, path.parent):
        assert KEY not in EmbeddingCache(folder)
        assert EmbeddingCache(folder).stats().entries == 0
    assert same(cache.get(KEY), told)
    assert cache.stats().quarantined == 0


@posix_only
def test_a_colleagues_file_that_may_not_be_read_is_computed_again(open_folder: Path) -> None:
    cache = EmbeddingCache(open_folder / "embeddings")
    told = cache.put(KEY, some(), about={})
    for folder in (cache.folder, *(path for path in cache.folder.rglob("*"))):
        folder.chmod(0o777)
    with locked(0o000, cache.path_of(KEY).parent):
        again, hit = EmbeddingCache(cache.folder).get_or_compute(KEY, some, about={})
        assert not hit
        assert same(again, told)


def _answering(code: int, path: Path) -> Callable[..., object]:
    real = os.open

    def answer(name: object, *args: object, **options: object) -> object:
        if str(name) == str(path):
            raise OSError(code, os.strerror(code), str(name))
        return real(name, *args, **options)

    return answer


def test_a_file_on_a_bad_sector_is_a_miss_and_is_set_aside(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(KEY, some(), about={})
    cache.clear_memory()
    path = cache.path_of(KEY)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "samnb.cache"):
        patched.setattr(os, "open", _answering(errno.EIO, path))
        assert cache.get(KEY) is None
        assert path.exists()
        assert cache.get(KEY) is None
    assert not path.exists()
    assert cache.check().quarantined == 1
    assert "moved to" in caplog.text
    assert cache.get_or_compute(KEY, some, about={})[1] is False


@posix_only
def test_links_in_the_folder_lead_to_no_file_that_is_changed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    theirs = EmbeddingCache(outside)
    theirs.put(KEY, some(), about={})
    for name in ("trash", "quarantine"):
        (outside / name).mkdir(exist_ok=True)
        (outside / name / "letter.txt").write_text("kept")
    (tmp_path / "victim").write_text("a long text")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file() and path.name != "usage"}

    folder = tmp_path / "shared"
    folder.mkdir()
    for name in (KEY[:2], "trash", "quarantine"):
        (folder / name).symlink_to(outside / name, target_is_directory=True)
    (folder / "usage").symlink_to(tmp_path / "victim")
    (folder / "locks").mkdir()
    (folder / "locks" / "gc.lock").symlink_to(tmp_path / "victim")
    cache = EmbeddingCache(folder)
    cache.collect(to_bytes=0)
    cache.check(fix=True)
    with pytest.raises(StoreError, match="a link"):
        cache.remove(KEY)
    cache.put(key_of(3), some(), about={})
    assert (tmp_path / "victim").read_text() == "a long text"
    assert all(path.read_bytes() == content for path, content in before.items())


@posix_only
def test_a_count_that_is_a_hard_link_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"x" * 4096)
    (tmp_path / "shared").mkdir()
    os.link(tmp_path / "victim", tmp_path / "shared" / "usage")
    cache = EmbeddingCache(tmp_path / "shared")
    cache.put(KEY, some(), about={})
    assert (tmp_path / "victim").read_bytes() == b"x" * 4096
    assert cache.stats().entries == 1


def test_a_file_that_claims_gigabytes_is_damage(cache: EmbeddingCache) -> None:
    path = cache.path_of(KEY)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(30 << 30)
    assert cache.get(KEY) is None
    assert cache.check().quarantined == 1


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "embeddings").write_text("not a folder")
    cache = EmbeddingCache(tmp_path / "embeddings")
    assert KEY not in cache
    with pytest.raises(StoreError, match="cannot be written"):
        cache.put(KEY, some(), about={})


def test_what_lies_in_the_place_of_an_entry_is_told_and_set_aside(cache: EmbeddingCache) -> None:
    for index in range(3):
        cache.put(key_of(index), some(), about={})
    cache.clear_memory()
    cache.path_of(key_of(0)).unlink()
    cache.path_of(key_of(0)).mkdir()
    (cache.path_of(key_of(0)) / "letter.txt").write_text("kept")
    for index, depth in ((1, 0), (2, 1)):  # files, where the folders of entries belong
        shutil.rmtree(cache.path_of(key_of(index)).parents[depth])
        cache.path_of(key_of(index)).parents[depth].write_text("kept")

    report = cache.check()
    assert not report.ok
    assert "a folder, where the file of an embedding is expected" in str(report)
    assert "a file, where a folder of embeddings is expected" in str(report)
    assert len(report.damaged) == 3

    mended = cache.check(fix=True)
    assert mended.ok
    assert (mended.damaged, mended.quarantined) == (report.damaged, 3)
    cache.collect()
    aside = cache.path_of(KEY).parents[2] / "quarantine"
    assert [path.read_text() for path in aside.glob("**/*") if path.is_file()] == ["kept"] * 3
    for index in range(3):
        assert not cache.get_or_compute(key_of(index), some, about={})[1]
    cache.clear_memory()
    assert all(cache.get(key_of(index)) is not None for index in range(3))
    assert cache.check() == CacheReport(entries=3, quarantined=3)


@posix_only
def test_a_link_in_the_place_of_a_folder_of_entries_is_told_and_stays(cache: EmbeddingCache, tmp_path: Path) -> None:
    cache.put(KEY, some(), about={})
    folder = cache.path_of(KEY).parent.parent
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    report = cache.check(fix=True)
    assert not report.ok
    assert [path for path, _ in report.unreadable] == [folder]
    assert folder.is_symlink()


@posix_only
def test_what_a_remote_tier_has_is_served_where_nothing_can_be_kept(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = open_folder / "remote"
    remote.mkdir()
    with closing(EmbeddingCache(open_folder / "first", remote=[remote.as_uri()])) as first:
        told = [first.put(key_of(number), some(), about={}) for number in range(2)]
    (open_folder / "second").mkdir()
    second, computed = EmbeddingCache(open_folder / "second", remote=[remote.as_uri()]), []
    with closing(second), locked(0o555, open_folder / "second"), caplog.at_level(logging.WARNING, "samnb.cache"):
        for number, expected in enumerate(told):
            found, hit = second.get_or_compute(key_of(number), lambda: computed.append(1) or some(), about={})
            assert same(found, expected)
            assert hit
        with pytest.raises(SessionReadOnly):
            second.get_or_compute(key_of(9), lambda: computed.append(1) or some(), about={})
    assert caplog.text.count("is kept in memory only") == 1
    assert not computed


def test_the_disk_keeps_the_names_of_all_entries_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[set[Path]] = []
    monkeypatch.setattr(entry_folder, "keep_names", lambda folders: kept.append(set(folders)))
    cache = EmbeddingCache(tmp_path, min_free_bytes=0)
    paths = [cache.path_of(key_of(number)) for number in range(3)]
    for number in range(3):
        cache.put(key_of(number), some(seed=number), about={})
    cache.sync()
    cache.sync()
    assert kept == [{tmp_path, *(path.parent for path in paths), *(path.parent.parent for path in paths)}]


def test_a_collection_on_a_disk_that_answers_nothing_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EmbeddingCache(tmp_path, min_free_bytes=0)
    cache.put(key_of(0), some(), about={})

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(tmp_path))

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        cache.collect()
    monkeypatch.undo()
