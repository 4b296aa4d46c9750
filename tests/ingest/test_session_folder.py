"""The folder of a session: one of pictures is taken with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from samnb.errors import SessionReadOnly
from samnb.ingest.session_folder import make_session_folder


def test_a_folder_of_pictures_is_warned_of_until_it_has_a_catalog(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"a picture")
    make_session_folder(tmp_path)
    [warning] = caplog.messages
    assert f"{tmp_path}: this folder holds 3 pictures" in warning
    assert f"session.add('{tmp_path.name}')" in warning
    (tmp_path / "catalog.db").touch()
    make_session_folder(tmp_path)
    make_session_folder(tmp_path / "session")
    assert len(caplog.messages) == 1


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "session").write_text("a note")
    with pytest.raises(SessionReadOnly, match="session"):
        make_session_folder(tmp_path / "session")
