"""Near duplicates: what is found, what is never suggested, what is never chained, and how it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from samnb.catalog import Catalog
from samnb.demo import demo_pictures
from samnb.duplicates import near as near_duplicates
from samnb.duplicates.gallery import GROUPS, PICTURES, DuplicateGroups, NearDuplicateGroups
from samnb.duplicates.hamming import as_words, within
from samnb.duplicates.near import THRESHOLD, near_groups, pair
from samnb.images.perceptual import MIN_DETAIL, PERCEPTUAL_VERSION, compute_perceptual_hash
from samnb.records import ImageRecord
from tests.support.adding import add_pictures


def add(catalog: Catalog, folder: Path, dataset: str = "monday") -> None:
    add_pictures(catalog, folder, folder, dataset=dataset, is_cached=lambda _: False)


def record(number: int, perceptual_hash: str, **changes: object) -> ImageRecord:
    image = ImageRecord(
        id=str(number), dataset="monday", dataset_id="m", filename=f"{number}.png", path=f"/{number}.png",
        content_hash="", pixel_hash=str(number), perceptual_hash=perceptual_hash, width=40, height=30, size_bytes=1,
        mtime_ns=1, inode=number, embedding_cached=False, position=number,
        perceptual_version=PERCEPTUAL_VERSION, perceptual_detail=20.0,
    )  # fmt: skip
    return replace(image, **changes)  # type: ignore[arg-type]


def with_bits(*bits: int) -> str:
    return f"{sum(1 << bit for bit in bits):064x}"


def names(groups: object) -> list[list[str]]:
    return [[image.filename for image in group.images] for group in groups]  # type: ignore[attr-defined]


# -- grouping -----------------------------------------------------------------------------------------


def test_a_row_of_neighbours_is_not_chained() -> None:
    images = [record(n, with_bits(*range(4 * n))) for n in range(60)]  # each 4 bits from the next
    for group in near_groups(images, 51).groups:
        assert all(other.distance <= 51 for other in group.others)
    assert len(near_groups(images, 51).groups) == 5
    seen = [image.id for group in near_groups(images, 51).groups for image in group.images]
    assert len(seen) == len(set(seen)) == 60


def test_the_largest_represents_and_the_nearest_comes_first() -> None:
    images = [
        record(0, with_bits(*range(10)), width=10),
        record(1, with_bits(), width=4000),
        record(2, with_bits(0), width=20),
        record(3, with_bits(*range(100, 200))),
    ]
    [group] = near_groups(images).groups
    assert names([group]) == [["1.png", "2.png", "0.png"]]
    richer = replace(images[0], width=4000, size_bytes=2)
    assert names(near_groups([richer, *images[1:3]]).groups)[0][0] == "0.png"
    assert [other.distance for other in group.others] == [1, 10]


def test_what_is_left_out_is_counted() -> None:
    images = [
        record(0, with_bits()),
        record(1, with_bits(1), pixel_hash="0"),  # the same pixels: a duplicate, not a near one
        record(2, with_bits(2), perceptual_detail=MIN_DETAIL / 2),
        record(3, with_bits(3), perceptual_version=0),
        record(4, with_bits(4)),
    ]
    search = near_groups(images)
    assert names(search.groups) == [["0.png", "4.png"]]
    assert (search.compared, search.flat, search.unhashed) == (2, 1, 1)
    assert near_groups([]).groups == ()


def test_many_alike_are_one_group() -> None:
    search = near_groups([record(n, with_bits(n % 7)) for n in range(500)])
    assert [len(group.others) for group in search.groups] == [499]


def test_very_many_are_grouped_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (1500, 32), np.uint8)
    rows[500:] = rows[rng.integers(0, 400, 1000)] ^ np.packbits(rng.random((1000, 256)) < 0.1, axis=1)
    images = [record(n, row.tobytes().hex(), width=40 + n % 7) for n, row in enumerate(rows)]
    apart = {pair(images[0], group.representative): False for group in near_groups(images).groups[:9]}
    all_compared = near_groups(images, verdicts=apart)
    assert all_compared.exact
    assert len(all_compared.groups) > 300
    monkeypatch.setattr(near_duplicates, "EXACT", 1000)
    assert near_groups(images, verdicts=apart) == replace(all_compared, exact=False)
    assert near_groups(images, THRESHOLD + 1).exact


def test_what_was_told_apart_is_not_put_together_and_the_same_is_marked() -> None:
    large = record(0, with_bits(), width=400)
    images = [large, record(1, with_bits(1)), record(2, with_bits(2)), record(3, with_bits(3))]
    said = {pair(large, images[1]): False, pair(images[2], large): True}
    [group] = near_groups(images, verdicts=said).groups
    assert names([group]) == [["0.png", "2.png", "3.png"]]
    assert [other.same for other in group.others] == [True, False]
    said[pair(large, images[3])] = False
    assert names(near_groups(images, verdicts=said).groups) == [["0.png", "2.png"], ["1.png", "3.png"]]


def test_one_of_the_smaller_ones_can_represent() -> None:
    images = [record(0, with_bits(), width=400), record(1, with_bits(1)), record(2, with_bits(2))]
    assert names(near_groups(images, first={"2"}).groups) == [["2.png", "0.png", "1.png"]]


@pytest.mark.parametrize("threshold", [-1, 256])
def test_a_threshold_out_of_range_is_refused(threshold: int) -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        near_groups([], threshold)


# -- real pictures ------------------------------------------------------------------------------------


def test_unrelated_pictures_are_never_suggested(catalog: Catalog, tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage.data")
    folder = demo_pictures(tmp_path / "pictures") / "photos"
    for name in ("brick", "grass", "gravel", "moon", "page", "text", "clock", "horse", "cell"):
        pixels = np.asarray(getattr(skimage, name)())
        Image.fromarray(pixels if pixels.dtype != bool else pixels.astype(np.uint8) * 255).save(folder / f"{name}.png")
    add(catalog, folder)
    search = near_groups(catalog.images())
    assert (names(search.groups), search.flat, search.unhashed) == ([], 0, 0)
    assert search.compared == 16
    assert names(near_groups(catalog.images(), 85).groups) == []


CHANGES = {
    "jpeg": lambda picture: picture,
    "half": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "thumbnail": lambda picture: picture.resize((160, 160 * picture.height // picture.width)),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.8),
    "crop": lambda picture: picture.crop((6, 4, picture.width - 6, picture.height - 4)),
}


def test_changed_copies_are_found(catalog: Catalog, tmp_path: Path) -> None:
    photos = demo_pictures(tmp_path / "pictures") / "photos"
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    sources = ("chelsea.png", "coffee.png", "china.jpg", "flower.jpg")
    for name in sources:
        picture = Image.open(photos / name).convert("RGB")
        picture.save(mixed / f"{Path(name).stem}.png")
        for change, make in CHANGES.items():
            make(picture).save(mixed / f"{Path(name).stem}_{change}.jpg", quality=60)
        picture.transpose(Image.Transpose.ROTATE_90).save(mixed / f"{Path(name).stem}_turned.png")
    add(catalog, mixed)
    groups = near_groups(catalog.images()).groups
    found = {frozenset(name.split(".")[0] for name in group) for group in names(groups)}
    assert found == {frozenset({stem, *(f"{stem}_{c}" for c in CHANGES)}) for stem in (Path(s).stem for s in sources)}
    assert all(other.distance <= THRESHOLD for group in groups for other in group.others)


def test_frames_of_a_slow_pan_are_not_one_group(catalog: Catalog, tmp_path: Path) -> None:
    photos = demo_pictures(tmp_path / "pictures") / "photos"
    whole = Image.open(photos / "china.jpg")
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(60):
        whole.crop((5 * number, 60, 5 * number + 320, 380)).save(frames / f"{number:02}.png")
    add(catalog, frames)
    images = catalog.images()
    groups = near_groups(images).groups
    assert groups
    hashes = as_words([image.perceptual_hash for image in images])
    assert within(hashes[:1], hashes[-1:], 90)[0].size == 0  # the ends have nothing to do with each other
    for group in groups:
        numbers = [image.position for image in group.images]
        assert max(numbers) - min(numbers) < 20
        assert all(other.distance <= THRESHOLD for other in group.others)


def test_pictures_with_nothing_in_them_say_so() -> None:
    grey = np.full((300, 400, 3), 128, np.uint8)
    noise = np.random.default_rng(0).normal(0, 8, grey.shape)
    ramp = np.broadcast_to(np.linspace(0, 255, 400)[None, :, None], grey.shape)
    halves = grey.copy()
    halves[:, 200:] = 20
    for flat in (
        grey,
        grey + noise,
        ramp,
        halves,
        np.broadcast_to(np.linspace(120, 200, 300)[:, None, None], grey.shape),
    ):
        assert compute_perceptual_hash(flat.clip(0, 255).astype(np.uint8)).detail < MIN_DETAIL
    assert compute_perceptual_hash(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).detail > MIN_DETAIL


# -- showing ------------------------------------------------------------------------------------------


def test_groups_show_as_text_and_pictures(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "a <b> folder"
    folder.mkdir()
    pixels = np.asarray(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize((400, 300))
    )
    Image.fromarray(pixels).save(folder / "a<b>.png")
    Image.fromarray(pixels).save(folder / "a copy.bmp")
    Image.fromarray(pixels).save(folder / "small.jpg", quality=50)
    add(catalog, folder)
    search = near_groups(catalog.images())
    near = NearDuplicateGroups(search, THRESHOLD)
    [distance] = [other.distance for other in search.groups[0].others]
    assert str(near).splitlines() == [
        "1 group of pictures that look alike, 2 compared",
        f"  monday/a copy.bmp ≈ monday/small.jpg ({distance})",
    ]
    shown = near._repr_html_()
    assert shown.count("<img ") == 2
    assert "data:image/jpeg;base64," in shown
    assert f"{distance} of 256 bits" in shown
    same = DuplicateGroups(catalog.duplicates())
    assert str(same) == "monday/a copy.bmp = monday/a<b>.png"
    assert same._repr_html_().count("<img ") == 2
    assert "a<b>" not in same._repr_html_()
    assert "a&lt;b&gt;" in same._repr_html_()
    (folder / "small.jpg").unlink()
    assert near._repr_html_().count("<img ") == 1
    assert "cannot be read" in near._repr_html_()


def test_nothing_shows_as_nothing() -> None:
    assert str(DuplicateGroups()) == "No duplicates."
    assert "No duplicates." in DuplicateGroups()._repr_html_()
    assert str(NearDuplicateGroups(near_groups([]), 51)) == "0 groups of pictures that look alike, 0 compared"


def test_a_gallery_is_cut_and_says_so() -> None:
    group = tuple(record(n, "") for n in range(PICTURES + 3))
    shown = DuplicateGroups([group] * (GROUPS + 2))._repr_html_()
    assert shown.count("… and 3 more") == GROUPS
    assert "… and 2 more groups" in shown


def test_what_was_left_out_is_said() -> None:
    search = near_groups([record(0, with_bits(), perceptual_version=0), record(1, with_bits(), perceptual_detail=0.0)])
    assert "1 too flat to compare · 1 not compared: session.fill_hashes()" in str(NearDuplicateGroups(search, 51))
