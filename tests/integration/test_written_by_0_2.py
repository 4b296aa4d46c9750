"""What samnb 0.2.0 wrote opens and works: the files of tests/data/written_by_0_2, made by the script there.

Another file than test_written_before.py, because these were made with a model without a network.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import samnb.session
from samnb import Template, cache_archive
from samnb.replay.recipe import Recipe
from samnb.session import Session
from tests.data.written_by_0_2.make import contents
from tests.support.numpy_model import NumpyModel

DATA = Path(__file__).parents[1] / "data" / "written_by_0_2"
EXPECTED = json.loads((DATA / "expected.json").read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    return Path(shutil.copytree(DATA, tmp_path / "brought"))


@pytest.fixture
def new(folder: Path) -> Iterator[Session]:
    """A new session with the same pictures."""
    with Session(folder / "new") as session:
        session.add(sorted((folder / "session" / "images").rglob("*.png")), dataset="monday", show=False)
        yield session


def test_a_session_folder_has_what_was_in_it(folder: Path) -> None:
    with Session(folder / "session") as session:
        assert json.loads(json.dumps(contents(session))) == EXPECTED


def test_its_embeddings_are_hits_and_its_pictures_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(NumpyModel, "encode", refuse)
    with Session(folder / "session") as session:
        assert all(session.embedding(image)[1] for image in session.images())
        assert session.cache.check().ok
        for image in session.images():
            assert session.pixels(image).shape == (*image.size_hw, 3)
        again = session.apply("red", images=["one.png"], show=False).wait(300)
        assert (again["skipped"], again["computed"]) == (1, 0)


def test_the_files_beside_it_are_read(folder: Path, new: Session) -> None:
    template = Template.load(folder / "red.template.json")
    assert (template.name, template.version) == ("red", 1)
    new.apply(template, images=["one.png"], show=False).wait(300)
    assert [a.rle["counts"] for a in new.annotations()] == [
        row[6] for row in EXPECTED["annotations"] if row[2] == "template:red@1"
    ]
    assert len(Recipe.read(folder / "recipe.json").masks) == len(EXPECTED["annotations"])
    report = cache_archive.import_entries(new.cache, folder / "embeddings.tar")
    assert (report.ok, report.added) == (True, len(EXPECTED["images"]) - 1)  # one is there since the apply


@pytest.mark.parametrize(("format", "name"), [("coco", "coco.json"), ("labelme", "labelme")])
def test_its_exports_are_imported(folder: Path, new: Session, format: str, name: str) -> None:
    report = new.import_(format, folder / name, show=False)
    assert (report.added, report.failed) == (len(EXPECTED["annotations"]), ())
    rows = [[a.image, a.category, a.rle["counts"], dict(a.record.attributes)] for a in new.annotations()]
    assert sorted(rows, key=str) == sorted(
        ([row[0], row[1], row[6], row[7]] for row in EXPECTED["annotations"]), key=str
    )
