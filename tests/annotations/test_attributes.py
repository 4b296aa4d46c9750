"""Attributes of annotations: declared, set, exported and imported again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from samnb.errors import NameTaken, PromptError, UnknownName, WorkWouldBeLost
from samnb.session import Session

VALUES = {"occluded": True, "side": "left", "note": "wet, and cut"}


@pytest.fixture
def session(tmp_path: Path):
    with Session(tmp_path / "session") as opened:
        pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        opened.add(pixels, dataset="monday", show=False)
        yield opened


def declare(session: Session) -> None:
    session.add_attribute("occluded")
    session.add_attribute("side", kind="choice", choices=["left", "right"])
    session.add_attribute("note", kind="text")


def annotated(session: Session):
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    return session.accept_mask(session.images()[0], mask, category="coin")


def test_values_are_kept_and_can_be_undone(session: Session) -> None:
    declare(session)
    before = annotated(session)
    after = session.update(before, attributes=VALUES)
    assert session.annotations()[0].attributes == after.attributes == VALUES
    assert session.update(after, attributes={"occluded": False, "side": ""}).attributes == {}
    session.restore([after], changed_from=[before])
    assert session.annotations()[0].attributes == VALUES
    session.remove(after)
    session.restore([after])
    assert session.annotations()[0].attributes == VALUES


def test_what_was_not_declared_is_refused(session: Session) -> None:
    declare(session)
    one = annotated(session)
    with pytest.raises(UnknownName, match="attribute 'colour'"):
        session.update(one, attributes={"colour": "red"})
    with pytest.raises(UnknownName, match="'top'"):
        session.update(one, attributes={"side": "top"})
    with pytest.raises(PromptError, match="expected True or False; got 1"):
        session.update(one, attributes={"occluded": 1})
    with pytest.raises(PromptError, match="expected a text"):
        session.update(one, attributes={"note": 3})
    assert session.annotations()[0].attributes == {}
    assert session.update(one, attributes={"occluded": np.True_}).attributes == {"occluded": True}


def test_a_declaration_says_what_is_wrong(session: Session) -> None:
    declare(session)
    with pytest.raises(NameTaken, match="There is a flag attribute 'occluded'"):
        session.add_attribute("occluded", kind="text")
    with pytest.raises(PromptError, match="a choice has one or more choices"):
        session.add_attribute("size", kind="choice")
    with pytest.raises(UnknownName, match="kind of attribute"):
        session.add_attribute("size", kind="number")
    with pytest.raises(PromptError, match="empty one"):
        session.add_attribute(" ")
    assert session.add_attribute("side", kind="choice", choices=["left", "right", "top"]).position == 1
    assert [record.name for record in session.attributes()] == ["occluded", "side", "note"]


def test_removing_one_with_values_is_said(session: Session) -> None:
    declare(session)
    session.update(annotated(session), attributes=VALUES)
    with pytest.raises(WorkWouldBeLost, match="1 value of annotations would be deleted"):
        session.remove_attribute("note")
    session.remove_attribute("note", discard=True)
    assert session.annotations()[0].attributes == {"occluded": True, "side": "left"}
    with pytest.raises(UnknownName):
        session.remove_attribute("note")


@pytest.mark.parametrize("format", ["coco", "labelme", "masks"])
def test_a_round_trip_through_files(session: Session, tmp_path: Path, format: str) -> None:
    declare(session)
    session.update(annotated(session), attributes=VALUES)
    place = tmp_path / "export" / ("all.json" if format == "coco" else "folder")
    session.export(format, place)
    with Session(tmp_path / "other") as other:
        other.add(session.pixels(session.images()[0]), dataset="monday", show=False)
        report = other.import_(format, place, images=session.folder / "images", show=False)
        assert not report.failed
        assert "3 attributes declared" in str(report)
        assert other.annotations()[0].attributes == VALUES
        kinds = {record.name: record.kind for record in other.attributes()}
        side = "choice" if format == "coco" else "text"  # only that file holds the choices
        assert kinds == {"occluded": "flag", "side": side, "note": "text"}


def test_an_import_keeps_what_fits_and_says_what_does_not(session: Session, tmp_path: Path) -> None:
    session.add_attribute("side", kind="choice", choices=["left"])
    name = session.images()[0].filename
    of_cvat = {"occluded": False, "side": "under", "age": 3, "track": [1, 2]}
    values = {
        "images": [{"id": 1, "file_name": name, "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "coin"}],
        "annotations": [
            {
                "id": 7,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]],
                "attributes": of_cvat,
            }
        ],
    }
    path = tmp_path / "cvat.json"
    path.write_text(json.dumps(values))
    report = session.import_("coco", path, show=False)
    assert report.added == 1
    assert [failure.reason for failure in report.failed] == [
        "its attribute 'side' is 'under', and the choices here are left"
    ]
    assert session.annotations()[0].attributes == {"age": "3"}
    assert {record.name: record.kind for record in session.attributes()}["occluded"] == "flag"


def test_formats_write_what_they_can(session: Session, tmp_path: Path) -> None:
    session.add_attribute("truncated")
    session.add_attribute("wet")
    declare(session)
    session.update(annotated(session), attributes=VALUES | {"truncated": True, "wet": True})
    session.export("voc", tmp_path / "voc")
    [xml] = (tmp_path / "voc" / "Annotations").iterdir()
    text = xml.read_text()
    assert "<truncated>1</truncated>" in text
    assert "<occluded>1</occluded>" in text
    assert "<difficult>0</difficult>" in text
    flat = "".join(text.split())
    assert "<attribute><name>wet</name><value>true</value></attribute>" in flat
    assert "<name>side</name><value>left</value>" in flat
    session.export("table", tmp_path / "all.csv")
    [row] = csv.DictReader((tmp_path / "all.csv").read_text(encoding="utf-8").splitlines())
    assert json.loads(row["attributes"]) == VALUES | {"truncated": True, "wet": True}
    assert "attributes of 1 object left out" in str(session.export("yolo", tmp_path / "yolo"))
    session.export("coco", tmp_path / "all.json")
    [found] = json.loads((tmp_path / "all.json").read_text())["annotations"]
    assert found["attributes"] == {"truncated": True, "wet": True} | VALUES
