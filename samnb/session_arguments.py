"""`checks_arguments`: every method of `Session` refuses a value of another kind than its type says, in the same words.

The types in the signatures are what is checked, so a new method, or a new argument, is checked too. What a value means
(an image that is there, a box inside it) is checked where it is used.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from os import PathLike
from typing import Any, TypeVar

from .annotations.annotation import Annotation
from .cache import EmbeddingCache
from .errors import PromptError
from .images.lazy import PixelMapping, View
from .prompts import Prediction, Prompt
from .proposals import Like, Proposal
from .records import ImageRecord
from .replay.recipe import Recipe
from .store.limits import is_number
from .templates import Template

Check = Callable[[str, Any], Any]
"""Given the name of an argument and its value: the value to use. Raises `PromptError`."""

_INT32 = -(2**31), 2**31 - 1
_RANGES: Mapping[str, tuple[float, float]] = {
    "alike": (-1, 1),
    "level": (0, 63),
    "longest_side": (1, _INT32[1]),
    "threshold": (0, 255),
}
"""Of numbers, by the name of their argument; others are whole ones of 32 bits, or any finite ones."""

_SUCH_AS = {
    **{"category": "coin", "dataset": "monday", "color": "#ff8800", "format": "coco", "model": "tiny"},
    **{"name": "coins", "new_name": "coins", "phrase": "a coin", "precision": "float16", "state": "done"},
}

# Their own errors say more; and `device` may be one of torch, `database_url` one of SQLAlchemy.
_CHECKED_WHERE_USED = ("min_iou", "device", "database_url")

_SHOWN = 80  # characters of a value in a message

T = TypeVar("T")


def checks_arguments(cls: type[T]) -> type[T]:
    """A class whose public methods check the types of their arguments.

    Examples
    --------
    >>> import samnb, tempfile
    >>> with samnb.Session(tempfile.mkdtemp()) as session:
    ...     session.near_duplicates("x")
    Traceback (most recent call last):
    ...
    samnb.errors.PromptError: threshold: expected a whole number from 0 to 255; got 'x'.
    """
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, _checked(method))
    return cls


@functools.cache
def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    parameters = inspect.signature(method).parameters.values()
    plain = [one for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD]
    names = [one.name for one in plain]
    typed = [one for one in plain if one.name not in _CHECKED_WHERE_USED]
    checks = {one.name: check for one in typed if (check := check_of(str(one.annotation))) is not None}
    if not checks:
        return method

    @functools.wraps(method)
    def call(*positional: Any, **named: Any) -> Any:
        given = [
            checks[name](name, value) if name in checks else value
            for name, value in zip(names, positional, strict=False)
        ]
        for name in checks.keys() & named.keys():
            named[name] = checks[name](name, named[name])
        return method(*given, *positional[len(names) :], **named)

    return call


def check_of(hint: str) -> Check | None:
    """The check of a type as it is written in a signature; None: it is checked where it is used."""
    wanted, dash, _ = hint.rpartition(" | None")
    check = _CHECKS.get(wanted if dash else hint)
    if check is None or not dash:
        return check
    return lambda name, value: None if value is None else check(name, value)


def refused(name: str, expected: str, value: Any) -> PromptError:
    """The error to raise for a value of another kind."""
    text = repr(value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return PromptError(f"{name}: expected {expected}; got {' '.join(text.split())}.")


def _scalar(value: Any) -> Any:
    """What an array, or a tensor, without axes holds; any other value itself."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _whole(name: str, value: Any) -> int:
    value = _scalar(value)
    low, high = _RANGES.get(name, _INT32)
    # Written so that NaN is refused too; numbers of numpy are fine.
    fits = is_number(value) and low <= value <= high and value % 1 == 0
    if not fits:
        raise refused(name, f"a whole number from {low:,} to {high:,}", value)
    return int(value)


