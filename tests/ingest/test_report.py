from samnb.ingest.report import AddReport
from samnb.records import Failure, ImageRecord

IMAGE = ImageRecord(
    id="1", dataset="monday", dataset_id="2", filename="a.png", path="/a.png", content_hash="3", pixel_hash="4",
    perceptual_hash="5", width=4, height=3, size_bytes=9, mtime_ns=1, inode=1, embedding_cached=True, position=0,
)  # fmt: skip


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
