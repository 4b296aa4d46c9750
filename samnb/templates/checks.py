"""`check_template`: what a template from a file must hold, before it is saved or applied."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..masks.rle import check_rle

_LONGEST_NAME = 1000


def check_template(template: Any) -> None:
    """Raise `ValueError` for values that no `samnb.templates.template.Template` has."""
    _check_name("the name", template.name)
    _check_name("the model", template.model)
    if template.features or template.features_model:
        _check_name("the model of its features", template.features)
        _check_name("the fingerprint of that model", template.features_model)
    if not isinstance(template.version, int) or not 1 <= template.version < 2**31:
        raise ValueError(f"version: expected a whole number from 1; got {template.version!r}")
    lengths: set[int] = set()
    cells: set[int] = set()
    for category in template.categories:
        _check_name("a category", category.category)
        for example in category.examples:
            _check_example(category.category, example)
        vectors = [*category.background, *(one.prototype for one in category.examples)]
        lengths |= _lengths(category.category, vectors)
        _check_exemplars(category)
        cells |= _lengths(category.category, [vector for one in category.examples for vector in _of_cells(one)])
    # Cells are compared on one map of an embedding, means on all: the lengths are the same where there is one map.
    if len(lengths - {0}) > 1 or len(cells) > 1 or (cells and max(cells) > max(lengths)):
        raise ValueError(f"features of different lengths, {sorted(lengths | cells)}")


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise ValueError(f"{what}: expected a text of 1 to {_LONGEST_NAME:,} characters; got {str(name)[:40]!r}")
    if "\0" in name or (not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name)):
        raise ValueError(f"{what}: expected a text without null characters and lone surrogates; got {name[:40]!r}")


def _check_example(category: str, example: Any) -> None:
    for name in ("area", "diameter"):
        value = getattr(example, name)
        if not math.isfinite(value) or not 0 <= value < 1e9:
            raise ValueError(f"an example of {category!r}: expected a finite {name} from 0; got {value!r}")
    if not isinstance(example.pixel_hash, str):
        raise ValueError(f"an example of {category!r}: expected its pixel hash; got {example.pixel_hash!r}")
    if example.rle:
        check_rle(example.rle)
    if example.place and not all(np.isfinite(part).all() for part in (example.place.basis, example.place.patch)):
        raise ValueError(f"an example of {category!r}: expected a place of finite numbers")


def _check_exemplars(category: Any) -> None:
    if category.phrase:
        _check_name("a phrase", category.phrase)
    for one in category.exemplars:
        what = f"exemplars of {category.category!r}"
        if not isinstance(one.pixel_hash, str):
            raise ValueError(f"{what}: expected their pixel hash; got {one.pixel_hash!r}")
        if not one.boxes or len(one.boxes) != len(one.positive):
            raise ValueError(f"{what}: expected boxes, and as many values in positive; got {len(one.boxes)}")
        if not all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in one.boxes):
            raise ValueError(f"{what}: expected boxes (x0, y0, x1, y1) from 0 to 1; got {list(one.boxes)[:2]}")
        if one.tokens.ndim != 2 or not one.tokens.size or not np.isfinite(one.tokens).all():
            raise ValueError(f"{what}: expected tokens as lists of finite numbers of one length")


def _of_cells(example: Any) -> list[NDArray[np.float32]]:
    return [*example.parts, *example.around]


def _lengths(category: str, vectors: Iterable[NDArray[np.float32]]) -> set[int]:
    lengths = set()
    for vector in vectors:
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise ValueError(f"features of {category!r}: expected lists of finite numbers")
        lengths.add(len(vector))
    return lengths
