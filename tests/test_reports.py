import pytest

from samnb.records import ImageRecord
from samnb.reports import AddReport, Annotations, Failure, Status, card

IMAGE = ImageRecord(
    id="1", dataset="monday", dataset_id="2", filename="a.png", path="/a.png", content_hash="3", pixel_hash="4",
    perceptual_hash="5", width=4, height=3, size_bytes=9, mtime_ns=1, inode=1, embedding_cached=True, position=0,
)  # fmt: skip
STATUS = Status("coins", "/coins", 50, 47, 3, 2, 9, 41, 82.0, "tiny", "cpu", 41, 20 * 2**20)


def test_an_add_report_reads_as_one_line_and_the_failures():
    report = AddReport("monday", (IMAGE,) * 50, 47, 15, 3, (Failure("bad.png", "zero bytes"),))
    lines = str(report).splitlines()
    assert lines[0] == (
        "50 images in 'monday' · 47 new · 15 already cached, prewarm will be faster · 3 duplicates · 1 failed"
    )
    assert lines[1] == "  ⚠ bad.png: zero bytes"
    assert report.as_dict()["duplicates_message"] == "15 image(s) already cached, prewarm will be faster"


def test_many_failures_are_cut_in_text_and_whole_in_the_report():
    report = AddReport("d", (), 0, 0, 0, tuple(Failure(f"{i}.png", "no") for i in range(30)))
    assert "… and 10 more" in str(report)
    assert len(report.as_dict()["failed"]) == 30
    assert report.duplicates_message == ""


def test_a_status_is_a_card_a_text_and_a_dict():
    assert "41 of 50 (82 %)" in str(STATUS)
    assert "tiny on cpu" in STATUS._repr_html_()
    assert STATUS.as_dict()["unique_images"] == 47


def test_a_card_escapes_what_it_shows():
    shown = card("<b>", {"<script>": "a & b"})
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "a &amp; b" in shown


def test_no_annotations_are_an_empty_table():
    pytest.importorskip("pandas")
    assert list(Annotations().to_dataframe().columns)[:3] == ["id", "dataset", "image"]
    assert "<table>" in Annotations()._repr_html_()
