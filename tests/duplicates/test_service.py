"""What a person said of look-alikes, and a dataset with one of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.duplicates.near import pair
from samnb.duplicates.service import bits_apart, one_of_each
from samnb.errors import NameTaken, SamePixels, UnknownName
from samnb.images.perceptual import PERCEPTUAL_VERSION
from samnb.records import ImageRecord
from samnb.session import Session

# -- which one stays ----------------------------------------------------------------------------------


def record(number: int, bits: int, **changes: object) -> ImageRecord:
    image = ImageRecord(
        id=str(number), dataset="monday", dataset_id="m", filename=f"{number}.png", path=f"/{number}.png",
        content_hash="", pixel_hash=str(number), perceptual_hash=f"{(1 << bits) - 1:064x}", width=40, height=30,
        size_bytes=1, mtime_ns=1, inode=number, embedding_cached=False, position=number,
        perceptual_version=PERCEPTUAL_VERSION, perceptual_detail=20.0,
    )  # fmt: skip
    return replace(image, **changes)  # type: ignore[arg-type]


def kept(images: list[ImageRecord], said: dict[tuple[int, int], bool] | None = None, **options: object) -> str:
    """Ids of those that stay, in a row."""
    pairs = {pair(images[one], images[other]): same for (one, other), same in (said or {}).items()}
    found = one_of_each(images, verdicts=pairs, **options)  # type: ignore[arg-type]
    assert len(found.kept) + len(found.left_out) == len(images)
    assert {gone.instead.id for gone in found.left_out} <= {image.id for image in images}
    return "".join(image.id for image in found.kept)


def test_of_the_same_pixels_the_first_stays() -> None:
    images = [record(0, 0), record(1, 100), record(2, 0, pixel_hash="0"), record(3, 100, pixel_hash="1")]
    assert kept(images) == "01"
    assert kept(images, keep={"2"}) == "12"


def test_of_those_that_look_alike_the_largest_stays() -> None:
    images = [record(0, 0), record(1, 5, width=400), record(2, 200), record(3, 8)]
    assert kept(images) == "12"
    assert kept(images, keep={"3"}) == "23"
    assert kept(images, threshold=4) == "012"
    assert kept(images, threshold=2) == "0123"
    assert kept(images, only_confirmed=True) == "0123"


def test_what_was_said_counts_at_any_distance() -> None:
    images = [record(0, 0), record(1, 100, width=400), record(2, 200), record(3, 5)]
    assert kept(images, {(0, 1): True, (1, 2): True}, only_confirmed=True) == "13"
    assert kept(images, {(0, 1): True}, only_confirmed=True, keep={"0"}) == "023"
    assert kept(images, {(0, 3): False}) == "0123"


def test_pictures_told_apart_never_stand_for_each_other() -> None:
    images = [record(0, 0), record(1, 100, width=400), record(2, 200), record(3, 101)]
    # 3 looks like 1, which stands for 0; but 3 and 0 were told apart.
    assert kept(images, {(0, 1): True, (0, 3): False}) == "123"
    assert kept(images, {(0, 1): True}) == "12"


def test_of_a_contradiction_no_more_than_one_side_is_left_out() -> None:
    images = [record(0, 0), record(1, 100, width=400), record(2, 200)]
    assert kept(images, {(0, 1): True, (1, 2): True, (0, 2): False}) == "12"


def test_why_is_told() -> None:
    images = [record(0, 0, width=90), record(1, 0, pixel_hash="0"), record(2, 7), record(3, 200)]
    found = one_of_each(images, verdicts={pair(images[0], images[3]): True})
    assert [(gone.image.id, gone.instead.id, gone.why) for gone in found.left_out] == [
        ("1", "0", "same pixels"),
        ("2", "0", "7 of 256 bits"),
        ("3", "0", "said to be the same"),
    ]
    assert "  monday/2.png left out for monday/0.png: 7 of 256 bits" in str(found).splitlines()


def test_who_is_left_out_is_left_out_for_one_that_stays() -> None:
    images = [record(0, 0, width=90), record(1, 9), record(2, 200), record(3, 200, pixel_hash="2")]
    found = one_of_each(images, verdicts={pair(images[1], images[2]): True})
    assert {gone.image.id: gone.instead.id for gone in found.left_out} == {"1": "0", "2": "0", "3": "0"}


def test_bits_apart_counts_all_256() -> None:
    assert [bits_apart(record(0, 0), record(1, bits)) for bits in (0, 1, 64, 256)] == [0, 1, 64, 256]


# -- a session ----------------------------------------------------------------------------------------


@pytest.fixture
def session(tmp_path: Path, both_databases: None) -> Iterator[Session]:
    """Two pictures, each also as a thumbnail and darker, and one of them re-saved."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8)
        whole = Image.fromarray(noise).resize((400, 300))
        whole.save(folder / f"{number}.png")
        whole.resize((160, 120)).save(folder / f"{number}-small.jpg")
        whole.point(lambda value: value * 0.8).crop((2, 2, 398, 298)).save(folder / f"{number}-dark.png")
    Image.open(folder / "0.png").save(folder / "0-copy.bmp")
    with Session(tmp_path / "session") as opened:
        opened.add(folder, dataset="monday")
        yield opened


