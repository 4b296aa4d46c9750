"""The folder of a session: where it is, and that it is made."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import platformdirs

from ..atomic_files import file_in_the_way
from ..errors import SessionReadOnly
from ..images.discovery import is_picture_name

_log = logging.getLogger("samnb.session")


def session_folder(folder: str | Path | None) -> Path:
    """The session's folder, absolute; None means the user's data folder."""
    if folder is None:
        return Path(platformdirs.user_data_dir("samnb", appauthor=False)) / "default"
    return Path(os.path.abspath(Path(folder).expanduser()))  # without "..": else its pictures would not be below it


def make_session_folder(folder: Path) -> None:
    """Make it where it is missing; warn where it is about to be made of a folder of pictures.

    Raises
    ------
    SessionReadOnly
        It cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "session"
    >>> make_session_folder(folder)
    >>> folder.is_dir()
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SessionReadOnly(folder, file_in_the_way(folder, error) or error.strerror) from error
    try:
        names = os.listdir(folder)
    except OSError:  # the catalog says what cannot be read
        return
    pictures = sum(map(is_picture_name, names))
    if pictures and not any(name.startswith("catalog.") for name in names):
        _log.warning(
            "%s: this folder holds %d pictures, and the files of a session come beside them now. Pictures are added "
            "by session.add(%r); a session has a folder of its own: Session('my-session').",
            *(folder, pictures, folder.name),
        )
