"""Annotations that are changed, and put back under the ids they had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from samnb.catalog import Catalog
from samnb.errors import UnknownName
from tests.support.made_up import coin, picture


def test_what_is_left_out_of_a_change_stays(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    one, two = catalog.add_annotations([coin(image), coin(image)])
    assert (one.layer, one.updated_at, one.review) == (0, None, "")
    changed = catalog.update_annotation(one.id, category="rim", layer=3, review="accepted")
    assert changed.updated_at is not None
    assert one.created_at < changed.updated_at
    assert changed == replace(one, category="rim", layer=3, review="accepted", updated_at=changed.updated_at)
    mask: dict[str, Any] = {"rle": {"size": [480, 640], "counts": [0, 5, 307195]}, "bbox": (0, 0, 1, 5), "area": 5}
    again = catalog.update_annotation(one.id, **mask, score=0.5, prompt={"box": [1, 2, 3, 4]})
    expected = replace(changed, **mask, score=0.5, prompt={"box": [1, 2, 3, 4]}, updated_at=again.updated_at)
    assert again == expected
    assert catalog.annotations() == [again, two]


def test_a_mask_is_changed_whole_or_not_at_all(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    [kept] = catalog.add_annotations([coin(image)])
    with pytest.raises(TypeError, match="all three, or none"):
        catalog.update_annotation(kept.id, area=7)
    assert catalog.annotations() == [kept]


def test_what_is_gone_cannot_be_changed(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    [kept] = catalog.add_annotations([coin(image)])
    catalog.remove_annotations([kept.id])
    with pytest.raises(UnknownName, match=f"annotation {kept.id}"):
        catalog.update_annotation(kept.id, layer=1)


def test_removed_ones_come_back_under_their_ids(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    kept = catalog.add_annotations([coin(image, area=n, layer=n % 2) for n in range(700)])
    kept[1] = catalog.update_annotation(kept[1].id, category="rim")
    catalog.remove_annotations([a.id for a in kept])
    assert catalog.restore_annotations(kept) == kept
    assert catalog.annotations() == kept
    [new] = catalog.add_annotations([coin(image)])
    assert new.id > kept[-1].id
    assert catalog.restore_annotations([]) == []


def test_what_is_there_is_not_put_back(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    one, two = catalog.add_annotations([coin(image), coin(image)])
    changed = catalog.update_annotation(one.id, layer=5)
    catalog.remove_annotations([two.id])
    assert catalog.restore_annotations([one, two]) == [changed, two]
    assert catalog.annotations() == [changed, two]


def test_nothing_is_put_back_on_an_image_that_is_gone(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    kept = catalog.add_annotations([coin(one), coin(two)])
    catalog.remove_annotations([a.id for a in kept])
    catalog.remove_image(two.id)
    with pytest.raises(UnknownName, match="image"):
        catalog.restore_annotations(kept)
    assert catalog.annotations() == []


@pytest.mark.parametrize("review", ["", "unsure", "accepted", "rejected"])
def test_one_annotation_is_read_by_its_id_in_any_review_state(catalog: Catalog, review: str) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    _, kept = catalog.add_annotations([coin(image), coin(image, review=review)])
    assert catalog.annotation(kept.id) == kept


def test_an_annotation_that_is_gone_is_reported_with_the_ids_that_there_are(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    one, two = catalog.add_annotations([coin(image), coin(image)])
    catalog.remove_annotations([two.id])
    with pytest.raises(UnknownName, match=f"annotation {two.id}.*{one.id}"):
        catalog.annotation(two.id)


def test_annotations_are_counted_by_image_without_the_rejected_ones(catalog: Catalog) -> None:
    one, two, _ = catalog.add_images("monday", [picture(1), picture(2), picture(3)])
    [other] = catalog.add_images("tuesday", [picture(4)])
    catalog.add_annotations([coin(one), coin(one, review="accepted"), coin(two, review="rejected"), coin(other)])
    assert catalog.count_annotations() == {one.id: 2, other.id: 1}
    assert catalog.count_annotations("monday") == {one.id: 2}
    with pytest.raises(UnknownName, match="dataset"):
        catalog.count_annotations("sunday")
