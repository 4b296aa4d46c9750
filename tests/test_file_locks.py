"""Locks on files: held, free, in the way, and on drives that have none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from samnb.exchange.writers.layout import MANIFEST, FolderWriter
from samnb.file_locks import FileLock, LockState, open_own_file, open_to_read
from samnb.json_files import read_json
from samnb.store.header import read_header

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs flock and links")


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire(timeout=0)
    assert not second.acquire(timeout=0.05)
    first.release()
    assert second.acquire(timeout=0)
    second.release()
    second.release()


def test_waiting_ends_when_asked_to(tmp_path: Path) -> None:
    seen: list[os.stat_result] = []
    with FileLock(tmp_path / "a.lock"):
        waiting = FileLock(tmp_path / "a.lock")
        assert not waiting.acquire(go_on=lambda found: seen.append(found) or len(seen) < 3)
    assert len(seen) == 3


@posix_only
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_drive_without_locks_gives_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    with FileLock(tmp_path / "a.lock") as first, FileLock(tmp_path / "a.lock") as second:
        assert first.state is second.state is LockState.NO_LOCKS


@posix_only
def test_another_failure_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(OSError, match="Input/output"):
        FileLock(tmp_path / "a.lock").acquire()


@posix_only
def test_a_lock_that_cannot_be_freed_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(tmp_path / "a.lock")
    lock.acquire()

    def flock(file: int, how: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", flock)
        lock.release()
    assert FileLock(tmp_path / "a.lock").acquire(timeout=0)


@posix_only
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_is_deleted_and_not_followed(tmp_path: Path, make: object) -> None:
    (tmp_path / "victim").write_text("a long text")
    make(tmp_path / "victim", tmp_path / "a.lock")
    file = open_own_file(tmp_path / "a.lock")
    os.write(file, b"x")
    os.close(file)
    assert (tmp_path / "victim").read_text() == "a long text"
    assert (tmp_path / "a.lock").read_bytes() == b"x"


@posix_only
def test_a_named_pipe_does_not_hold_it_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.lock")
    with pytest.raises(OSError, match="regular"):
        FileLock(tmp_path / "a.lock").acquire(timeout=0)


@posix_only
def test_files_are_made_with_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        FileLock(tmp_path / "a.lock").acquire()
    finally:
        os.umask(before)
    assert (tmp_path / "a.lock").stat().st_mode & 0o777 == 0o664


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipes_in_the_place_of_files_make_nothing_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_header(tmp_path / "pipe") == {}
    with pytest.raises(OSError, match="not a regular file"):
        open_to_read(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"\w"):
        read_json(tmp_path / "pipe")
    os.mkfifo(tmp_path / MANIFEST)
    with FolderWriter(tmp_path) as writer:
        writer.write("a.txt", b"a")
