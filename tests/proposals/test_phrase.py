"""Objects by a phrase and by examples, as proposals; a model that knows two colours by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import samnb.session
from samnb import cli
from samnb.errors import ModelError, PromptError, UnknownOption
from samnb.masks import mask_iou
from samnb.models import Exemplar
from samnb.proposals import Phrase
from samnb.proposals.query import described, query_key
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.words_model import WordsModel
from tests.templates.test_strategies import GREEN, RED, scene, truth

RED_BOX, GREEN_BOX = (22, 22, 58, 58), (102, 102, 138, 138)
PICTURES = [
    scene([(20, 20, 40, RED), (100, 100, 40, GREEN)]),
    scene([(100, 20, 40, RED), (20, 100, 30, RED)]),
    scene([]),
]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: WordsModel())
    with Session(tmp_path / "session") as opened:
        opened.add(PICTURES, show=False)
        opened.prewarm(show=False).wait()
        yield opened


def test_a_phrase_finds_proposals_on_all_images_without_an_encode(session: Session) -> None:
    encodes = session.model.encodes
    found = session.find("red square", show=False)
    assert [one.kind for one in found] == ["phrase"] * 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        assert (one.mask & truth(session.pixels(one.image), RED)).sum() > 0.9 * one.area
    assert session.model.encodes == encodes
    assert session.annotations() == []
    first = session.images()[0]
    [one] = session.find("red square", images=iter([first]), show=False)
    assert mask_iou(one.mask, truth(PICTURES[0], RED)) > 0.9


def test_asked_again_it_is_read_from_the_catalog(session: Session) -> None:
    first = session.find("red square", show=False)
    finds = session.model.finds
    assert [one.id for one in session.find("red square", show=False)] == [one.id for one in first]
    assert session.model.finds == finds
    assert [event.status for event in session.propose_stream(session.phrase("red square"))] == ["skipped"] * 3 + [
        "done"
    ]
    keys = {
        query_key(session.phrase("red square", **options))
        for options in ({}, {"min_score": 0.3}, {"min_score": 0.5}, {"examples": {session.images()[0]: RED_BOX}})
    }
    assert len(keys) == 3  # 0.3 is the default


def test_examples_alone_and_negative_ones(session: Session) -> None:
    first = session.images()[0]
    found = session.find(examples={first: [GREEN_BOX]}, show=False)
    assert {one.image for one in found} == {first.filename}
    without = session.find("red square", examples={first: [Exemplar(RED_BOX, positive=False)]}, show=False)
    assert without == []


def test_what_is_accepted_is_not_offered_again(session: Session) -> None:
    found = session.find("red square", show=False)
    session.accept_proposals(found[:1], category="red")
    session.reject_proposals(found[1:2])
    assert [one.id for one in session.find("red square", show=False)] == [found[2].id]
    assert session.annotations()[0].category == "red"


def test_the_catalog_holds_no_tokens_for_it(session: Session) -> None:
    first = session.images()[0]
    query = session.phrase("red square", examples={first: [RED_BOX]})
    assert repr(query) == "<Phrase 'red square', 1 exemplars>"
    kept = described(query)
    assert (kept["kind"], kept["phrase"]) == ("phrase", "red square")
    assert kept["exemplars"][0]["pixel_hash"] == first.pixel_hash
    assert len(str(kept)) < 1500
    assert not session.catalog.templates()


@pytest.mark.parametrize(
    ("given", "options", "error"),
    [
        ((), {}, PromptError),
        (({"a": "red square"},), {}, PromptError),
        (("red square",), {"max_shifts": 1}, UnknownOption),
        ((), {"examples": {"0": (1, 2, 3)}}, PromptError),
    ],
)
def test_bad_searches_are_refused(session: Session, given: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        session.find(*given, **options, show=False)


def test_a_model_without_words_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "numpy") as opened, pytest.raises(ModelError, match="'sam3'"):
        opened.find("red square")


def test_the_public_query_is_a_value() -> None:
    assert Phrase.kind == "phrase"


# -- in a terminal -------------------------------------------------------------------------------------


@pytest.fixture
def folder(session: Session) -> str:
    place = str(session.folder)
    session.close()
    return place


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["find", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_samnb_find_prints_what_a_phrase_finds(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, folder, "red square")
    assert status == 0
    assert out.splitlines()[-1] == "3 proposals on 3 images, 0 searched before"
    assert [line.rpartition(": ")[2] for line in out.splitlines()[:-1]] == ["1", "2"]
    assert "0 proposals on 0 images, 3 searched before" in run(capsys, folder, "red square")[1]


def test_samnb_find_by_example_everything_and_like_an_annotation(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Session(folder) as opened:
        name = opened.images()[0].filename
    box = [str(value) for value in GREEN_BOX]
    status, out, _ = run(capsys, folder, "--example", name, *box, "--accept", "green", "--set", "min_score=0.2")
    assert (status, out.splitlines()[-1]) == (0, "1 annotation saved")
    with Session(folder) as opened:
        [annotation] = opened.annotations()
        assert annotation.category == "green"
    assert run(capsys, folder, "--like", str(annotation.id))[0] == 0
    assert run(capsys, folder, "--everything", "--set", "points_per_side=4")[0] == 0


def test_samnb_find_says_what_is_wrong(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ([], ["red square", "--everything"], ["--example", "a", "1", "2", "3", "x"], ["a", "--set", "b"]):
        with pytest.raises(SystemExit):
            run(capsys, folder, *wrong)
        assert "expected" in capsys.readouterr().err
    status, _, err = run(capsys, folder, "--like", "77")
    assert (status, "77" in err) == (1, True)
