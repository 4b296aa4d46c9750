"""256-bit hashes that differ in few bits: the exact search, and what hangs together among very many."""

from __future__ import annotations

import numpy as np
import pytest

from samnb.duplicates import hamming as bit_search
from samnb.duplicates.hamming import Words, as_words, clusters, within


def random_words(count: int, seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(0, 2**64, (count, 4), np.uint64)


def changed(words: Words, bits: int, seed: int = 1) -> Words:
    """The same, with so many bits of each flipped."""
    rng = np.random.default_rng(seed)
    rows = np.unpackbits(words.view(np.uint8), axis=1)
    for row in rows:
        row[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(rows, axis=1).view(np.uint64)


# -- all compared -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0, 31, 51, 128, 255])
def test_the_search_finds_what_counting_bit_by_bit_finds(threshold: int) -> None:
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (4500, 32), np.uint8)
    stored[100:140] = stored[:40] ^ np.packbits(rng.random((40, 256)) < 0.12, axis=1)
    queries = np.concatenate([stored[:70], ~stored[:1]])
    counted = np.unpackbits(stored[None] ^ queries[:, None], axis=2).sum(axis=2, dtype=int)
    query, place, distance = within(stored.view(np.uint64), queries.view(np.uint64), threshold)
    assert np.array_equal(np.stack([query, place]), np.stack(np.nonzero(counted <= threshold)))
    assert np.array_equal(distance, counted[query, place])


def test_words_come_from_hexadecimal() -> None:
    words = as_words(["0" * 64, "f" * 64, "8" + "0" * 62 + "1"])
    assert within(words, words[:1], 255)[2].tolist() == [0, 2]
    assert as_words([]).shape == (0, 4)


def test_an_old_numpy_counts_bits_from_a_table() -> None:
    values = np.random.default_rng(0).integers(0, 2**63, (7, 5), np.uint64)
    expected = [[int(value).bit_count() for value in row] for row in values]
    assert bit_search._bits_by_table(values).tolist() == expected


# -- what hangs together ------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0, 31, 51])
def test_near_pairs_among_many_are_found(bits: int) -> None:
    words = random_words(5000)
    words[-300:] = changed(words[:300], bits)
    found = {tuple(cluster.tolist()) for cluster in clusters(words, 51)}
    assert found == {(number, 4700 + number) for number in range(300)}


def test_pairs_that_are_further_apart_are_not() -> None:
    words = random_words(2000)
    words[-300:] = changed(words[:300], 52)
    assert clusters(words, 51) == []


def test_what_is_near_by_steps_is_one_cluster() -> None:
    words = random_words(1000)
    for number in range(500, 530):
        words[number] = changed(words[number - 1 : number], 20, seed=number)[0]
    words[600:700] = words[600]
    assert [cluster.tolist() for cluster in clusters(words, 31)] == [[*range(499, 530)], [*range(600, 700)]]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_are_no_special_case(count: int) -> None:
    words = np.repeat(random_words(1), count, axis=0)
    assert [cluster.tolist() for cluster in clusters(words, 0)] == ([[*range(count)]] if count > 1 else [])


def test_the_answer_is_the_same_every_time() -> None:
    words = random_words(3000)
    words[-1000:] = changed(words[:1000], 51)
    few = [clusters(words, 51, orders=3) for _ in range(2)]
    assert 0 < len(few[0]) < 1000
    assert [part.tolist() for part in few[0]] == [part.tolist() for part in few[1]]
