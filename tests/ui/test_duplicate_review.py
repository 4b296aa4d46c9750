"""The review of look-alikes without a browser: what its methods and keys do, what it reads and says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.errors import UnknownName
from samnb.session import Session
from samnb.ui.common.image_pair import difference, side_by_side
from samnb.ui.review.duplicate_review import LookalikeReview


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Two pictures, each also as a thumbnail and darker: four pairs."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8)
        whole = Image.fromarray(noise).resize((400, 300))
        whole.save(folder / f"{number}.png")
        whole.resize((160, 120)).save(folder / f"{number}-small.jpg")
        whole.point(lambda value: value * 0.8).crop((2, 2, 398, 298)).save(folder / f"{number}-dark.png")
    with Session(tmp_path / "session") as opened:
        opened.add(folder, dataset="monday")
        yield opened


@pytest.fixture
def review(session: Session) -> LookalikeReview:
    return session.review_lookalikes()


def header(review: LookalikeReview) -> str:
    return str(review._header.value)


def verdicts(session: Session) -> list[bool]:
    return sorted(bool(verdict.same) for verdict in session.catalog.verdicts())


def test_it_starts_at_the_first_pair_with_the_distance_in_words(review: LookalikeReview) -> None:
    assert "1 of 4 · 0 same · 0 different" in header(review)
    assert review.shown is not None
    assert review.status == f"almost surely the same picture: {review.shown.distance} of 256 bits differ"
    assert review._view.value.count("<img ") == 2
    assert f'alt="monday/{review.shown.second.filename}"' in review._view.value


def test_answers_are_in_the_catalog_at_once_and_lead_on(session: Session, review: LookalikeReview) -> None:
    review.key("s")
    assert verdicts(session) == [True]
    assert "2 of 4 · 1 same" in header(review)
    review.key("D")
    assert verdicts(session) == [False, True]
    assert "3 of 4 · 1 same · 1 different" in header(review)


def test_arrows_move_and_show_what_was_said(review: LookalikeReview) -> None:
    review.key("ArrowLeft")
    assert "1 of 4" in header(review)
    review.same()
    review.key("ArrowLeft")
    assert "said to be the same" in header(review)
    assert "samnb-chosen" in review._same._dom_classes
    for _ in range(9):
        review.key("ArrowRight")
    assert review.shown is None
    assert "3 without an answer" in review._view.value
    review.previous()
    assert "4 of 4" in header(review)


def test_undo_takes_answers_back_one_by_one(session: Session, review: LookalikeReview) -> None:
    review.same()
    review.previous()
    review.different()
    assert verdicts(session) == [False]
    review.key("u")
    assert verdicts(session) == [True]
    assert "1 of 4" in header(review)
    review.undo()
    assert verdicts(session) == []
    review.undo()
    assert review.status == "nothing to undo"
    assert review.error == ""


def test_an_answer_leads_to_what_is_open_also_before_it(review: LookalikeReview) -> None:
    for _ in range(3):
        review.next()
    review.same()
    assert "1 of 4" in header(review)


def test_when_nothing_is_left_it_offers_one_of_each(session: Session, review: LookalikeReview) -> None:
    for _ in review.pairs:
        review.same()
    assert review.shown is None
    assert "Nothing is left. 4 said to be the same, 0 different" in review._view.value
    assert review._same.disabled
    assert "samnb-primary" in review._keep._dom_classes
    review.same()
    assert review.status == "nothing is left to answer"
    review.keep_one_of_each()
    assert review.kept is not None
    assert review.status == "2 images in the new dataset 'session, one of each', 4 left out"
    assert len(session.images("session, one of each")) == 2
    review.keep_one_of_each()
    assert session.datasets()[-1].name == "session, one of each 2"


def test_a_picture_told_apart_comes_again_beside_another(review: LookalikeReview) -> None:
    for _ in range(4):
        review.different()
    assert review.shown is not None
    assert {review.shown.first.filename, review.shown.second.filename} == {"0-dark.png", "0-small.jpg"}
    assert len(review.pairs) == 6


def test_the_one_chosen_stays(session: Session, review: LookalikeReview) -> None:
    assert review.shown is not None
    small = review.shown.second
    assert review.stays == review.shown.first.id
    review.key("k")
    assert review.stays == small.id
    assert review._view.value.index("★ stays") > review._view.value.index(small.filename)
    review.same()
    review.keep_one_of_each()
    assert review.kept is not None
    assert small.id not in {gone.image.id for gone in review.kept.left_out}
    assert [gone.instead.id for gone in review.kept.left_out] == [small.id]


def test_the_difference_is_a_third_picture(review: LookalikeReview) -> None:
    review.key("x")
    assert review._view.value.count("<img ") == 3
    review.next()
    assert review._view.value.count("<img ") == 3
    review.key("x")
    assert review._view.value.count("<img ") == 2


def test_only_the_pair_in_view_is_read(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    pixels = session.pixels
    monkeypatch.setattr(session, "pixels", lambda image: read.append(image.filename) or pixels(image))
    review = LookalikeReview(session)
    assert review.shown is not None
    assert read == [review.shown.first.filename, review.shown.second.filename]
    review.next()
    assert len(read) == 4


def test_a_file_that_is_gone_says_so_and_can_be_answered(session: Session) -> None:
    gone = session.near_duplicates()[0].others[0].image
    Path(gone.path).unlink()
    review = LookalikeReview(session)
    assert review._view.value.count("<img ") == 1
    assert f"⚠ {gone.path}" in review._view.value
    assert review.snapshot().shape[0] == 240
    review.toggle_difference()
    assert "One of them cannot be read." in review._view.value
    review.same()
    assert verdicts(session) == [True]
    assert review.error == ""


def test_what_fails_is_told_in_the_widget(
    session: Session, review: LookalikeReview, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(session, "say_same", full)
    review.key("s")
    assert review.error == "This answer was not kept: OSError: the disk is full"
    assert "1 of 4 · 0 same" in header(review)
    review.different()
    assert review.error == ""


def test_it_remembers(session: Session, review: LookalikeReview) -> None:
    review.same()
    review.different()
    again = session.review_lookalikes()
    assert again.pairs
    said = {each.key for each in review.pairs[:2]}
    assert said.isdisjoint(each.key for each in again.pairs)


def test_keys_that_mean_nothing_are_left_alone(session: Session, review: LookalikeReview) -> None:
    listener = review._key_listener
    for message in ({"key": "q"}, {}, {"key": ""}):
        listener._on_message(None, message, [])
    assert verdicts(session) == []
    listener._on_message(None, {"key": "s"}, [])
    assert verdicts(session) == [True]


def test_nothing_to_review(session: Session) -> None:
    session.add(np.zeros((9, 9, 3), np.uint8), dataset="tuesday", show=False)
    review = session.review_lookalikes(dataset="tuesday")
    assert "Nothing to review" in review._view.value
    for key in ("s", "u", "k", "x", "ArrowRight", "ArrowLeft"):
        review.key(key)
    assert review.error == ""
    with pytest.raises(UnknownName):
        session.review_lookalikes(dataset="wednesday")
    with pytest.raises(ValueError, match="0 to 255"):
        session.review_lookalikes(threshold=256)


def test_it_shows_as_a_still_picture_without_a_kernel(review: LookalikeReview) -> None:
    bundle = review._repr_mimebundle_()
    assert bundle["text/plain"] == "<LookalikeReview session: 4 pairs, 0 same, 0 different>"
    assert bundle["image/png"].startswith("iVBOR")
    review.close()


# -- pictures -----------------------------------------------------------------------------------------


def test_a_difference_is_orange_where_it_is() -> None:
    rng = np.random.default_rng(0)
    first = np.repeat(rng.integers(60, 190, (300, 400, 1), np.uint8), 3, axis=2)
    second = first.copy()
    second[100:150, 200:260] = 255 - second[100:150, 200:260] // 2
    shown = difference(first, second).astype(int)
    orange = shown[..., 0] - shown[..., 2]
    assert orange[105:145, 205:255].mean() > 60
    assert orange[:80].mean() < 15
    assert (difference(first, first)[..., 0] == difference(first, first)[..., 2]).all()


def test_a_difference_of_sizes_and_brightness_is_none() -> None:
    first = np.asarray(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize((800, 600))
    )
    small = np.asarray(Image.fromarray(first).resize((200, 150), Image.Resampling.BOX))
    shown = difference(first, (small * 0.7).astype(np.uint8)).astype(int)
    assert shown.shape == (150, 200, 3)
    assert (shown[..., 0] - shown[..., 2]).mean() < 12


def test_pictures_in_a_row() -> None:
    row = side_by_side([np.zeros((60, 80, 3), np.uint8), ValueError("gone")])
    assert row.shape == (240, 320 + 12 + 240, 3)
    assert row[0, 0].tolist() == [0, 0, 0]
    assert row[0, -1].tolist() == [200, 200, 200]
