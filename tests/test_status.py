import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from samnb.session import Session
from samnb.status import Status

STATUS = Status(
    "coins", "/coins", 50, 47, 3, 2, 9, 41, 82.0, "tiny", "cpu", 41, 20 * 2**20,
    unique_contents=48, duplicate_groups=2, cached_by_model={"tiny": 38, "vit_b": 3}, image_bytes=7 * 2**20,
)  # fmt: skip


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
    assert "wait for a review" not in str(STATUS)
    assert "9, 4 wait for a review" in str(replace(STATUS, unsure=4))


def test_a_long_label_is_not_glued_to_its_value():
    lines = str(replace(STATUS, unread=5)).splitlines()
    assert "  not read yet 5 from the earlier server: session.fill_hashes()" in lines
    assert "  images       50 in 2 datasets, 7.0 MiB" in lines
    assert "  images      50 in 2 datasets, 7.0 MiB" in str(STATUS).splitlines()


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
        assert name in ("images", "duplicates", "datasets", "count_annotations")
        return getattr(self._catalog, name)


def test_the_card_says_which_device_and_which_precision_run():
    for device, precision, told in (
        ("cpu", "float32", "tiny on cpu"),
        ("cpu", "bfloat16", "tiny on cpu, bfloat16"),
        ("cuda:1", "float16", "tiny on cuda:1, float16"),
        ("cuda", "float32", "tiny on cuda, float32"),
    ):
        assert replace(STATUS, device=device, precision=precision)._rows["model"] == told


def test_the_card_says_why_a_precision_was_chosen():
    assert "precision" not in STATUS._rows
    chosen = replace(STATUS, device="cpu", precision="bfloat16", precision_reason="2.1 times as fast here")
    assert "precision" in str(chosen)
    assert "bfloat16: 2.1 times as fast here" in chosen._repr_html_()
