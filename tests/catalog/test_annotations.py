"""Annotations that are changed, and put back under the ids they had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from samnb.catalog import AnnotationRecord, Catalog, NewAnnotation
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


def test_several_are_edited_in_one_transaction_or_none(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    first, second, third = (record.id for record in catalog.add_annotations([coin(image)] * 3))
    other = replace(coin(image), area=4, bbox=(1, 1, 2, 2))
    with pytest.raises(UnknownName):
        catalog.edit_annotations({first: other}, added=[other], removed=[second, 999])
    assert len(catalog.annotations()) == 3
    assert catalog.annotation(first).area != 4
    changed, added = catalog.edit_annotations({first: other}, added=[other], removed=[second])
    assert (changed.id, changed.area, added.area) == (first, 4, 4)
    assert [a.id for a in catalog.annotations()] == [first, third, added.id]
    with pytest.raises(UnknownName):
        catalog.edit_annotations({second: other})


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
    assert catalog.count_annotations(review="rejected") == {two.id: 1}
    with pytest.raises(UnknownName, match=r"review state 'acepted'.*Did you mean 'accepted'"):
        catalog.count_annotations(review="acepted")


def test_annotations_come_out_as_they_went_in(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    [kept] = catalog.add_annotations([coin(image)])
    assert isinstance(kept, AnnotationRecord)
    assert catalog.annotations() == [kept]
    assert (kept.image, kept.dataset, kept.image_id) == ("img1.jpg", "monday", image.id)
    for name in NewAnnotation.__dataclass_fields__:
        assert getattr(kept, name) == getattr(coin(image), name), name
    assert kept.created_at.endswith("+00:00")


def test_values_of_numpy_are_kept_as_plain_ones(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    rle = {"size": np.array([4, 3]), "counts": [np.int64(5), np.int64(7)]}
    new = coin(image, rle=rle, bbox=tuple(np.arange(4)), area=np.int64(7), score=np.float32(0.5))
    [kept] = catalog.add_annotations([new])
    assert (kept.rle, kept.bbox, kept.area, kept.score) == ({"size": [4, 3], "counts": [5, 7]}, (0, 1, 2, 3), 7, 0.5)
    assert {type(v) for v in kept.bbox} == {int}


def test_annotations_are_ordered_and_narrowed(catalog: Catalog) -> None:
    one, two = catalog.add_images("monday", [picture(1), picture(2)])
    [three] = catalog.add_images("tuesday", [picture(3)])
    new = [coin(three), coin(one, category="rim"), coin(two), coin(one, source="import")]
    kept = catalog.add_annotations(new)
    assert [a.id for a in kept] == sorted(a.id for a in kept)
    assert [a.image_id for a in kept] == [a.image_id for a in new]
    assert catalog.annotations() == kept
    assert catalog.annotations(category="coin") == [kept[0], kept[2], kept[3]]
    assert catalog.annotations(image_id=one.id) == [kept[1], kept[3]]
    assert catalog.annotations(dataset="monday", source="hand") == [kept[1], kept[2]]
    assert catalog.annotations(category="nothing") == []
    assert catalog.categories() == ["coin", "rim"]
    with pytest.raises(UnknownName, match="dataset"):
        catalog.annotations(dataset="munday")


def test_many_annotations_keep_their_order(catalog: Catalog) -> None:
    images = catalog.add_images("monday", [picture(n) for n in range(7)])
    new = [coin(images[n % 7], area=n) for n in range(1100)]
    assert [a.area for a in catalog.add_annotations(new)] == list(range(1100))
    assert catalog.add_annotations([]) == []


def test_one_unknown_image_and_nothing_is_saved(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    with pytest.raises(UnknownName, match="Unknown image 'nobody'"):
        catalog.add_annotations([coin(image), coin(image, image_id="nobody")])
    assert catalog.annotations() == []


def test_removed_ids_are_not_given_again(catalog: Catalog) -> None:
    [image] = catalog.add_images("monday", [picture(1)])
    one, two = catalog.add_annotations([coin(image), coin(image)])
    assert catalog.remove_annotations([two.id, two.id, 999]) == 1
    assert catalog.remove_annotations([]) == 0
    [three] = catalog.add_annotations([coin(image)])
    assert three.id > two.id
    assert catalog.annotations() == [one, three]
