"""Finds 256-bit hashes that differ in few bits: compares all pairs, or among very many, neighbours in sorted orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS, _COLUMNS = 64, 4096  # a block of 64-bit words that fits a processor's cache

# The work is n log n for any hashes, and 160 orders find 99 of 100 pairs that are 51 bits apart among a million random
# hashes, and more the fewer the hashes and the nearer the pair. Multi-index hashing would be exact, but a radius of a
# fifth of the bits asks for over 100,000 look-ups a hash, which is no faster than comparing everything.
_ORDERS, _NEIGHBOURS = 160, 16

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]
Found = tuple[Indices, Indices, Indices]


def as_words(hashes: Sequence[str]) -> Words:
    """Perceptual hashes as (N, 4) 64-bit words.

    >>> as_words(["f" * 64]).shape
    (1, 4)
    """
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4)


def within(words: Words, queries: Words, threshold: int) -> Found:
    """The pairs of stored hashes and queries that are near; all pairs are compared.

    Parameters
    ----------
    words : (N, 4) uint64
    queries : (Q, 4) uint64
    threshold : int
        Bits.

    Returns
    -------
    query, stored, distance : three (M,) int64
        One element per pair, sorted by query and stored.

    Examples
    --------
    >>> stored = as_words(["0" * 64, "f" * 64, "7" + "0" * 63])
    >>> [part.tolist() for part in within(stored, stored[:1], 51)]
    [[0, 0], [0, 2], [0, 3]]
    """
    nothing = np.empty(0, np.int64)
    found = [(nothing, nothing, nothing)]
    for first in range(0, len(queries), _ROWS):
        for start in range(0, len(words), _COLUMNS):
            block = _block(words[start : start + _COLUMNS], queries[first : first + _ROWS], threshold)
            found.append((block[0] + first, block[1] + start, block[2]))
    query, stored, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((stored, query))
    return query[order], stored[order], distance[order]


def clusters(words: Words, threshold: int, *, orders: int = _ORDERS) -> list[Indices]:
    """Sets of hashes that are connected by near pairs, found without comparing all.

    The hashes are sorted by several choices of their bits, and each is compared with its next neighbours. Two near
    hashes agree in most bits, so in some order they are neighbours: nearly always, see `benchmarks/`.
    Joined hashes are near; a missed pair may split a set.

    Parameters
    ----------
    words : (N, 4) uint64
    threshold : int
        Bits.
    orders : int
        More orders find more, and take longer.

    Returns
    -------
    list of (M,) int64
        Indices in `words`, ascending, of each set of two or more; sorted by the first.

    Examples
    --------
    >>> hashes = np.random.default_rng(0).integers(0, 2**64, (100, 4), np.uint64)
    >>> hashes[7] = hashes[42] ^ np.uint64(0b1011)
    >>> clusters(hashes, 51)
    [array([ 7, 42])]
    """
    label = np.arange(len(words))
    columns = [np.ascontiguousarray(words[:, number]) for number in range(4)]
    # The same choices every time, so that a second search gives the same result.
    rng = np.random.default_rng(0)
    for _ in range(orders):
        order = np.argsort(_key(columns, rng))
        ranked = [column[order] for column in columns]
        shifts = range(1, min(_NEIGHBOURS, len(words) - 1) + 1)
        found = [(at, at + shift) for shift in shifts for at in [_near_next(ranked, shift, threshold)]]
        if found:
            first, second = (order[np.concatenate(side)] for side in zip(*found, strict=True))
            _join(label, first, second)
    members = np.argsort(label, kind="stable")
    bounds = np.flatnonzero(np.diff(label[members])) + 1
    return [part for part in np.split(members, bounds) if len(part) > 1]


def _key(columns: Sequence[NDArray[np.uint64]], rng: np.random.Generator) -> NDArray[np.uint64]:
    """A choice of 64 bits, one of the four words' bits at each position; and one position to sort by first."""
    chosen = rng.integers(0, 4, 64)
    key = np.zeros(len(columns[0]), np.uint64)
    for number, column in enumerate(columns):
        key |= column & np.uint64(sum(1 << int(bit) for bit in np.flatnonzero(chosen == number)))
    turn = int(rng.integers(1, 64))
    return (key << np.uint64(turn)) | (key >> np.uint64(64 - turn))


def _near_next(ranked: Sequence[NDArray[np.uint64]], shift: int, threshold: int) -> Indices:
    """Indices whose hash is near the one `step` places further on."""
    half = _bits(ranked[0][:-shift] ^ ranked[0][shift:]) + _bits(ranked[1][:-shift] ^ ranked[1][shift:])
    at = np.flatnonzero(half <= threshold)
    rest = _bits(ranked[2][at] ^ ranked[2][at + shift]) + _bits(ranked[3][at] ^ ranked[3][at + shift])
    return at[half[at].astype(np.int64) + rest <= threshold]


def _join(label: Indices, first: Indices, second: Indices) -> None:
    """Join the labels of each pair, in place: all members get the smallest label."""
    while True:
        one, other = label[first], label[second]
        apart = one != other
        if not apart.any():
            return
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        np.minimum.at(label, np.maximum(one, other), np.minimum(one, other))
        while (label[label] != label).any():
            label[:] = label[label]


def _block(words: Words, queries: Words, threshold: int) -> Found:
    half = _bits(queries[:, None, 0] ^ words[None, :, 0]) + _bits(queries[:, None, 1] ^ words[None, :, 1])
    # Of unrelated pictures, one pair in a hundred is still near after half of its bits: only those are finished.
    query, stored = np.nonzero(half <= threshold)
    rest = _bits(queries[query, 2:] ^ words[stored, 2:]).sum(axis=1, dtype=np.int64)
    distance = half[query, stored] + rest
    near = distance <= threshold
    return query[near], stored[near], distance[near]


def _bits_by_table(values: NDArray[np.uint64]) -> NDArray[Any]:
    counts = np.array([number.bit_count() for number in range(256)], np.uint8)
    return counts[np.ascontiguousarray(values)[..., None].view(np.uint8)].sum(axis=-1, dtype=np.uint8)


_bits = getattr(np, "bitwise_count", _bits_by_table)  # a single instruction in NumPy 2
