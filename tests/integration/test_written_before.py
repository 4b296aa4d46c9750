"""What samnb 0.1.0 wrote opens and works: the files of tests/data/written_by_0_1, made by the script there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb import Session, Template, cache_archive
from samnb.catalog import AnnotationRecord
from samnb.masks import decode_rle
from tests.support.earlier_tiny import EARLIER_TINY

DATA = Path(__file__).parents[1] / "data" / "written_by_0_1"
EXPECTED = json.loads((DATA / "expected.json").read_text())
FIRST_DISC = (22, 22)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "brought"))


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    """The session folder on a machine where the pictures lie elsewhere."""
    with Session(folder / "session", checkpoint=EARLIER_TINY) as session:
        found = session.relocate(folder / "pictures")
        assert (len(found.found), found.missing) == (3, ())
        yield session


@pytest.fixture
def new(folder: Path, tmp_path: Path) -> Iterator[Session]:
    """A new session with the same pictures."""
    with Session(tmp_path / "new", checkpoint=EARLIER_TINY) as session:
        session.add(folder / "pictures", dataset="monday")
        yield session


def encode_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(session.model, "encode", refuse)
    monkeypatch.setattr(session.model, "encode_prepared", refuse)


def contents(session: Session) -> list[list[Any]]:
    return [
        [a.image, a.category, a.source, a.review, list(a.bbox), a.area, a.score, a.rle["counts"]]
        for a in session.annotations()
    ]


def masks(session: Session, image: str) -> list[list[int]]:
    """Run lengths of all masks of an image, the rejected ones too."""
    shown = session.image(image).id
    kept = session.catalog.annotations(image_id=shown)
    return sorted(row.rle["counts"] for row in [*kept, *rejected(session)] if row.image_id == shown)


def rejected(session: Session) -> list[AnnotationRecord]:
    return session.catalog.annotations(review="rejected")


def of_template() -> list[list[int]]:
    """Run lengths of what the template "discs" found in alike.png."""
    found = [row[-1] for row in EXPECTED["annotations"] if row[2] == "template:discs@2"]
    return sorted([*found, *EXPECTED["rejected"]])


def test_a_session_folder_has_what_was_in_it(session: Session) -> None:
    images = [[i.filename, i.pixel_hash, i.content_hash, list(i.size_hw)] for i in session.images("monday")]
    assert images == EXPECTED["images"]
    assert [[c.name, c.color] for c in session.category_records()] == EXPECTED["categories"]
    assert contents(session) == EXPECTED["annotations"]
    assert [list(pair) for pair in session.catalog.templates()] == EXPECTED["templates"]
    assert [row.rle["counts"] for row in rejected(session)] == EXPECTED["rejected"]
    assert [[image.filename for image in group] for group in session.duplicates()] == [["discs.png", "discs_again.bmp"]]
    assert session.unsay("discs.png", "alike.png"), "what was said of the look-alikes"


def test_its_embeddings_are_hits(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert session.model.fingerprint == EXPECTED["fingerprint"], (
        "the embedded model has other weights: write tests/data/written_by_0_1 anew with its make.py"
    )
    encode_nothing(session, monkeypatch)
    assert all(image.embedding_cached for image in session.images())
    prediction = session.predict("discs_again.bmp", points=[FIRST_DISC])
    assert prediction.cache_hit
    best = prediction.masks[int(np.argmax(prediction.scores))]
    kept = session.annotations(image="discs.png")[0].mask
    assert (best & kept).sum() > 0.95 * (best | kept).sum()
    last = session.prewarm(show=False).wait(300)
    assert (last["skipped"], last["computed"], last["failed"]) == (3, 0, 0)
    assert session.cache.check().ok


def test_what_a_template_did_is_known_and_it_finds_the_same_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_nothing(session, monkeypatch)
    again = session.apply("discs", images=["alike.png"], show=False).wait(300)
    assert (again["skipped"], again["computed"]) == (1, 0)
    [approved], [sent_away] = session.catalog.annotations(review="accepted"), rejected(session)
    other = session.find_template("discs").with_parameters(review_score=0.01)
    assert session.apply(other, images=["alike.png"], show=False).wait(300)["computed"] == 1
    assert masks(session, "alike.png") == of_template()
    assert session.catalog.annotations(review="accepted") == [approved]
    assert rejected(session) == [sent_away]


def test_a_template_file_finds_what_it_found(folder: Path, new: Session) -> None:
    template = Template.load(folder / "discs.template.json")
    assert (template.name, template.version, template.parameters["max_objects"]) == ("discs", 2, 4)
    new.apply(template, images=["alike.png"], show=False).wait(300)
    assert masks(new, "alike.png") == of_template()


def test_a_recipe_gives_identical_masks(folder: Path, tmp_path: Path) -> None:
    with Session(tmp_path / "replayed", checkpoint=EARLIER_TINY) as session:
        report = session.replay(folder / "recipe.json", folder / "pictures")
        assert report.ok, report
        assert (report.same, report.kept) == (6, 1)
        assert sorted(row[-1] for row in contents(session)) == sorted(row[-1] for row in EXPECTED["annotations"])


def test_an_archive_of_embeddings_is_taken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Session(tmp_path / "other", checkpoint=EARLIER_TINY, cache={"dtype": "int8"}) as session:
        report = cache_archive.import_entries(session.cache, folder / "embeddings.tar")
        assert (report.ok, report.entries, report.added) == (True, 1, 1)
        session.add(folder / "pictures" / "discs.png")
        encode_nothing(session, monkeypatch)
        assert session.predict("discs.png", points=[FIRST_DISC]).cache_hit


def test_a_coco_file_is_imported(folder: Path, new: Session) -> None:
    report = new.import_("coco", folder / "coco.json")
    assert (report.added, report.failed) == (len(EXPECTED["annotations"]), ())
    by_file = {(row[0], row[1], tuple(row[-1])) for row in EXPECTED["annotations"]}
    assert {(a.image, a.category, tuple(a.rle["counts"])) for a in new.annotations()} == by_file
    assert all(decode_rle(a.rle).sum() == a.area for a in new.annotations())


def test_the_model_of_today_misses_its_embeddings_and_encodes_anew(folder: Path) -> None:
    with Session(folder / "session") as session:
        session.relocate(folder / "pictures")
        image = session.images()[0]
        assert not session.is_cached(image)
        assert not session.predict(image, points=[FIRST_DISC]).cache_hit
        assert session.predict(image, points=[FIRST_DISC]).cache_hit
