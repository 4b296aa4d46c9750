"""The names of YOLO's numbers: from data.yaml, or a text file with one on each line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...json_files import read_bounded
from .objects import lines_of

_YAML = (".yaml", ".yml")
_PREFERRED = ("data", "dataset")
_LARGEST = 1 << 20
_ABOVE = 2
"""How many folders above the given one a data.yaml counts: of ``train/`` and ``train/labels/``, the one beside it."""


@dataclass(frozen=True)
class Names:
    """The names of numbers; with `keypoints`, a line has more than its box."""

    of_number: Mapping[int, str]
    keypoints: bool
    values: Mapping[str, Any] = field(default_factory=dict)


class NamesBeside:
    """The names that count for the text files of a folder: those given, or of the nearest file above them.

    Parameters
    ----------
    root : Path
    lists : sequence of str
        Names of text files with one category on each line.
    kind : str
        What was expected, in messages.
    given : Names or None
        For all folders.
    """

    def __init__(self, root: Path, lists: Sequence[str], kind: str, given: Names | None):
        self._root, self._lists, self._kind, self._given = root, lists, kind, given
        self._known: dict[Path, Names] = {}

    def of(self, folder: Path) -> Names:
        """Those of a folder at or below the root. Raises `FormatError` for a data.yaml that cannot be read."""
        if self._given is not None and self._given.of_number:
            return self._given
        if folder not in self._known:
            found = self._in(folder)
            if found is None and folder != self._root:
                found = self.of(folder.parent)
            elif found is None:
                above = (self._yaml(place) for place in self._root.parents[:_ABOVE])
                found = next((names for names in above if names is not None), Names({}, False))
            self._known[folder] = found
        return self._known[folder]

    def all(self) -> list[str]:
        """Every name that counts somewhere, by its number."""
        everywhere = [self._given] if self._given is not None else []
        several = [*everywhere, *self._known.values()]
        return list(dict.fromkeys(names.of_number[n] for names in several for n in sorted(names.of_number)))

    def _in(self, folder: Path) -> Names | None:
        found = self._yaml(folder)
        if found is not None and found.of_number:
            return found
        for name in self._lists:
            lines = [line.strip() for line in lines_of(folder / name)]
            while lines and not lines[-1]:
                lines.pop()
            if lines:
                named = {number: line for number, line in enumerate(lines) if line}
                return Names(named, found is not None and found.keypoints)
        return found

    def _yaml(self, folder: Path) -> Names | None:
        names = sorted(next(os.walk(folder), ("", [], []))[2])  # none of a folder that may not be listed
        there = [folder / name for name in names if name.lower().endswith(_YAML)]
        named = [path for stem in _PREFERRED for path in there if path.stem.lower() == stem]
        candidates = named[:1] or (there if len(there) == 1 else [])
        for path in candidates:
            try:
                found = document_in(path, self._kind)
            except FormatError:
                if named:
                    raise
                return None  # any other file
            if found.of_number or found.keypoints:
                return found
        return None


def document_in(path: Path, kind: str) -> Names:
    """What a data.yaml says. Every value is a text: the name "no" is no false.

    Raises
    ------
    FormatError
        It cannot be read, or is something else.
    """
    if path.suffix.lower() not in _YAML:
        raise FormatError(path, kind, "expected a folder, or a file .yaml")
    import yaml

    try:
        # Loaders that make only texts; that in C is ten times as fast, and refuses what is nested without end.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        document = yaml.load(read_bounded(path, limit=_LARGEST), Loader=loader)
    except OSError as error:
        raise FormatError(path, kind, f"it cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(path, kind, f"it is no YAML ({reason:.200})") from error
    if not isinstance(document, dict):
        raise FormatError(path, kind, "it holds no names of values")
    named = document.get("names")
    if isinstance(named, list):
        named = {str(number): name for number, name in enumerate(named)}
    texts = named.items() if isinstance(named, dict) else ()
    names = {
        int(key): name.strip()
        for key, name in texts
        if isinstance(key, str) and key.isdecimal() and len(key) < 9 and isinstance(name, str) and name.strip()
    }
    return Names(names, "kpt_shape" in document, document)
