"""Categories: their order, colours and names; and verdicts on look-alikes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from samnb.catalog import Catalog, CategoryRecord
from samnb.errors import NameTaken, PromptError, SamePixels, StoreError, UnknownName, WorkWouldBeLost
from samnb.masks import CATEGORY_COLORS
from samnb.records import REJECTED
from tests.support.made_up import coin, digest, picture


def use(catalog: Catalog, *names: str) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    catalog.add_annotations([coin(image, category=name) for name in names])


def test_those_in_use_have_colours_by_their_order(catalog: Catalog) -> None:
    use(catalog, "rim", "coin", "rim", "edge")
    expected = [CategoryRecord(name, CATEGORY_COLORS[n], n) for n, name in enumerate(("rim", "coin", "edge"))]
    assert catalog.category_records() == expected
    assert catalog.categories() == ["rim", "coin", "edge"]


def test_saving_one_moves_and_recolours_no_other(catalog: Catalog) -> None:
    use(catalog, "rim", "coin")
    before = catalog.category_records()
    assert catalog.save_category("coin", color="#ABCDEF") == CategoryRecord("coin", "#abcdef", 1)
    assert catalog.save_category("new").position == 2
    use(catalog, "later")
    after = catalog.category_records()
    assert [record.name for record in after] == ["rim", "coin", "new", "later"]
    assert after[0] == before[0]
    assert len({record.color for record in after}) == 4
    assert catalog.save_category("new") == after[2]


def test_many_are_had_at_once_and_those_that_are_there_stay(catalog: Catalog) -> None:
    use(catalog, "rim")
    catalog.save_category("coin", color="#abcdef")
    before = catalog.category_records()
    assert catalog.have_categories(["b", "coin", "", "a", "b", "rim"]) == ["b", "a"]
    assert catalog.category_records()[:2] == before
    assert catalog.categories() == ["rim", "coin", "b", "a"]
    assert len({record.color for record in catalog.category_records()}) == 4
    assert catalog.have_categories(["a"]) == []


def test_a_place_is_taken_and_the_others_move_down(catalog: Catalog) -> None:
    for name in "abc":
        catalog.save_category(name)
    colors = {record.name: record.color for record in catalog.category_records()}
    catalog.save_category("c", position=0)
    catalog.save_category("d", position=1)
    assert [(r.name, r.position) for r in catalog.category_records()] == [("c", 0), ("d", 1), ("a", 2), ("b", 3)]
    assert all(record.color == colors.get(record.name, record.color) for record in catalog.category_records())


def test_colours_are_told_apart_while_they_last(catalog: Catalog) -> None:
    for number in range(len(CATEGORY_COLORS) + 2):
        catalog.save_category(f"class {number}")
    colors = [record.color for record in catalog.category_records()]
    assert colors == [*CATEGORY_COLORS, *CATEGORY_COLORS[:2]]


def test_a_renamed_category_is_as_old_as_before_and_one_in_its_stead_is_not(catalog: Catalog) -> None:
    catalog.save_category("rim")
    [rim] = catalog.category_records()
    catalog.rename_category("rim", "edge")
    [edge] = catalog.category_records()
    assert edge.created_at == rim.created_at != ""
    catalog.remove_category("edge")
    catalog.save_category("scratch")
    [scratch] = catalog.category_records()
    assert (scratch.color, scratch.position) == (rim.color, rim.position)
    assert scratch.created_at > rim.created_at


def test_a_new_name_goes_into_the_annotations(catalog: Catalog) -> None:
    use(catalog, "rim", "coin", "rim")
    before = catalog.category_records()
    catalog.rename_category("rim", "edge")
    assert [a.category for a in catalog.annotations()] == ["edge", "coin", "edge"]
    assert catalog.category_records() == [CategoryRecord("edge", before[0].color, 0), before[1]]
    catalog.rename_category("edge", "edge")
    with pytest.raises(NameTaken, match="category 'coin'"):
        catalog.rename_category("edge", "coin")
    with pytest.raises(UnknownName, match="Did you mean 'edge'"):
        catalog.rename_category("edg", "x")


def test_a_new_name_goes_into_the_templates(catalog: Catalog) -> None:
    use(catalog, "rim", "café", "tree")
    rim, cafe = ({"category": name, "examples": [name], "background": [[1.0]]} for name in ("rim", "café"))
    words = [{"category": name, "examples": [], "phrase": name} for name in ("rim", "tree")]
    catalog.save_template("both", {"strategy": "match", "categories": [cafe, rim]})
    catalog.save_template("one", {"categories": [cafe]})
    catalog.save_template("one", {"categories": [cafe], "more": 1})
    catalog.save_template("words", {"categories": words})
    catalog.save_template("other", {"categories": ["café"]})
    catalog.rename_category("café", "bar")
    assert catalog.template("both") == {"strategy": "match", "categories": [{**cafe, "category": "bar"}, rim]}
    assert [catalog.template("one", v)["categories"][0]["category"] for v in (1, 2)] == ["bar", "bar"]
    catalog.merge_category("rim", "bar")
    joined = {"category": "bar", "examples": ["café", "rim"], "background": [[1.0]]}
    assert catalog.template("both") == {"strategy": "match", "categories": [joined]}
    catalog.merge_category("tree", "bar")
    assert [one["category"] for one in catalog.template("words")["categories"]] == ["bar", "tree"]
    assert catalog.template("other") == {"categories": ["café"]}
    assert catalog.templates() == [("both", 1), ("one", 1), ("one", 2), ("other", 1), ("words", 1)]


def test_one_in_use_is_not_removed(catalog: Catalog) -> None:
    use(catalog, "coin")
    catalog.save_category("spare")
    with pytest.raises(WorkWouldBeLost, match=r"category 'coin': 1 annotation by .*merge_category\('coin', into\)"):
        catalog.remove_category("coin")
    catalog.remove_category("spare")
    with pytest.raises(UnknownName, match="category 'spare'"):
        catalog.remove_category("spare")
    assert catalog.categories() == ["coin"]
    catalog.remove_annotations([a.id for a in catalog.annotations()])
    catalog.remove_category("coin")
    assert catalog.category_records() == []


def test_what_a_review_rejected_does_not_hold_a_category(catalog: Catalog) -> None:
    use(catalog, "coin")
    [annotation] = catalog.annotations()
    catalog.update_annotation(annotation.id, review=REJECTED)
    catalog.remove_category("coin")
    assert catalog.categories() == []
    assert catalog.annotations(review=REJECTED) == []


@pytest.mark.parametrize("color", ["red", "#12345", "#1234567", "", "123456"])
def test_a_colour_is_six_digits(catalog: Catalog, color: str) -> None:
    with pytest.raises(PromptError, match="'#rrggbb'"):
        catalog.save_category("coin", color=color)
    for call in (catalog.save_category, lambda name: catalog.rename_category("coin", name)):
        with pytest.raises(PromptError, match="empty"):
            call(" ")
    assert catalog.categories() == []


# -- verdicts -----------------------------------------------------------------------------------------


def test_verdicts_are_of_pairs_in_any_order(catalog: Catalog) -> None:
    one, two, three = sorted(digest(n) for n in range(3))
    catalog.save_verdict(two, one, same=True, distance=12)
    catalog.save_verdict(one, three, same=False, distance=40)
    catalog.save_verdict(one, two, same=False, distance=13)
    said = {(v.first_hash, v.second_hash): (v.same, v.distance) for v in catalog.verdicts()}
    assert said == {(one, three): (False, 40), (one, two): (False, 13)}
    assert catalog.verdicts()[0].decided_at < catalog.verdicts()[1].decided_at
    assert catalog.forget_verdict(three, one)
    assert not catalog.forget_verdict(three, one)
    assert [v.second_hash for v in catalog.verdicts()] == [two]


def test_nothing_is_said_of_one_picture(catalog: Catalog) -> None:
    with pytest.raises(SamePixels):
        catalog.save_verdict(digest(1), digest(1), same=True, distance=0)
    assert catalog.verdicts() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda catalog, name: catalog.save_category(name),
        lambda catalog, name: catalog.add_dataset(name),
        lambda catalog, name: catalog.rename_dataset("monday", name),
        lambda catalog, name: catalog.dataset(name),
    ],
)
def test_a_name_that_no_database_keeps_is_said(catalog: Catalog, change: Callable[[Catalog, str], object]) -> None:
    catalog.add_dataset("monday")
    with pytest.raises((StoreError, UnknownName), match=r"\\ud800"):
        change(catalog, "m\ud800nze")
    assert [dataset.name for dataset in catalog.datasets()] == ["monday"]
    assert catalog.categories() == []
