"""Templates in the catalog, and what was applied."""

from __future__ import annotations

import pytest

from samnb.catalog import Catalog
from samnb.errors import TemplateError, UnknownName
from tests.support.made_up import coin, picture


def test_templates_are_kept_by_version(catalog: Catalog) -> None:
    assert catalog.save_template("coins", {"score": 0.5, "categories": ["coin"]}) == 1
    assert catalog.save_template("coins", {"score": 0.5, "categories": ["coin"]}) == 1
    assert catalog.save_template("coins", {"categories": ["coin"], "score": 0.5}) == 1
    assert catalog.save_template("coins", {"score": 0.7}) == 2
    assert catalog.save_template("coins", {"score": 0.70}) == 2
    assert catalog.save_template("coins", {"score": 0.5, "categories": ["coin"]}) == 3
    assert catalog.save_template("aliens", {}, version=10) == 10
    assert catalog.save_template("coins", {"score": 0.9}, version=2) == 2
    assert catalog.templates() == [("aliens", 10), ("coins", 1), ("coins", 2), ("coins", 3)]
    assert catalog.template("coins")["categories"] == ["coin"]
    assert catalog.template("coins", 2) == {"score": 0.9}
    with pytest.raises(UnknownName, match="Did you mean 'coins'"):
        catalog.template("coin")
    with pytest.raises(UnknownName, match="version of template 'coins'"):
        catalog.template("coins", 4)


def test_a_category_may_have_the_name_under_which_former_names_are_kept(catalog: Catalog) -> None:
    for own in ({"category": "formerly"}, {"category": "a", "phrase": "formerly"}):
        catalog.save_template("coins", {"categories": [own]})
    assert catalog.former_categories("coins") == {}
    catalog.save_category("formerly")
    catalog.rename_category("formerly", "coin")
    assert catalog.former_categories("coins") == {"formerly": "coin"}


def test_finishing_twice_doubles_nothing(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    for _ in range(2):
        kept = catalog.finish_applied("coins", 1, "tiny-abc", image.id, [coin(image), coin(image, area=7)])
        assert catalog.annotations() == kept
        assert [(a.source, a.area) for a in kept] == [("template:coins@1", 20), ("template:coins@1", 7)]
    assert catalog.applied("coins", 1, "tiny-abc") == {image.id}


def test_finishing_touches_only_its_own(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    own = ["template:co_ns", "template:co_ns@1", "template:co_ns@draft"]
    others = ["hand", "template:coins", "template:co_ns2", "template:CO_NS@1", "template:coins@1", "template:co_n", ""]
    catalog.add_annotations([coin(one, source=source) for source in (*own, *others)])
    elsewhere = catalog.add_annotations([coin(two, source="template:co_ns")])
    [new] = catalog.finish_applied("co_ns", 2, "m", one.id, [coin(one)])
    assert [a.source for a in catalog.annotations(image_id=one.id)] == [*others, new.source]
    assert catalog.annotations(image_id=two.id) == elsewhere


def test_applied_is_what_is_there_now(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    catalog.finish_applied("coins", 1, "m", one.id, [coin(one)])
    catalog.finish_applied("coins", 1, "m", two.id, [])
    assert catalog.applied("coins", 1, "m") == {one.id, two.id}
    assert catalog.applied("coins", 2, "m") == catalog.applied("coins", 1, "n") == catalog.applied("rims", 1, "m")
    # Version 2 took the place of version 1 on one image: version 1 is no longer applied there.
    catalog.finish_applied("coins", 2, "m", one.id, [])
    assert catalog.applied("coins", 1, "m") == {two.id}
    assert catalog.applied("coins", 2, "m") == {one.id}
    # Another picture under the same path has not been looked at yet.
    catalog.add_images("monday", [picture(2, pixel_hash="e" * 64)])
    assert catalog.applied("coins", 1, "m") == set()


def test_finishing_is_all_or_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    before = catalog.finish_applied("coins", 1, "m", image.id, [coin(image)])
    with pytest.raises(TypeError, match="expected numbers"):
        catalog.finish_applied("coins", 2, "m", image.id, [coin(image), coin(image, prompt={"points": object()})])
    assert catalog.annotations() == before
    assert (catalog.applied("coins", 1, "m"), catalog.applied("coins", 2, "m")) == ({image.id}, set())
    with pytest.raises(UnknownName):
        catalog.finish_applied("coins", 2, "m", "nobody", [])
    with pytest.raises(UnknownName, match="in what was applied"):
        catalog.finish_applied("coins", 2, "m", image.id, [coin(image, image_id="nobody")])


def test_the_results_of_several_images_are_kept_together_or_not_at_all(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    kept = catalog.finish_applied_all("coins", 1, "m", [(one.id, [coin(one)] * 2, one.pixel_hash), (two.id, [], None)])
    assert [[record.image_id for record in found] for found in kept] == [[one.id] * 2, []]
    assert catalog.applied("coins", 1, "m") == {one.id, two.id}
    with pytest.raises(TemplateError, match="another picture"):
        catalog.finish_applied_all("coins", 2, "m", [(one.id, [], None), (two.id, [coin(two)], "another")])
    assert catalog.applied("coins", 2, "m") == set()
    assert {name: len(found) for name, found in catalog.annotations_on([one.id, two.id]).items()} == {
        one.id: 2,
        two.id: 0,
    }
