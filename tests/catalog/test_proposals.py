"""Proposals in the catalog, and the searches that made them."""

from __future__ import annotations

import pytest

from samnb.catalog import Catalog
from samnb.errors import UnknownName
from samnb.records import NewProposal
from tests.support.made_up import picture

ONE, TWO, MODEL = "1" * 64, "2" * 64, "tiny-abc"
QUERY = {"kind": "everything", "points_per_side": 4}
RLE = {"size": [2, 2], "counts": [1, 2, 1]}


def mask(score: float = 0.9) -> NewProposal:
    return NewProposal(RLE, (0, 0, 2, 2), 2, score, {"points": [[1.0, 1.0]]}, 0.97)


def test_what_was_found_is_kept_with_its_search(catalog: Catalog) -> None:
    assert catalog.finish_search(ONE, MODEL, "k", QUERY, [mask(), mask(0.5)])
    first, second = catalog.proposals()
    assert (first.pixel_hash, first.model, first.search, first.query) == (ONE, MODEL, "k", QUERY)
    assert (first.rle, first.bbox, first.area, first.score, first.stability) == (RLE, (0, 0, 2, 2), 2, 0.9, 0.97)
    assert first.prompt == {"points": [[1.0, 1.0]]}
    assert (second.score, second.review, second.id > first.id) == (0.5, "", True)


def test_a_search_without_a_mask_is_done_too(catalog: Catalog) -> None:
    assert catalog.finish_search(ONE, MODEL, "k", QUERY, [])
    assert catalog.searched(MODEL, "k") == {ONE}
    assert catalog.searched(MODEL, "other") == catalog.searched("vit_b", "k") == set()


def test_a_search_that_is_done_is_not_doubled(catalog: Catalog) -> None:
    assert catalog.finish_search(ONE, MODEL, "k", QUERY, [mask()])
    before = catalog.proposals()
    assert not catalog.finish_search(ONE, MODEL, "k", QUERY, [mask(), mask()])
    assert catalog.proposals() == before


def test_each_keyword_narrows(catalog: Catalog) -> None:
    for place, (pixel_hash, model, key) in enumerate([(ONE, MODEL, "k"), (TWO, MODEL, "k"), (TWO, "b", "m")]):
        catalog.finish_search(pixel_hash, model, key, QUERY, [mask(place / 10)])

    def scores(**narrow: object) -> list[float]:
        return [one.score for one in catalog.proposals(**narrow)]

    assert scores() == [0.0, 0.1, 0.2]
    assert scores(pixel_hashes={TWO}) == [0.1, 0.2]
    assert scores(pixel_hashes=[]) == []
    assert scores(model=MODEL) == [0.0, 0.1]
    assert scores(search="m", pixel_hashes={ONE}) == []


def test_rejected_ones_come_on_request(catalog: Catalog) -> None:
    catalog.finish_search(ONE, MODEL, "k", QUERY, [mask(), mask(), mask()])
    first, second, third = catalog.proposals()
    assert [one.review for one in catalog.review_proposals([first.id], "rejected")] == ["rejected"]
    catalog.review_proposals([second.id], "accepted")
    assert [one.id for one in catalog.proposals()] == [second.id, third.id]
    assert [one.review for one in catalog.proposals(rejected=True)] == ["rejected", "accepted", ""]


def test_a_decision_on_one_that_is_gone_changes_none(catalog: Catalog) -> None:
    catalog.finish_search(ONE, MODEL, "k", QUERY, [mask()])
    [there] = catalog.proposals()
    with pytest.raises(UnknownName, match="proposal"):
        catalog.review_proposals([there.id, there.id + 1], "rejected")
    assert catalog.proposals() == [there]


def test_a_forgotten_search_takes_its_proposals_along(catalog: Catalog) -> None:
    for pixel_hash in (ONE, TWO):
        catalog.finish_search(pixel_hash, MODEL, "k", QUERY, [mask()])
    assert catalog.forget_proposals(pixel_hashes={ONE}, model="other") == 0
    assert catalog.forget_proposals(pixel_hashes={ONE}) == 1
    assert [one.pixel_hash for one in catalog.proposals()] == [TWO]
    assert catalog.searched(MODEL, "k") == {TWO}
    assert catalog.finish_search(ONE, MODEL, "k", QUERY, [mask()])


def test_many_rows_and_many_pictures(catalog: Catalog) -> None:
    hashes = [f"{number:064x}" for number in range(1200)]
    for pixel_hash in hashes[:3]:
        catalog.finish_search(pixel_hash, MODEL, "k", QUERY, [mask()] * 700)
    assert len(catalog.proposals(pixel_hashes=hashes)) == 2100
    assert catalog.forget_proposals(pixel_hashes=hashes) == 3


def test_searches_go_with_the_last_image_of_their_picture(catalog: Catalog) -> None:
    pictures = [picture(n, pixel_hash=hash_) for n, hash_ in enumerate((ONE, TWO, "3" * 64))]
    first, _, third = catalog.add_images("a", pictures)
    [again] = catalog.add_images("b", pictures[:1])
    for hash_ in (ONE, TWO, "3" * 64):
        catalog.finish_search(hash_, MODEL, "k", QUERY, [mask()])
    catalog.finish_search("3" * 64, MODEL, "m", QUERY, [mask()])
    [_, _, decided, _] = catalog.proposals()
    catalog.review_proposals([decided.id], "rejected")
    catalog.remove_image(first.id)
    assert catalog.searched(MODEL, "k") == {ONE, TWO, "3" * 64}
    catalog.remove_image(third.id)
    assert (catalog.searched(MODEL, "k"), catalog.searched(MODEL, "m")) == ({ONE, TWO, "3" * 64}, set())
    catalog.remove_image(again.id)
    assert [one.pixel_hash for one in catalog.proposals(rejected=True)] == [TWO, "3" * 64]
    catalog.delete_dataset("a")
    assert catalog.searched(MODEL, "k") == {"3" * 64}
