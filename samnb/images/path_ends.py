"""`PathEnds`: things by the ends of their paths, found by the longest end that they share with a name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Generic, TypeVar

from .names import name_key

T = TypeVar("T")

_SPELLINGS: tuple[Callable[[str], str], ...] = (str, partial(unicodedata.normalize, "NFC"))


class PathEnds(Generic[T]):
    """Things whose paths share an end; those that share a longer one are grouped when they are asked for.

    So a name is found in the same time among few paths with its end and among many. Parts are compared by `name_key`.

    Parameters
    ----------
    pairs : iterable of (sequence of str, object)
        The parts of each thing's path, the name last, and the thing.
    shared : int
        How many parts, from the last one on, all of them have in common.

    Examples
    --------
    >>> ends = PathEnds([(("a", "x", "1.png"), "first"), (("b", "x", "1.png"), "second")])
    >>> ends.deepest(("c", "b", "x", "1.png")).things
    ['second']
    >>> ends.deepest(("y", "1.png")).shared
    1
    """

    def __init__(self, pairs: Iterable[tuple[Sequence[str], T]], *, shared: int = 0):
        self._pairs, self.shared = list(pairs), shared
        self._regrouped: PathEnds[T] | None = None
        self._spelled: dict[tuple[str, ...], tuple[int, list[T]]] = {}

    @cached_property
    def things(self) -> list[T]:
        """All of them, in their order."""
        return [thing for _, thing in self._pairs]

    @cached_property
    def ended(self) -> list[T]:
        """Those whose paths have no more parts than the shared ones."""
        return [thing for parts, thing in self._pairs if len(parts) == self.shared]

    def along(self, parts: Sequence[str]) -> Iterator[PathEnds[T]]:
        """These, then those that share one part more with a name, and so on."""
        found: PathEnds[T] | None = self
        while found is not None:
            yield found
            left = len(parts) - found.shared
            found = found._longer.get(name_key(parts[left - 1])) if left else None

    def agreeing(self, parts: Sequence[str]) -> list[T]:
        """Those whose paths end in all of these parts, or in as many of them as they have, the longest first."""
        *shorter, last = self.along(parts)
        ended = [thing for one in reversed(shorter) if one.shared for thing in one.ended]
        rest = last.spelled_like(parts)[1] if last.shared == len(parts) else last.ended if last.shared else []
        return [*rest, *ended] if ended else rest

    def deepest(self, parts: Sequence[str]) -> PathEnds[T]:
        """Those that share the longest end with a name; all, if none shares one."""
        *_, last = self.along(parts)
        return last

    def spelled_like(self, parts: Sequence[str]) -> tuple[int, list[T]]:
        """Those whose shared end is written like the name's, and how much: 0 exactly, 1 but for accents, 2 else."""
        end = tuple(parts[len(parts) - self.shared :])
        if end not in self._spelled:
            self._spelled[end] = next(
                (
                    (rank, same)
                    for rank, alike in enumerate(_SPELLINGS)
                    if (same := [thing for its, thing in self._pairs if self._is_written(its, end, alike)])
                ),
                (len(_SPELLINGS), self.things),
            )
        return self._spelled[end]

    def regrouped(self, parts_of: Callable[[T], Sequence[str]]) -> PathEnds[T]:
        """The same things by other paths: always by the same function, because the result is kept."""
        if self._regrouped is None:
            self._regrouped = PathEnds((parts_of(thing), thing) for thing in self.things)
        return self._regrouped

    @cached_property
    def _longer(self) -> dict[str, PathEnds[T]]:
        groups: dict[str, list[tuple[Sequence[str], T]]] = {}
        for parts, thing in self._pairs:
            if len(parts) > self.shared:
                groups.setdefault(name_key(parts[-1 - self.shared]), []).append((parts, thing))
        return {key: PathEnds(pairs, shared=self.shared + 1) for key, pairs in groups.items()}

    def _is_written(self, parts: Sequence[str], end: tuple[str, ...], alike: Callable[[str], str]) -> bool:
        own = parts[len(parts) - self.shared :]
        return all(alike(mine) == alike(theirs) for mine, theirs in zip(own, end, strict=True))


def nearest(parts: Sequence[str], *groups: PathEnds[T]) -> list[T]:
    """The things that share the longest end with a name, if any; of these, those that are written most like it."""
    found = [group.deepest(parts) for group in groups]
    longest = max((group.shared for group in found), default=0)
    spelled = [group.spelled_like(parts) for group in found if group.shared == longest > 0]
    best = min((rank for rank, _ in spelled), default=0)
    same = [things for rank, things in spelled if rank == best]
    return same[0] if len(same) == 1 else list(chain.from_iterable(same))
