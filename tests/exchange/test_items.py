"""Items of an export whose annotations are fetched for some images at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from samnb.errors import StoreError, UnknownName
from samnb.exchange.export import export
from samnb.exchange.items import ExportItems, looked_up, with_others
from samnb.records import UNSURE, AnnotationRecord
from tests.support.export_work import annotation, dot, image

IMAGES = [image(number, f"{number:04}.png") for number in range(1200)]
FOUND = [annotation(number, one, "coin", dot()) for number, one in enumerate(IMAGES, 1)]


class Asked:
    """A lookup that notes how many images it was asked for at once."""

    def __init__(self, records: list[AnnotationRecord]):
        self._find, self.sizes = looked_up(IMAGES, records), []

    def __call__(self, ids: Collection[str]):
        self.sizes.append(len(ids))
        return self._find(ids)


@pytest.mark.parametrize(("format", "name"), [("coco", "a.json"), ("table", "a.csv"), ("table", "a.parquet")])
def test_files_written_in_pieces_have_everything_and_ask_for_some_at_a_time(
    format: str, name: str, tmp_path: Path
) -> None:
    given = {"images": IMAGES, "categories": ["coin"]}
    whole = export(format, tmp_path / "whole" / name, annotations=FOUND, **given)
    asked = Asked(FOUND)
    report = export(format, tmp_path / name, annotations=asked, **given)
    assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (report.images, report.annotations) == (whole.images, whole.annotations) == (1200, 1200)
    assert max(asked.sizes) <= 500
    assert sum(asked.sizes) == 1200
    if format == "coco":
        assert len(json.loads((tmp_path / name).read_text())["annotations"]) == 1200
    elif name.endswith("csv"):
        assert len(list(csv.reader((tmp_path / name).open()))) == 1201


def test_an_export_that_fails_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    def fails(ids: Collection[str]):
        if IMAGES[-1].id in ids:
            raise StoreError("the database is gone")
        return looked_up(IMAGES, FOUND)(ids)

    with pytest.raises(StoreError, match="is gone"):
        export("table", tmp_path / "a.csv", images=IMAGES, annotations=fails, categories=["coin"])
    wrong = [*FOUND[:-1], annotation(9999, IMAGES[-1], "mug", dot())]
    with pytest.raises(UnknownName, match="mug"):
        export("table", tmp_path / "a.csv", images=IMAGES, annotations=wrong, categories=["coin"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["coco", "table", "masks"])
def test_a_category_that_somebody_adds_meanwhile_is_left_out_and_told(format: str, tmp_path: Path) -> None:
    meanwhile = [*FOUND[:3], annotation(9999, IMAGES[3], "mug", dot())]
    given = {"images": IMAGES[:4], "categories": ["coin"]}
    report = export(format, tmp_path / "a.csv", annotations=looked_up(IMAGES, meanwhile), **given)
    assert report.annotations == 3
    assert [str(one) for one in report.failed] == [
        "0003.png, annotation 9999: its category 'mug' came after the export began. Export again."
    ]


def test_other_annotations_come_with_those_of_their_image() -> None:
    more = annotation(7777, IMAGES[3], "coin", dot())
    items = ExportItems(IMAGES, with_others(looked_up(IMAGES, FOUND), [more]), ["coin"], {})
    assert [len(item.annotations) for item in items][:5] == [1, 1, 1, 2, 1]
    assert [item.name for item in items.only({"0003.png", "0001.png"})] == ["0001.png", "0003.png"]
    assert not any(item.annotations for item in items.heads())


def test_a_report_says_how_many_wait_for_a_review(tmp_path: Path) -> None:
    found = [replace(one, review=UNSURE if one.id <= 3 else "") for one in FOUND[:5]]
    for format, name in (("coco", "a.json"), ("table", "a.csv")):
        report = export(format, tmp_path / name, images=IMAGES, annotations=found, categories=["coin"])
        assert (report.annotations, report.unsure) == (5, 3)
        assert "5 annotations on 1200 images, 3 of them wait for a review" in repr(report).replace(",200", "200")
        assert "3 of them wait for a review" in report._repr_html_()
    assert "review" not in repr(
        export("coco", tmp_path / "b.json", images=IMAGES, annotations=FOUND, categories=["coin"])
    )
