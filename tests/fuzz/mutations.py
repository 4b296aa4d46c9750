"""Changed inputs: values of a JSON document replaced by odd ones, and bytes edited. The same for the same number."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

__all__ = ["mutated"]

_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "a", "\0", "\ud800", "../" * 9 + "etc/passwd", "x" * 3000, "1", "nan", "a\nb", "％", "b'\\x00'"),
    *([], {}, [[]], [None], {"": {}}, [[[[[]]]]], [0] * 500, [1e308] * 8, {"counts": "0" * 400, "size": [40, 60]}),
]


def mutated(content: bytes, number: int) -> bytes:
    """The content with a few changes."""
    chance = random.Random(number)
    if content[:1] in (b"{", b"[") and chance.random() < 0.8:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict | list):
            for _ in range(chance.choice([1, 1, 1, 2, 4])):
                document = _changed(document, chance)
            return json.dumps(document).encode("utf-8", "surrogatepass")
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 12])):
        _edit(changed, chance)
    return bytes(changed)


def _changed(value: Any, chance: random.Random) -> Any:
    """The document with one value, at any depth, replaced, dropped or doubled."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.1:
        return deepcopy(chance.choice(_ODD))
    where = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    act = chance.randrange(8)
    if act == 0:
        del value[where]
    elif act == 1 and isinstance(value, list):
        value.insert(where, deepcopy(value[where]))
    elif act == 2 and isinstance(value, dict):
        value[chance.choice(["id", "name", "size", "x" * 9, ""])] = deepcopy(value[where])
    else:
        value[where] = _changed(value[where], chance)
    return value


def _edit(changed: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(changed) + 1)
    act = chance.randrange(6)
    if act == 0 and changed:
        changed[at % len(changed)] ^= 1 << chance.randrange(8)
    elif act == 1:
        width = chance.choice([1, 2, 4, 8])
        changed[at : at + width] = chance.choice([b"\xff" * 8, b"\x7f" + b"\xff" * 7, bytes(8), b"\x80" + bytes(7)])[
            :width
        ]
    elif act == 2:
        del changed[at : at + chance.randrange(1, 64)]
    elif act == 3:
        changed[at:at] = changed[:at][-chance.randrange(1, 64) :] * chance.randrange(1, 4)
    elif act == 4:
        changed[at:at] = chance.randbytes(chance.randrange(1, 16))
    else:
        changed[at : at + 1] = str(chance.choice([0, -1, 2**31, 2**64, 1e999, "9" * 500])).encode()
