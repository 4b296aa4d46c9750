import errno
from pathlib import Path

import pytest

from samnb.atomic_files import cannot_write, write_atomic
from samnb.errors import SessionReadOnly, StoreError


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
    for number in (errno.EACCES, errno.EROFS):
        assert isinstance(cannot_write(Path("session"), path, OSError(number, "no")), SessionReadOnly)
