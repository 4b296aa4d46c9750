import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from samnb.records import ImageRecord
from samnb.reports import AddReport, Annotations, Failure, Status, card
from samnb.session import Session

IMAGE = ImageRecord(
    id="1", dataset="monday", dataset_id="2", filename="a.png", path="/a.png", content_hash="3", pixel_hash="4",
    perceptual_hash="5", width=4, height=3, size_bytes=9, mtime_ns=1, inode=1, embedding_cached=True, position=0,
)  # fmt: skip
STATUS = Status(
    "coins", "/coins", 50, 47, 3, 2, 9, 41, 82.0, "tiny", "cpu", 41, 20 * 2**20,
    unique_contents=48, duplicate_groups=2, cached_by_model={"tiny": 38, "vit_b": 3}, image_bytes=7 * 2**20,
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


def test_a_status_is_a_card_a_text_and_a_dict():
    assert "41 of 50 (82 %)" in str(STATUS)
    assert "tiny on cpu" in STATUS._repr_html_()
    assert STATUS.as_dict()["unique_images"] == 47
    assert dict(STATUS) == STATUS.as_dict() == json.loads(json.dumps(STATUS.as_dict()))
    assert STATUS["cached_by_model"] == {"tiny": 38, "vit_b": 3}
    for said in ("7.0 MiB", "47 by pixels, 48 by bytes", "2 pictures with 3 more", "tiny 38, vit_b 3"):
        assert said in str(STATUS)
    assert "read only" not in str(STATUS)
    assert "newer samnb" in str(replace(STATUS, read_only=True))


def test_the_status_of_a_read_only_catalog_counts_and_changes_nothing(tmp_path):
    with Session(tmp_path) as session:
        session.add([np.full((20, 30, 3), value, np.uint8) for value in (1, 2)])
        session.add(np.full((20, 30, 3), 1, np.uint8), dataset="again")
        session.embedding(session.images()[0])
        whole = session.status()
        assert (whole.images, whole.unique_images, whole.cached, whole.coverage_percent) == (3, 2, 2, 66.67)
        assert (whole.duplicate_groups, whole.duplicates, whole.cached_by_model) == (1, 1, {"tiny": 1})
        assert whole.image_bytes == sum(image.size_bytes for image in session.images("default"))
        encoder = SimpleNamespace(
            catalog=ReadOnly(session.catalog), cache=session.cache, has=session._encoder.has,
            model=session.model, device="auto",
        )  # fmt: skip
        assert Status.read(encoder, tmp_path) == replace(whole, read_only=True)


class ReadOnly:
    """A catalog that a newer samnb wrote: what asks it to write is refused."""

    read_only = True

    def __init__(self, catalog):
        self._catalog = catalog

    def __getattr__(self, name):
        assert name in ("images", "duplicates", "datasets", "_database")
        return getattr(self._catalog, name)


def test_a_card_escapes_what_it_shows():
    shown = card("<b>", {"<script>": "a & b"})
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "a &amp; b" in shown


def test_no_annotations_are_an_empty_table():
    pytest.importorskip("pandas")
    assert list(Annotations().to_dataframe().columns)[:3] == ["id", "dataset", "image"]
    assert "<table>" in Annotations()._repr_html_()


def test_the_card_says_which_device_and_which_precision_run():
    for device, precision, told in (
        ("cpu", "float32", "tiny on cpu"),
        ("cpu", "bfloat16", "tiny on cpu, bfloat16"),
        ("cuda:1", "float16", "tiny on cuda:1, float16"),
        ("cuda", "float32", "tiny on cuda, float32"),
    ):
        assert replace(STATUS, device=device, precision=precision)._rows["model"] == told
