"""Objects like an example, and what is learnt from decisions; a model whose embedding is colour."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb.errors import ImageChanged, PromptError, UnknownOption
from samnb.masks import mask_iou
from samnb.prompts import Prediction, Prompt
from samnb.proposals import Like
from samnb.proposals.query import described, proposal_of, query_key
from samnb.session import Session
from tests.templates.test_strategies import RED, scene, truth

PINK = (220, 90, 60)
CENTRE = (40, 40)


@pytest.fixture
def prediction(session: Session) -> Prediction:
    """Of the red square on the first picture."""
    return session.predict(session.images()[0], points=[CENTRE])


def test_all_objects_like_a_prediction_are_found_on_all_images(session: Session, prediction: Prediction) -> None:
    encodes = session.model.encodes
    found = session.find_like(prediction, show=False)
    first, second, _ = session.images()
    assert {one.image for one in found} == {first.filename, second.filename}
    for one in found:
        assert mask_iou(one.mask, truth(session.pixels(one.image), RED)) > 0.9
        assert one.kind == "like"
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert session.model.encodes == encodes
    assert session.annotations() == []


def test_an_annotation_a_proposal_and_a_prediction_are_examples_alike(session: Session, prediction: Prediction) -> None:
    proposal = session.find_like(prediction, images=session.images()[:1], show=False)[0]
    annotation = session.accept(prediction, category="red")
    for example in (annotation, proposal, [annotation, proposal]):
        found = session.find_like(example, images=session.images()[1:], show=False)
        assert len(found) == 1
        assert mask_iou(found[0].mask, truth(session.pixels(found[0].image), RED)) > 0.9


def test_asked_again_it_is_read_from_the_catalog(session: Session, prediction: Prediction) -> None:
    first = session.find_like(prediction, show=False)
    events = list(session.propose_stream(session.like(prediction)))
    assert [event.status for event in events] == ["skipped"] * 3 + ["done"]
    assert [one.id for one in session.find_like(prediction, show=False)] == [one.id for one in first]
    other = session.like(prediction, min_score=0.4)
    assert query_key(other) != query_key(session.like(prediction))
    assert [event.status for event in session.propose_stream(other)] == ["computed"] * 3 + ["done"]


def test_the_catalog_holds_no_features_for_it(session: Session, prediction: Prediction) -> None:
    like = session.like(prediction)
    kept = described(like)
    assert kept["kind"] == "like"
    assert kept["examples"][0]["pixel_hash"] == session.images()[0].pixel_hash
    assert len(str(kept)) < 1500


def test_decisions_become_examples_and_background(session: Session, prediction: Prediction) -> None:
    pictures = [scene([(20, 20, 40, RED), (100, 100, 40, PINK)]), scene([(60, 60, 40, PINK)])]
    session.add(pictures, dataset="pink", show=False)
    like = session.like(prediction, min_score=0.3)
    found = session.find_like(like, "pink", show=False)
    pink = [one for one in found if mask_iou(one.mask, truth(session.pixels(one.image), PINK)) > 0.8]
    red = [one for one in found if one not in pink]
    assert len(pink) >= 1, [one.score for one in found]
    assert len(red) == 1
    session.accept_proposals(red, category="red")
    session.reject_proposals(pink)
    better = session.like(like)
    [category] = better.template.categories
    assert (len(category.examples), len(category.background)) == (2, len(pink))
    again = session.find_like(better, "pink", show=False)
    assert not any(mask_iou(one.mask, truth(session.pixels(one.image), PINK)) > 0.5 for one in again)


def test_a_picture_that_is_there_twice_is_one_example(session: Session, prediction: Prediction) -> None:
    second = session.images()[1]
    session.add(Path(second.path), dataset="again", show=False)
    like = session.like(prediction)
    found = [one for one in session.find_like(like, show=False) if one.pixel_hash == second.pixel_hash]
    assert len({one.image_id for one in found}) == len(found) == 2
    session.accept_proposals(found[0], category="red")
    assert [len(one.examples) for one in session.like(like).template.categories] == [2]
    session.accept_proposals(found[1], category="red")
    assert [len(one.examples) for one in session.like(like).template.categories] == [2]
    session.remove(session.annotations()[0])
    session.remove(session.annotations()[0])
    session.reject_proposals(found)
    assert [len(one.background) for one in session.like(like).template.categories] == [1]


def test_masks_of_decided_ones_are_decoded_one_after_the_other(session: Session, prediction: Prediction) -> None:
    [image] = session.add(np.full((1000, 2000, 3), RED, np.uint8), dataset="large", show=False).images
    like, part = session.like(prediction), np.ones((50, 50), bool)
    places = [(100 * n, 100) for n in range(20)]
    click: Any = {"prompt": Prompt.of(points=[(5, 105)]), "size_hw": image.size_hw}
    found = [proposal_of(part, 0.9, corner=place, **click) for place in places]
    kept = [one for one in found if one is not None]
    session.catalog.finish_search(image.pixel_hash, session.model.fingerprint, query_key(like), described(like), kept)
    proposals = session.proposals("large", query=like)
    session.accept_proposals(proposals[:10], category="red")
    session.reject_proposals(proposals[10:])
    session.like(like)
    tracemalloc.start()
    [category] = session.like(like).template.categories
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(category.examples), len(category.background)) == (11, 10)
    assert peak < 15_000_000  # a mask has 2 MB


def test_images_that_could_not_be_searched_are_told(
    session: Session, prediction: Prediction, caplog: pytest.LogCaptureFixture
) -> None:
    session.find_like(prediction, show=False)
    assert caplog.messages == []
    [lost] = session.add(scene([(30, 20, 30, RED)]), show=False).images
    Path(lost.path).unlink()
    session.find_like(prediction, show=False)
    [told] = caplog.messages
    assert "1 of 4 images could not be searched" in told
    assert lost.filename in told


def test_what_was_learnt_is_saved_as_a_template(session: Session, prediction: Prediction) -> None:
    like = session.like(prediction, max_objects=7)
    found = session.find_like(like, show=False)
    session.accept_proposals(found[0], category="red")
    template = session.save_like(like, "reds", category="red")
    assert (template.name, template.version, template.parameters["max_objects"]) == ("reds", 1, 7)
    assert [category.category for category in template.categories] == ["red"]
    assert session.find_template("reds").as_dict() == template.as_dict()
    last = session.apply(template, show=False).wait(300)
    assert last.get("masks") == 1  # the other red square; the first one is annotated


def test_bad_examples_are_named(session: Session, prediction: Prediction) -> None:
    with pytest.raises(PromptError, match="none"):
        session.like([])
    alone = Prediction(np.ones((1, 5, 5), bool), np.ones(1, "f"), np.zeros((1, 5, 5), "f"), Prompt())
    with pytest.raises(PromptError, match="no image"):
        session.like(alone)
    with pytest.raises(PromptError, match="empty"):
        session.like(prediction.but(masks=np.zeros_like(prediction.masks)))
    with pytest.raises(ImageChanged):
        session.like(prediction.but(masks=np.ones((1, 5, 5), bool), scores=np.ones(1, "f")))
    with pytest.raises(UnknownOption, match="min_scores"):
        session.like(prediction, min_scores=0.3)


@pytest.mark.parametrize("strategy", ["match", "fixed"])
def test_other_strategies(session: Session, prediction: Prediction, strategy: str) -> None:
    options: dict[str, Any] = {"strategy": strategy, "images": session.images()[:1], "show": False}
    [found] = session.find_like(prediction, **options)
    assert mask_iou(found.mask, truth(session.pixels(found.image), RED)) > 0.9


def test_it_says_what_it_is(session: Session, prediction: Prediction) -> None:
    like = session.like(prediction)
    assert isinstance(like, Like)
    assert repr(like) == "<Like 1 examples, 0 that are not meant>"
