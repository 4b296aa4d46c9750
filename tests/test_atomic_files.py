import errno
import os
import stat
from pathlib import Path

import pytest

from samnb.atomic_files import cannot_write, publish, staging_path, write_atomic
from samnb.errors import SessionReadOnly, StoreError
from samnb.exchange.writers.layout import FolderWriter


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path):
    for content in (b"first", b"second"):
        assert write_atomic(tmp_path / "new" / "a.bin", content).read_bytes() == content
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_what_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "a.bin", b"old")

    def full(self, content):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_no_question_of_permissions():
    path = Path("session/images/a.png")
    full = cannot_write(Path("session"), path, OSError(errno.ENOSPC, "No space left on device"))
    assert type(full) is StoreError
    assert "free some space" in str(full)
    assert "check that disk" in str(cannot_write(Path("session"), path, OSError(errno.EIO, "Input/output error")))
    for number in (errno.EACCES, errno.EROFS):
        assert isinstance(cannot_write(Path("session"), path, OSError(number, "no")), SessionReadOnly)


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bytes]]:
    """The files and folders that were synced, in that order; of a file, the bytes it had then."""
    found: list[tuple[Path, bytes]] = []
    real = os.fsync

    def fsync(file: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        if path.is_relative_to(tmp_path):
            found.append((path, path.read_bytes() if path.is_file() else b""))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_written_file_is_on_the_disk_before_its_name_and_its_new_folders_are_too(
    tmp_path: Path, synced: list[tuple[Path, bytes]]
) -> None:
    write_atomic(tmp_path / "new" / "deep" / "a.txt", b"whole")
    names = [path for path, _ in synced]
    assert names[:2] == [tmp_path, tmp_path / "new"]
    assert synced[2][1] == b"whole"
    assert names[2].name.startswith(".samnb-")
    assert names[3:] == [tmp_path / "new" / "deep"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_published_folder_is_on_the_disk_with_all_in_it(tmp_path: Path, synced: list[tuple[Path, bytes]]) -> None:
    with staging_path(tmp_path, folder=True) as aside:
        (aside / "masks").mkdir()
        for name in ("a", "masks/b"):
            (aside / name).write_bytes(name.encode())
        publish(aside, tmp_path / "out")
    assert {content for _, content in synced} == {b"", b"a", b"masks/b"}
    assert {path.name for path, _ in synced} >= {"a", "b", "masks", tmp_path.name}


def test_a_disk_that_cannot_keep_a_file_is_said_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "a.txt", b"old")

    def fsync(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        write_atomic(tmp_path / "a.txt", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"old"


def test_a_drive_that_cannot_sync_folders_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(file: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    assert write_atomic(tmp_path / "a.txt", b"new").read_bytes() == b"new"


@pytest.mark.parametrize("what", ["may not be read", "fails"])
def test_what_is_in_its_place_is_no_failure_when_its_folder_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """A folder of others may allow to write and not to list; a disk may fail after the file has its name."""
    really_open, really_sync = os.open, os.fsync

    def opened(path: object, flags: int, *more: int, **at: int) -> int:  # from Python 3.13 on with dir_fd
        if what == "may not be read" and os.path.isdir(path):  # type: ignore[arg-type]
            raise PermissionError(errno.EACCES, "Permission denied")
        return really_open(path, flags, *more, **at)  # type: ignore[arg-type]

    def synced(file: int) -> None:
        if what == "fails" and stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        really_sync(file)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", synced)
    assert write_atomic(tmp_path / "new" / "a.txt", b"new").read_bytes() == b"new"
    (tmp_path / "export").mkdir()
    for content in (b"first", b"second"):
        with FolderWriter(tmp_path / "export") as writer:
            writer.write("a.txt", content)
            writer.write_manifest("voc")
        assert (tmp_path / "export" / "a.txt").read_bytes() == content
    assert ("may not survive a power cut" in caplog.text) == (what == "fails")


def test_files_are_synced_without_threads_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: object) -> None:
        raise RuntimeError("can't start new thread")

    synced = []
    really = os.fsync
    monkeypatch.setattr("threading.Thread.start", start)
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), really(file)))
    with staging_path(tmp_path, folder=True) as staged:
        for name in "abc":
            (staged / name).write_text(name)
        publish(staged, tmp_path / "done")
    assert len(list((tmp_path / "done").iterdir())) == 3
    assert len(synced) >= 4