def _number(name: str, value: Any) -> float:
    value = _scalar(value)
    low, high = _RANGES.get(name, (-math.inf, math.inf))
    if not is_number(value) or not low <= value <= high or not _is_finite(value):
        within = "a finite number" if low == -math.inf else f"a number from {low:g} to {high:g}"
        raise refused(name, within, value)
    return float(value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refused(name, f"a name, a text such as {_SUCH_AS[name]!r}" if name in _SUCH_AS else "a text", value)
    return value


def _path(name: str, value: Any) -> Any:
    if not isinstance(value, (str, PathLike)):
        raise refused(name, "a path, as text or as a Path", value)
    return value


def _mapping(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise refused(name, "a mapping, such as a dict", value)
    return value


def _of(expected: str, *kinds: type) -> Check:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kinds):
            raise refused(name, expected, value)
        return value

    return check


def _listed(name: str, expected: str, value: Any) -> list[Any]:
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise refused(name, expected, value)
    return list(value)


def _all(expected: str, one: Check) -> Check:
    """Of several values, each by `one`."""

    def check(name: str, value: Any) -> list[Any]:
        return [one(name, each) for each in _listed(name, expected, value)]

    return check


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [_text(name, each) for each in _listed(name, "texts in a list", value)]


def _images(name: str, value: Any) -> Any:
    if isinstance(value, (str, PathLike, ImageRecord)):
        return [value]
    return _listed(name, "images in a list, such as ['a.png', 'b.png']", value)


def _annotation(name: str, value: Any) -> Any:
    """An annotation, or its id."""
    if isinstance(value, Annotation):
        return value
    value = _scalar(value)
    if not is_number(value) or value % 1 != 0 or not -(2**63) <= value < 2**63:
        raise refused(name, "an annotation, or its id, a whole number", value)
    return int(value)


def _query(name: str, value: Any) -> Any:
    if isinstance(value, type) or not all(hasattr(value, one) for one in ("kind", "as_dict", "find")):
        raise refused(name, "a query, such as session.everything() or session.like(annotation)", value)
    return value


def _example(name: str, value: Any) -> Any:
    kinds = Annotation, Proposal, Prediction
    if isinstance(value, (*kinds, Like)):
        return value
    expected = "an annotation, a proposal or a prediction, or several, or a query of session.like()"
    return _all(expected, _of(expected, *kinds))(name, value)


def _proposals(name: str, value: Any) -> Any:
    return value if isinstance(value, Proposal) else _some_proposals(name, value)


def _point(name: str, value: Any) -> tuple[float, float]:
    found = _all("(x, y), two finite numbers", _number)(name, value)
    if len(found) != 2:
        raise refused(name, "(x, y), two finite numbers", value)
    return found[0], found[1]


def _region(name: str, value: Any) -> Any:
    expected = "(x0, y0, x1, y1) in whole image pixels"
    found = [_scalar(each) for each in _listed(name, expected, value)]
    if len(found) != 4 or not all(is_number(each) and each % 1 == 0 for each in found):
        raise refused(name, expected, value)
    return tuple(map(int, found))


def _tiles(name: str, value: Any) -> Any:
    if not isinstance(value, str) or value not in ("tissue", "all"):
        raise refused(name, "'tissue' or 'all'", value)
    return value


def _stack(name: str, value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, str)) else _texts(name, value)


def _callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise refused(name, "a function", value)
    return value


_some_proposals = _all("a proposal, or several in a list", _of("proposals", Proposal))
_template = _of("a template, or the name of a saved one", Template, str)

_CHECKS: Mapping[str, Check] = {
    "str": _text,
    "int": _whole,
    "float": _number,
    "str | Path": _path,
    "Sequence[str]": _texts,
    "Iterable[str]": _texts,
    "Mapping[str, bool | str]": _mapping,
    "Mapping[str, Sequence[float]]": _mapping,
    "Mapping[ImageRef, Sequence[Sequence[float]]]": _mapping,
    "tuple[float, float]": _point,
    "Region": _region,
    "Tiles": _tiles,
    "Stack": _stack,
    "Callable[[Case], object]": _callable,
    "Executor": _of("a concurrent.futures executor", Executor),
    "Iterable[ImageRef]": _images,
    "ImageRef | Iterable[ImageRef]": _images,
    "Annotation | int": _annotation,
    "Iterable[Annotation | int]": _all("annotations, or their ids, in a list", _annotation),
    "Iterable[Annotation]": _all("annotations in a list", _of("annotations", Annotation)),
    "Prediction": _of("a prediction, what session.predict() returns", Prediction),
    "Prompt": _of("a Prompt", Prompt),
    "Proposal | Iterable[Proposal]": _proposals,
    "Iterable[Proposal]": _some_proposals,
    "Query": _query,
    "Like": _of("a query of session.like()", Like),
    "Shown | Iterable[Shown] | Like": _example,
    "Template": _of("a template", Template),
    "Template | str": _template,
    "Recipe | str | Path": _of("a recipe, or the path of its file", Recipe, str, PathLike),
    "View": _of("a View", View),
    "View | PixelMapping": _of("a View, or the mapping of an image", View, PixelMapping),
    "EmbeddingCache | Mapping[str, Any]": _of("an EmbeddingCache, or its options in a dict", EmbeddingCache, Mapping),
}
"""By the type as it is written in a signature."""
