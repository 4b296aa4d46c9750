"""Names of picture files as other programs write them, compared by one key."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

# Folders that a layout prescribes: they say nothing about which picture is meant.
_LAYOUT = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "masks", "mask", "labels", "segmentationclass"}
    | {"segmentationobject", "annotations"}
)


def name_key(name: str) -> str:
    """What names have in common that look the same, but for upper and lower case.

    macOS writes an accent as a character of its own, Windows does not tell upper from lower case.

    Examples
    --------
    >>> name_key("Mu\\u0308nze.PNG") == name_key("m\\u00fcnze.png")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def readings(name: str) -> list[str]:
    r"""What a name in a file may mean, the plainest first, with slashes between folders.

    Examples
    --------
    >>> readings(r"p1\s 1.png")
    ['p1\\s 1.png', 'p1/s 1.png']
    >>> readings("https://host/p1/s%201.png?size=2")
    ['https://host/p1/s%201.png?size=2', 'p1/s 1.png']
    """
    return list(dict.fromkeys(reading for reading in _readings(name) if reading))


def parts_of(name: str) -> tuple[str, ...]:
    """Folders and name of a path with slashes, without ``.`` and ``..``."""
    return tuple(part for part in name.split("/") if part not in ("", ".", ".."))


def without_layout(folders: Sequence[str]) -> tuple[str, ...]:
    """The folders, without those that only a layout prescribes."""
    return tuple(part for part in folders if part.lower() not in _LAYOUT)


def shared_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths have in common, from the last one on; compared by `name_key`."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs and name_key(mine) != name_key(theirs):
            break
        count += 1
    return count


def _readings(name: str) -> Iterator[str]:
    yield name
    slashed = name.replace("\\", "/")
    yield slashed
    if "://" in slashed or "?" in slashed:
        try:
            address = urlsplit(slashed)
        except ValueError:  # brackets that are no host
            return
        # Label Studio serves files of a disk by an address whose query has the path.
        yield from parse_qs(address.query).get("d", [])
        yield unquote(address.path).lstrip("/") if address.scheme else unquote(address.path)
    elif "%" in slashed:
        yield unquote(slashed)
