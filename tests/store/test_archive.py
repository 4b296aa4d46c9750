"""Embeddings in one file: out, in, and what is refused."""

from __future__ import annotations

import errno
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from samnb.cache import EmbeddingCache
from samnb.errors import SessionReadOnly, StoreError
from samnb.prompts import Embedding
from samnb.store import archive
from samnb.store import entry as entries
from samnb.store.archive import export_entries, import_entries
from tests.support.cache_child import key_of


def small(index: int) -> Embedding:
    return Embedding({"t": np.full((4, 4), index, np.float32)}, (4, 4), (4, 4))


def filled(folder: Path, count: int = 5) -> EmbeddingCache:
    cache = EmbeddingCache(folder)
    for index in range(count):
        cache.put(key_of(index), small(index), about={"pixel_hash": f"p{index}"})
    return cache


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return filled(tmp_path / "here")


@pytest.fixture
def other(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "there")


def append(path: Path, name: str, raw: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(raw), kind, link
    with tarfile.open(path, "a") as archive:
        archive.addfile(member, io.BytesIO(raw))


def test_an_archive_brings_every_entry_byte_for_byte(
    cache: EmbeddingCache, other: EmbeddingCache, tmp_path: Path
) -> None:
    told = export_entries(cache, tmp_path / "deep" / "all.tar")
    assert (told.entries, told.ok) == (5, True)
    other.put(key_of(0), small(0), about={})
    kept = other.path_of(key_of(0)).read_bytes()
    report = import_entries(other, tmp_path / "deep" / "all.tar")
    assert (report.entries, report.added, report.ok) == (5, 4, True)
    assert "1 were there already" in str(report)
    for index in range(1, 5):
        assert other.path_of(key_of(index)).read_bytes() == cache.path_of(key_of(index)).read_bytes()
    assert other.path_of(key_of(0)).read_bytes() == kept
    assert other.check().ok
    assert other.stats().entries == 5
    assert import_entries(other, tmp_path / "deep" / "all.tar").added == 0


def test_only_what_was_asked_for_is_exported(cache: EmbeddingCache, tmp_path: Path) -> None:
    report = export_entries(cache, tmp_path / "some.tar", keys=[key_of(1), key_of(99)])
    assert report.entries == 1


def test_damaged_entries_are_neither_exported_nor_imported(
    cache: EmbeddingCache, other: EmbeddingCache, tmp_path: Path
) -> None:
    export_entries(cache, tmp_path / "all.tar")
    raw = bytearray((tmp_path / "all.tar").read_bytes())
    at = raw.index(cache.path_of(key_of(3)).read_bytes()[-32:])
    raw[at + 5] ^= 1
    (tmp_path / "all.tar").write_bytes(raw)
    report = import_entries(other, tmp_path / "all.tar")
    assert (report.entries, report.added, report.ok, len(report.rejected)) == (4, 4, False, 1)
    assert key_of(3) in report.rejected[0][0]
    assert "checksum" in str(report)
    assert key_of(3) not in other

    path = other.path_of(key_of(1))
    path.write_bytes(path.read_bytes()[:-1])
    other.clear_memory()
    assert import_entries(other, tmp_path / "all.tar").added == 1  # a damaged one here is replaced
    assert other.check().ok

    path = cache.path_of(key_of(2))
    path.write_bytes(path.read_bytes()[:-1])
    report = export_entries(cache, tmp_path / "again.tar")
    assert (report.entries, [name for name, _ in report.rejected]) == (4, [key_of(2)])


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/tmp/evil",
        f"aa/bb/{key_of(1)}.safetensors",
        f"x/../{key_of(1)}.safetensors",
        f"{key_of(1)}",
        "a" * 300,
    ],
)
def test_no_name_in_an_archive_is_used_as_a_path(
    cache: EmbeddingCache, other: EmbeddingCache, tmp_path: Path, name: str
) -> None:
    archive = tmp_path / "all.tar"
    export_entries(cache, archive, keys=[key_of(0)])
    append(archive, name, cache.path_of(key_of(1)).read_bytes())
    before = sorted(path for path in tmp_path.rglob("*") if "there" not in path.parts)
    report = import_entries(other, archive)
    assert (report.entries, len(report.rejected)) == (1, 1)
    assert sorted(path for path in tmp_path.rglob("*") if "there" not in path.parts) == before
    assert list(other.keys()) == [key_of(0)]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(
    cache: EmbeddingCache, other: EmbeddingCache, tmp_path: Path, kind: bytes
) -> None:
    key = key_of(0)
    append(tmp_path / "links.tar", f"{key[:2]}/{key[2:4]}/{key}.safetensors", b"", kind, str(cache.path_of(key)))
    report = import_entries(other, tmp_path / "links.tar")
    assert (report.entries, len(report.rejected)) == (0, 1)
    assert len(other) == 0


def test_an_archive_that_is_cut_off_gives_what_it_has_and_says_so(
    cache: EmbeddingCache, other: EmbeddingCache, tmp_path: Path
) -> None:
    export_entries(cache, tmp_path / "all.tar")
    raw = (tmp_path / "all.tar").read_bytes()
    lengths = range(0, len(raw), 512)
    most = 0
    for length in [*lengths, *(length + 100 for length in lengths)]:
        (tmp_path / "cut.tar").write_bytes(raw[:length])
        fresh = EmbeddingCache(tmp_path / f"cut{length}")
        if length < 512:
            with pytest.raises(StoreError, match="not an archive"):
                import_entries(fresh, tmp_path / "cut.tar")
            continue
        report = import_entries(fresh, tmp_path / "cut.tar")
        assert report.entries == len(fresh)
        assert report.ok or report.stopped
        assert not report.ok or report.entries == 5
        assert fresh.check().ok
        most = max(most, report.entries)
    assert most == 5