def groups(session: Session) -> list[list[str]]:
    return [sorted(image.filename for image in group.images) for group in session.near_duplicates()]


def test_what_was_told_apart_is_not_suggested_again(session: Session, tmp_path: Path) -> None:
    small = next(image for image in session.images() if image.filename == "1-small.jpg")
    assert groups(session)[1] == ["1-dark.png", "1-small.jpg", "1.png"]
    session.say_different("1.png", small)
    assert groups(session)[1] == ["1-dark.png", "1.png"]
    session.say_different(small, "1-dark.png")
    assert len(groups(session)) == 2
    with Session(tmp_path / "session") as again:
        assert groups(again) == groups(session)
    assert session.unsay("1.png", small)
    assert not session.unsay("1.png", small)
    assert groups(session)[1] == ["1-dark.png", "1-small.jpg", "1.png"]


def test_what_was_said_to_be_the_same_is_marked(session: Session) -> None:
    session.say_different("0-small.jpg", "0-copy.bmp")
    session.say_same("0.png", "0-small.jpg")
    group = session.near_duplicates()[0]
    assert {other.image.filename: other.same for other in group.others} == {"0-small.jpg": True, "0-dark.png": False}
    assert "said to be the same" in session.near_duplicates()._repr_html_()
    assert ", same)" in str(session.near_duplicates())
    [verdict] = session.catalog.verdicts()
    assert (verdict.first_hash, verdict.second_hash) == pair(session.image("0.png"), session.image("0-small.jpg"))
    assert (bool(verdict.same), verdict.distance) == (True, next(o.distance for o in group.others if o.same))


def test_of_the_same_pixels_nothing_can_be_said(session: Session) -> None:
    with pytest.raises(SamePixels, match=r"0-copy\.bmp .* have the same pixels"):
        session.say_different("0-copy.bmp", "0.png")
    with pytest.raises(UnknownName):
        session.say_same("0.png", "7.png")
    assert session.catalog.verdicts() == []


def test_one_of_each_is_a_dataset_of_the_same_files(session: Session) -> None:
    before = session.images()
    made = session.keep_one_of_each("monday", into="clean")
    assert [image.filename for image in made.kept] == ["0-copy.bmp", "1.png"]
    assert len(made.left_out) == 5
    assert str(made).splitlines()[0] == "2 kept in 'clean' · 5 left out; no file was touched"
    assert "in their earlier datasets too" in str(made).splitlines()[1]
    assert session.images("monday") == before
    assert session.images("clean") == list(made.kept)
    assert {image.path for image in made.kept} <= {image.path for image in before}
    assert all(Path(image.path).exists() for image in before)
    with pytest.raises(NameTaken, match="'clean'"):
        session.keep_one_of_each("monday", into="clean")
    with pytest.raises(UnknownName):
        session.keep_one_of_each("tuesday", into="other")
    assert [dataset.name for dataset in session.datasets()] == ["monday", "clean"]


def test_only_what_was_confirmed_can_be_asked_for(session: Session) -> None:
    session.say_same("1-dark.png", "1.png")
    made = session.keep_one_of_each(into="sure", only_confirmed=True, keep=["1-dark.png"])
    assert [gone.image.filename for gone in made.left_out] == ["0.png", "1.png"]
    assert [gone.why for gone in made.left_out] == ["same pixels", "said to be the same"]


def test_a_file_in_two_datasets_counts_once(tmp_path: Path) -> None:
    for number in range(3):
        pixels = np.random.default_rng(min(number, 1)).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    with Session(tmp_path / "s") as session:
        session.add([tmp_path / f"{number}.png" for number in range(3)], dataset="monday", show=False)
        before = [[image.filename for image in group] for group in session.duplicates()]
        assert before == [["1.png", "2.png"]]
        report = session.keep_one_of_each("monday", into="clean")
        assert "they are in their earlier datasets too" in str(report)
        assert [[f"{i.dataset}/{i.filename}" for i in group] for group in session.duplicates()] == [
            ["monday/1.png", "monday/2.png"]
        ]
        assert [len(images) for images in session.duplicates().in_several] == [2, 2]
        told = "2 files in several datasets, each counted once: monday/0.png = clean/0.png, …"
        assert str(session.duplicates()).splitlines() == ["monday/1.png = monday/2.png", told]
        assert told in session.duplicates()._repr_html_()
        assert session.duplicates("clean") == []
        assert [len(group) for group in session.duplicates("monday")] == [2]
        assert not session.duplicates("monday").note
        last = session.prewarm(show=False).wait(300)
        assert (last.total, last["computed"], last["skipped"]) == (3, 2, 1)
        assert [event.filename for event in session.prewarm_stream()][:-1] == ["0.png", "1.png", "2.png"]
        assert all(image.embedding_cached for image in session.images())
        with pytest.raises(UnknownName):
            session.duplicates("none")
