"""Paths found by their ends, as fast among many as among few."""

from __future__ import annotations

from samnb.images import path_ends
from samnb.images.path_ends import PathEnds, nearest


def ends(*paths: str) -> PathEnds[str]:
    return PathEnds((path.split("/"), path) for path in paths)


def test_the_longest_end_wins_then_the_spelling() -> None:
    some = ends("a/x/1.png", "b/x/1.png", "b/y/1.PNG", "c/2.png")
    assert nearest(["z", "b", "x", "1.png"], some) == ["b/x/1.png"]
    assert nearest(["x", "1.png"], some) == ["a/x/1.png", "b/x/1.png"]
    assert nearest(["1.PNG"], some) == ["b/y/1.PNG"]
    assert nearest(["3.png"], some) == nearest([], some) == []
    assert nearest(["m\u00fc.png"], ends("mu\u0308.png", "MU\u0308.png")) == ["mu\u0308.png"]
    assert nearest(["b", "2.png"], some, ends("b/2.png")) == ["b/2.png"]
    assert nearest(["2.png"], some, ends("2.PNG", "d/2.png")) == ["c/2.png", "d/2.png"]


def test_paths_agree_as_far_as_both_go() -> None:
    some = ends("a/x/1.png", "x/1.png", "1.png", "y/1.png")
    assert some.agreeing(["q", "x", "1.png"]) == ["x/1.png", "1.png"]
    assert some.agreeing(["x", "1.png"]) == ["a/x/1.png", "x/1.png", "1.png"]
    assert some.agreeing(["z", "1.png"]) == ["1.png"]
    assert some.agreeing(["z", "2.png"]) == []


def test_a_name_costs_the_same_among_many_paths_of_its_end(monkeypatch) -> None:
    count = 0
    plain = path_ends.name_key

    def counting(name: str) -> str:
        nonlocal count
        count += 1
        return plain(name)

    monkeypatch.setattr(path_ends, "name_key", counting)
    paths = [f"s{number}/session/1.png" for number in range(1000)]
    some = ends(*paths)
    assert [nearest(path.split("/"), some) for path in paths] == [[path] for path in paths]
    assert count < 10 * len(paths)


def test_a_path_of_many_parts() -> None:
    assert nearest(["a"] * 5000, ends("/".join("a" * 3000))) == ["/".join("a" * 3000)]