def test_what_is_no_archive_is_an_error(other: EmbeddingCache, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        import_entries(other, tmp_path / "none.tar")
    (tmp_path / "text.tar").write_text("hello" * 1000)
    with pytest.raises(StoreError, match="not an archive of embeddings"):
        import_entries(other, tmp_path / "text.tar")
    with pytest.raises(StoreError, match="memory only"):
        export_entries(EmbeddingCache(None), tmp_path / "x.tar")


def test_an_import_stops_where_the_budget_ends(cache: EmbeddingCache, tmp_path: Path) -> None:
    export_entries(cache, tmp_path / "all.tar")
    tiny = EmbeddingCache(tmp_path / "tiny", disk_bytes=100)
    report = import_entries(tiny, tmp_path / "all.tar")
    assert (report.entries, report.ok) == (0, False)
    assert "larger than the budget" in str(report)


def test_a_file_that_cannot_be_written_leaves_nothing(cache: EmbeddingCache, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((StoreError, SessionReadOnly)):
        export_entries(cache, tmp_path / "file" / "all.tar")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        export_entries(cache, tmp_path / "folder")
    assert not list(tmp_path.glob(".*.part"))


# -- archives that were made to do harm ---------------------------------------------------------------


def with_size(header: bytes, size: bytes) -> bytes:
    """A tar header with other bytes for its size, and the sum that goes with them."""
    blank = header[:124] + size + header[136:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


@pytest.mark.parametrize("name", ["README", f"{key_of(0)[:2]}/{key_of(0)[2:4]}/{key_of(0)}.safetensors"])
def test_a_size_below_zero_leads_round_in_no_circle(
    other: EmbeddingCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    header = tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)
    back = with_size(header, b"\xff" * 10 + (-512).to_bytes(2, "big", signed=True))
    (tmp_path / "circle.tar").write_bytes(header + back + bytes(2048))
    read, real = [], tarfile.TarFile.next

    def once_more(self: tarfile.TarFile) -> tarfile.TarInfo | None:
        read.append(self.offset)
        assert len(read) < 10, "the same header is read for ever"
        return real(self)

    monkeypatch.setattr(tarfile.TarFile, "next", once_more)
    report = import_entries(other, tmp_path / "circle.tar")
    assert (report.entries, report.ok, len(report.rejected)) == (0, False, 1)


def test_a_sparse_file_is_not_blown_up(other: EmbeddingCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = tarfile.TarInfo(f"{key_of(0)[:2]}/{key_of(0)[2:4]}/{key_of(0)}.safetensors")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (1 << 30, 0)
    header[483:495] = b"%011o\0" % (1 << 30)
    (tmp_path / "sparse.tar").write_bytes(with_size(bytes(header), b"%011o\0" % 0) + bytes(1024))

    def never(*args: object) -> None:
        raise AssertionError("a gigabyte of zeros was read")

    monkeypatch.setattr(tarfile.TarFile, "extractfile", never)
    report = import_entries(other, tmp_path / "sparse.tar")
    assert (report.entries, len(report.rejected)) == (0, 1)


def test_a_header_that_nests_without_end_is_damage(other: EmbeddingCache, tmp_path: Path) -> None:
    text = b'{"__metadata__":{"xxh3_128":"' + b"0" * 32 + b'"},"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"
    raw = bytearray(len(text).to_bytes(8, "little") + text)
    raw[entries._digits_at()] = entries._digest(raw)
    key = key_of(0)
    append(tmp_path / "deep.tar", f"{key[:2]}/{key[2:4]}/{key}.safetensors", bytes(raw))
    append(tmp_path / "deep.tar", "after", b"")
    report = import_entries(other, tmp_path / "deep.tar")
    assert "not understood" in report.rejected[0][1]
    assert len(report.rejected) == 2
    with pytest.raises(entries.EntryDamaged, match="not understood"):
        entries.deserialize(bytes(raw), key)


def test_an_import_says_what_it_evicted(cache: EmbeddingCache, tmp_path: Path) -> None:
    export_entries(cache, tmp_path / "all.tar")
    size = cache.path_of(key_of(0)).stat().st_size
    narrow = EmbeddingCache(tmp_path / "narrow", disk_bytes=3 * size, min_free_bytes=0)
    narrow.put(key_of(9), small(9), about={"pixel_hash": "p9"})
    report = import_entries(narrow, tmp_path / "all.tar")
    assert (report.added, report.evicted, len(narrow)) == (5, 6 - len(narrow), len(narrow))
    assert f"{report.evicted} evicted" in str(report)


def test_an_archive_that_the_disk_stops_reading_gives_what_it_has(
    cache: EmbeddingCache, other: EmbeddingCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_entries(cache, tmp_path / "all.tar")
    read, done = archive._bytes_of, []

    def failing(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        if done:
            raise OSError(errno.EIO, "Input/output error")
        done.append(member)
        return read(opened, member)

    monkeypatch.setattr(archive, "_bytes_of", failing)
    report = import_entries(other, tmp_path / "all.tar")
    assert (report.added, report.stopped, report.ok) == (1, "cannot be read (Input/output error)", False)
