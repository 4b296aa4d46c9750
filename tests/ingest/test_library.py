"""Datasets as a user expects them: renamed, deleted, added again; images removed; files that were moved."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from alembic import command
from PIL import Image
from sqlalchemy import create_engine

import samnb.session
from samnb.catalog import migrations
from samnb.errors import ImageChanged, ImageNotFound, NameTaken, PromptError, UnknownName, WorkWouldBeLost
from samnb.images import encode_png
from samnb.session import Session
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 30 + seed, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def session(tmp_path: Path, photos: Path, both_databases: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    model = NumpyModel()
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: model)
    with Session(tmp_path / "session") as session:
        session.add(photos, dataset="monday")
        yield session


def annotate(session: Session, image: str) -> None:
    prediction = session.predict(image, points=[(5, 5)])
    session.accept(prediction, category="thing", index=int(prediction.masks.sum(axis=(1, 2)).argmax()))


def names(session: Session) -> list[str]:
    return [dataset.name for dataset in session.datasets()]


# -- names --------------------------------------------------------------------------------------------


def test_a_dataset_is_renamed_with_all_it_holds(session: Session) -> None:
    annotate(session, "0.png")
    before = session.images("monday")
    renamed = session.rename_dataset("monday", "Montag 50%")
    assert (renamed.name, renamed.images) == ("Montag 50%", 3)
    assert [i.id for i in session.images("Montag 50%")] == [i.id for i in before]
    assert len(session.annotations(dataset="Montag 50%")) == 1
    with pytest.raises(UnknownName, match="Montag"):
        session.images("monday")
    assert session.rename_dataset("Montag 50%", "Montag 50%") == renamed


def test_a_name_that_is_taken_is_refused(session: Session, photos: Path) -> None:
    session.add(photos / "0.png", dataset="tuesday")
    with pytest.raises(NameTaken, match="'tuesday' already"):
        session.rename_dataset("monday", "tuesday")
    with pytest.raises(UnknownName, match="Did you mean 'monday'"):
        session.rename_dataset("munday", "x")
    assert names(session) == ["monday", "tuesday"]


@pytest.mark.parametrize("name", ["", " \t"])
def test_an_empty_name_is_refused(session: Session, photos: Path, name: str) -> None:
    for refused in (
        lambda: session.add(photos / "0.png", dataset=name),
        lambda: session.add(photos / "0.png", dataset=name, hash="later"),
        lambda: session.catalog.add_dataset(name),
        lambda: session.rename_dataset("monday", name),
        lambda: session.keep_one_of_each("monday", into=name),
    ):
        with pytest.raises(PromptError, match="dataset: expected a name such as 'monday'"):
            refused()
    assert names(session) == ["monday"]


# -- deleting -----------------------------------------------------------------------------------------


def test_delete_and_add_again_encodes_nothing(session: Session, photos: Path) -> None:
    session.prewarm(show=False).wait(300)
    gone = session.delete_dataset("monday")
    assert (gone.images, gone.annotations) == (3, 0)
    assert str(gone).startswith("3 images left 'monday'; files and embeddings stay")
    assert (session.images(), names(session)) == ([], [])
    report = session.add(photos, dataset="monday")
    assert (report.added, report.duplicates_found) == (3, 3)
    assert report.duplicates_message == "3 image(s) already cached, prewarm will be faster"
    last = session.prewarm(show=False).wait(300)
    assert (last["computed"], last["skipped"]) == (0, 3)
    assert session.model.encodes == 3  # type: ignore[attr-defined]


def test_the_same_pictures_elsewhere_stay(session: Session, photos: Path) -> None:
    session.add(photos, dataset="tuesday")
    annotate(session, "tuesday/1.png")
    session.delete_dataset("monday")
    assert len(session.images("tuesday")) == 3
    assert len(session.annotations()) == 1


def test_work_by_hand_is_not_deleted_by_the_way(session: Session) -> None:
    annotate(session, "0.png")
    annotate(session, "0.png")
    with pytest.raises(WorkWouldBeLost, match=r"^dataset 'monday': 2 annotations .*export.*discard_annotations=True"):
        session.delete_dataset("monday")
    with pytest.raises(WorkWouldBeLost, match=r"^image 'monday/0.png': 2 annotations .*discard_annotations=True"):
        session.remove_image("0.png")
    assert (len(session.images()), len(session.annotations())) == (3, 2)
    assert session.remove_image("1.png").images == 1
    gone = session.delete_dataset("monday", discard_annotations=True)
    assert (gone.images, gone.annotations) == (2, 2)
    assert "2 annotations with them" in str(gone)
    assert session.annotations() == []


def test_what_a_template_left_is_no_obstacle(session: Session) -> None:
    annotate(session, "0.png")
    limits = {"min_score": 0.0, "min_similarity": 0.0, "max_area_ratio": 1e6}
    session.apply(session.template("things", strategy="fixed", **limits), show=False).wait(300)
    assert session.annotations(image="1.png")
    gone = session.remove_image("1.png")
    assert (gone.dataset, gone.images) == ("monday", 1)
    assert gone.annotations > 0
    assert [i.filename for i in session.images()] == ["0.png", "2.png"]


def test_a_place_that_was_left_is_not_given_twice(session: Session, photos: Path) -> None:
    session.remove_image("1.png")
    session.add(photos, dataset="monday")
    assert [(i.filename, i.position) for i in session.images()] == [("0.png", 0), ("2.png", 2), ("1.png", 3)]


def test_what_is_not_there_cannot_be_removed(session: Session) -> None:
    image = session.image("0.png")
    session.remove_image(image)
    with pytest.raises(UnknownName):
        session.remove_image(image)
    with pytest.raises(UnknownName):
        session.delete_dataset("nothing")


# -- files that were moved ----------------------------------------------------------------------------


def test_moved_files_are_found_by_their_bytes(session: Session, photos: Path, tmp_path: Path) -> None:
    annotate(session, "0.png")
    session.prewarm(show=False).wait(300)
    before = session.images()
    deep = tmp_path / "archive" / "2026"
    deep.mkdir(parents=True)
    (photos / "0.png").rename(deep / "0.png")
    (photos / "1.png").rename(deep / "renamed.png")
    (deep / "other.png").write_bytes((photos / "2.png").read_bytes())  # 2.png is where it was
    report = session.relocate(tmp_path / "archive")
    assert str(report).startswith("2 of 2 missing files found in")
    after = session.images()
    assert [i.id for i in after] == [i.id for i in before]
    assert [i.path for i in after] == [str(deep / "0.png"), str(deep / "renamed.png"), str(photos / "2.png")]
    assert [i.filename for i in after] == ["0.png", "renamed.png", "2.png"]
    assert session.annotations()[0].image == "0.png"
    assert session.pixels("renamed.png").shape == (20, 31, 3)
    assert session.prewarm(show=False).wait(300)["skipped"] == 3
    assert str(session.relocate(tmp_path / "archive")) == "No file is missing."


def test_what_is_not_found_is_told(session: Session, photos: Path, tmp_path: Path) -> None:
    shutil.move(photos, tmp_path / "moved")
    (tmp_path / "moved" / "1.png").write_bytes(b"\x89PNG another picture of another size")
    report = session.relocate(tmp_path / "moved")
    assert [i.filename for i in report.missing] == ["1.png"]
    assert f"monday/1.png: was {photos / '1.png'}" in str(report)
    assert repr(report) == str(report)
    with pytest.raises(ImageNotFound):
        session.relocate(tmp_path / "nowhere")


def test_one_file_may_stand_for_an_image_of_each_dataset(session: Session, photos: Path, tmp_path: Path) -> None:
    session.add(photos / "0.png", dataset="tuesday")
    copies = [tmp_path / "photos" / name for name in ("copy.png", "copy2.png")]
    for copy in copies:
        shutil.copy(photos / "0.png", copy)
    session.add(copies[0], dataset="monday")
    shutil.move(photos, tmp_path / "moved")
    assert len(session.relocate(tmp_path / "moved").found) == 5
    at = {f"{i.dataset}/{Path(i.path).name}" for i in session.images()}
    assert at == {"monday/0.png", "monday/1.png", "monday/2.png", "monday/copy.png", "tuesday/0.png"}


def test_files_that_were_added_again_become_one_image(session: Session, photos: Path, tmp_path: Path) -> None:
    annotate(session, "0.png")
    before = {i.filename: i.id for i in session.images()}
    shutil.move(photos, tmp_path / "moved")
    again = session.add(tmp_path / "moved", dataset="monday")
    assert "the files of 3 images with the same pixels are gone" in str(again)
    assert f"session.relocate({str(tmp_path / 'moved')!r})" in str(again)
    report = session.relocate(tmp_path / "moved")
    assert (len(report.found), report.missing, report.added_again) == (3, (), 0)
    assert {i.filename: i.id for i in session.images()} == before
    assert [a.image for a in session.annotations()] == ["0.png"]
    assert "are gone" not in str(session.add(tmp_path / "moved", dataset="monday"))


@pytest.mark.parametrize("work", ["annotation", "state"])
def test_a_file_that_was_added_again_keeps_its_work(session: Session, photos: Path, tmp_path: Path, work: str) -> None:
    shutil.move(photos, tmp_path / "moved")
    [again] = session.add(tmp_path / "moved" / "0.png", dataset="monday").images
    if work == "annotation":
        session.accept(session.predict(again, points=[(10, 10)]), category="coin")
    else:
        session.mark_image(again, "empty")
    report = session.relocate(tmp_path / "moved")
    assert [i.filename for i in report.missing] == ["0.png"]
    assert "1 file found, but added again meanwhile, and annotated" in str(report)
    assert report.added_again == 1
    assert len(session.images()) == 4
    session.remove_image(again, discard_annotations=True)
    assert session.relocate(tmp_path / "moved").missing == ()


# -- what looks alike ---------------------------------------------------------------------------------


def test_near_duplicates_of_a_session(session: Session, photos: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    Image.open(photos / "0.png").resize((60, 40)).save(more / "larger.png")
    session.add(more, dataset="tuesday")
    [group] = session.near_duplicates()
    assert [f"{i.dataset}/{i.filename}" for i in group.images] == ["tuesday/larger.png", "monday/0.png"]
    assert session.near_duplicates(dataset="monday") == []
    assert session.near_duplicates().compared == 4


def test_hashes_of_an_older_version_are_made_again(session: Session, photos: Path) -> None:
    old = {image.id: dataclasses.replace(image.as_new(), perceptual_version=0) for image in session.images()}
    session.catalog.renew_images(old)
    assert session.near_duplicates().unhashed == 3
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(photos / "1.png")
    last = session.fill_hashes(show=False).wait(300)
    assert (last["computed"], last["failed"]) == (2, 1)  # another picture by now: for `add` to tell
    assert session.near_duplicates().unhashed == 1


# -- a session folder elsewhere ------------------------------------------------------------------------


def _with_stored_pictures(folder: Path) -> list[str]:
    """A session with an array, bytes and a member of a zip file, each with an annotation; their pixel hashes."""
    pixels = [np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8) for seed in range(3)]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("deep/münze 1.png", encode_png(pixels[2]))
    with Session(folder) as session:
        for source in (pixels[0], ("b.png", encode_png(pixels[1])), ("in.zip", archive.getvalue())):
            session.add(source, show=False)
        for image in session.images():
            session.accept_mask(image, np.ones((30, 40), bool), category="coin")
        return [image.pixel_hash for image in session.images()]


@pytest.mark.parametrize("how", ["renamed", "copied", "copied and the first deleted", "seen by another path"])
def test_a_session_folder_elsewhere_has_its_stored_pictures(tmp_path: Path, how: str) -> None:
    before, after = tmp_path / "before", tmp_path / "new" / "after"
    hashes = _with_stored_pictures(before)
    after.parent.mkdir()
    if how == "renamed":
        before.rename(after)
    elif how == "seen by another path":
        after.symlink_to(before, target_is_directory=True)
    else:
        shutil.copytree(before, after)
    if how == "copied and the first deleted":
        shutil.rmtree(before)
    with Session(after) as session:
        assert [image.pixel_hash for image in session.images()] == hashes
        assert all(Path(image.path).is_relative_to(after) for image in session.images())
        assert [session.pixels(image).shape for image in session.images()] == [(30, 40, 3)] * 3
        assert len(session.annotations()) == 3
        assert session.add(session.pixels(session.images()[0]), show=False).added == 0
    if how == "copied":  # and the first one is as it was
        with Session(before) as session:
            assert all(Path(image.path).is_relative_to(before) for image in session.images())


def test_pictures_of_the_user_are_not_taken_for_stored_ones(tmp_path: Path) -> None:
    content = encode_png(np.zeros((9, 9, 3), np.uint8))
    theirs = tmp_path / "images" / "0123456789abcdef" / "a.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(content)
    ours = tmp_path / "s" / "images" / theirs.relative_to(tmp_path / "images")
    ours.parent.mkdir(parents=True)
    ours.write_bytes(encode_png(np.ones((9, 9, 3), np.uint8)))
    with Session(tmp_path / "s") as session:
        session.add(theirs, show=False)
    with Session(tmp_path / "s") as session:
        assert session.images()[0].path == str(theirs)


def _downgrade(path: Path) -> None:
    """The tables as they were before there were relative paths."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings = migrations.config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0004")
    engine.dispose()


def test_a_session_of_before_with_absolute_paths_follows_its_folder(tmp_path: Path) -> None:
    hashes = _with_stored_pictures(tmp_path / "before")
    _downgrade(tmp_path / "before" / "catalog.db")
    with closing(sqlite3.connect(tmp_path / "before" / "catalog.db")) as database:
        assert database.execute("SELECT count(*) FROM images WHERE path LIKE '/%'").fetchone() == (3,)
    for before, after in (("before", "after"), ("after", "last")):
        (tmp_path / before).rename(tmp_path / after)
        with Session(tmp_path / after) as session:
            assert [image.pixel_hash for image in session.images()] == hashes
            assert [session.pixels(image).shape for image in session.images()] == [(30, 40, 3)] * 3
            assert session.image(session.images()[0].path) == session.images()[0]


def test_a_catalog_elsewhere_keeps_absolute_paths_and_follows_the_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    with Session(tmp_path / "before", database_url=url) as session:
        session.add(np.zeros((9, 9, 3), np.uint8), show=False)
    (tmp_path / "before").rename(tmp_path / "after")
    with Session(tmp_path / "other", database_url=url) as session:
        assert session.images()[0].path.startswith(str(tmp_path / "before"))
    with Session(tmp_path / "after", database_url=url) as session:
        assert session.pixels(session.images()[0]).shape == (9, 9, 3)


def test_the_users_own_pictures_in_images_are_added_once(tmp_path: Path) -> None:
    folder = tmp_path / "project" / "images"
    folder.mkdir(parents=True)
    names = ("a.png", "0123456789abcdef.png", "0123456789abcdef/b.png", "deep/0123456789abcdef/c.png")
    for value, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_png(np.full((9, 9, 3), value, np.uint8)))

    def stored(*statements: str) -> list[str]:
        with closing(sqlite3.connect(folder.parent / "catalog.db")) as database, database:
            for statement in statements:
                database.execute(statement)
            return sorted(path for (path,) in database.execute("SELECT path FROM images"))

    def add_again() -> None:
        with Session(folder.parent) as session:
            assert session.add(folder, dataset="monday", show=False).added == 0
            assert sorted(image.path for image in session.images()) == sorted(str(folder / name) for name in names)

    with Session(folder.parent) as session:
        session.add(folder, dataset="monday", show=False)
        for image in session.images():
            session.accept_mask(image, np.ones((9, 9), bool), category="coin")
    kept = stored()
    assert {str(folder / "a.png"), "session:images/0123456789abcdef.png"} <= set(kept)
    # As samnb stored all of them before there were relative paths; and as it stored all for a while.
    absolute = f"UPDATE images SET path = replace(path, 'session:', '{folder.parent}/')"
    for as_then in (absolute, f"UPDATE images SET path = replace(path, '{folder.parent}/', 'session:')"):
        _downgrade(folder.parent / "catalog.db")
        stored(absolute, as_then)
        add_again()
        assert stored() == kept
    # Then, adding the folder again gave each image a second one.
    columns = "position, filename, content_hash, pixel_hash, perceptual_hash, width, height, size_bytes, mtime_ns"
    columns += ", inode"
    doubled = f"INSERT INTO images (id, dataset_id, path, {columns}) SELECT 'second' || position, dataset_id, "
    doubled += f"replace(path, '{folder.parent}/', 'session:'), {columns} FROM images"
    _downgrade(folder.parent / "catalog.db")
    assert len(stored(absolute, doubled)) == 2 * len(names)
    add_again()
    assert stored() == kept
    with Session(folder.parent) as session:
        assert [len(session.annotations(image=image)) for image in session.images()] == [1] * len(names)


def test_an_earlier_samnb_does_not_take_a_relative_path_for_a_files(tmp_path: Path) -> None:
    _with_stored_pictures(tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s" / "catalog.db")) as database:
        assert database.execute("SELECT version_num >= '0005' FROM alembic_version").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM images WHERE path LIKE 'session:%'").fetchone() == (3,)


def test_a_folder_with_two_dots_is_the_folder_itself(tmp_path: Path) -> None:
    with Session(tmp_path / "other" / ".." / "s") as session:
        session.add(np.zeros((9, 9, 3), np.uint8), show=False)
        assert session.folder == tmp_path / "s"
    with closing(sqlite3.connect(tmp_path / "s" / "catalog.db")) as database:
        assert database.execute("SELECT count(*) FROM images WHERE path LIKE 'session:%'").fetchone() == (1,)
    (tmp_path / "s").rename(tmp_path / "moved")
    with Session(tmp_path / "moved") as session:
        assert session.pixels(session.images()[0]).shape == (9, 9, 3)


@pytest.mark.parametrize("catalog", ["a/catalog.db", "shared.db"])
def test_sessions_that_share_a_catalog_keep_their_stored_pictures(tmp_path: Path, catalog: str) -> None:
    url, same = f"sqlite:///{tmp_path}/{catalog}", np.zeros((9, 9, 3), np.uint8)
    (tmp_path / "a").mkdir()
    for name in "ab":
        with Session(tmp_path / name, database_url=url) as session:
            assert session.add(same, dataset=name, show=False).added == 1
    for name in "abab":
        with Session(tmp_path / name, database_url=url) as session:
            assert session.add(same, dataset=name, show=False).added == 0
            assert [image.path.split("/")[-3] for image in session.images()] == ["a", "b"]


def test_a_catalog_beside_pictures_of_the_user_has_their_absolute_paths(tmp_path: Path) -> None:
    url, theirs = f"sqlite:///{tmp_path}/shared.db", tmp_path / "images" / "a.png"
    theirs.parent.mkdir()
    theirs.write_bytes(encode_png(np.zeros((9, 9, 3), np.uint8)))
    with Session(tmp_path / "s", database_url=url) as session:
        session.add(theirs, show=False)
    with closing(sqlite3.connect(tmp_path / "shared.db")) as database:
        assert database.execute("SELECT path FROM images").fetchall() == [(str(theirs),)]


# -- files that change ----------------------------------------------------------------------------------


def overwrite(file: Path, *, number: int) -> None:
    """Other pixels of the same size, with the same inode, size and time."""
    before = file.stat()
    Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(file, format="bmp")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_level_below_the_pixels_is_refused(session: Session) -> None:
    with pytest.raises(PromptError, match="level: expected a whole number from 0 to 63; got -1"):
        session.region_pixels(session.images()[0], (0, 0, 4, 4), level=-1)


@pytest.mark.parametrize("level", [6, 40, 63])
def test_from_a_high_level_on_all_is_one_pixel(session: Session, level: int) -> None:
    assert session.region_pixels("0.png", (0, 0, 30, 20), level=level).shape == (1, 1, 3)


def test_what_needs_a_file_that_went_before_it_was_read_says_so(session: Session, photos: Path) -> None:
    shutil.copy(photos / "0.png", photos / "gone.png")
    session.add(photos / "gone.png", dataset="monday", hash="later")
    (photos / "gone.png").unlink()
    calls = (
        session.pixels,
        session.thumbnail,
        session.large_picture,
        session.embedding,
        lambda image: session.region_pixels(image, (0, 0, 4, 4)),
        lambda image: session.predict(image, points=[(5, 5)]),
        lambda image: session.say_same(image, "0.png"),
        lambda image: session.say_different("0.png", image),
    )
    for call in calls:
        with pytest.raises(ImageNotFound, match=r"gone\.png: nothing found"):
            call("gone.png")


def test_pixels_and_predictions_of_a_file_that_changed_are_refused(session: Session, photos: Path) -> None:
    session.predict("0.png", points=[(5, 5)])
    session.predict("0.png", points=[(5, 5)], region=(0, 0, 20, 20))
    session.pixels("0.png")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(photos / "0.png")
    with pytest.raises(ImageChanged):
        session.predict("0.png", points=[(5, 5)])
    with pytest.raises(ImageChanged):
        session.predict("0.png", points=[(5, 5)], region=(0, 0, 20, 20))
    with pytest.raises(ImageChanged):
        session.pixels("0.png")
    session.add(photos / "0.png", dataset="monday")
    assert not session.pixels("0.png").any()


def test_what_the_error_advises_helps_when_size_and_time_stayed(session: Session, photos: Path) -> None:
    file = photos / "a.bmp"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(file)
    session.add(file, dataset="monday")
    overwrite(file, number=1)
    assert session.add(file, dataset="monday").changed == 1
    assert (session.pixels("a.bmp") == 1).all()


def test_a_change_found_by_a_prewarm_is_read_when_its_folder_is_added(session: Session, photos: Path) -> None:
    file = photos / "a.bmp"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(file)
    session.add(photos, dataset="monday")
    overwrite(file, number=2)
    session.prewarm(show=False).wait()
    assert session.add(photos, dataset="monday").changed == 1
    assert (session.pixels("a.bmp") == 2).all()


def test_relocate_finds_the_moved_source_of_slices_and_not_another_file_of_its_name(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4000, (3, 40, 50), np.uint16)
    for place in ("before", "after", "other"):
        (tmp_path / place).mkdir()
    tifffile.imwrite(tmp_path / "before" / "z.tif", values, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "other" / "z.tif", values[::-1], imagej=True, metadata={"axes": "ZYX"})
    with Session(tmp_path / "session") as session:
        session.add(tmp_path / "before" / "z.tif", stack=True, show=False)
        (tmp_path / "before" / "z.tif").rename(tmp_path / "after" / "z.tif")
        stored = set((session.folder / "images").rglob("*.tif*"))
        # The middle slice is the same in both files; its neighbours are not.
        assert len(session.relocate(tmp_path / "other").missing) == 3
        assert set((session.folder / "images").rglob("*.tif*")) == stored
        report = session.relocate(tmp_path / "after")
        assert (len(report.found), report.missing) == (3, ())
        assert session.pixels("z.tif[z=0]").shape == (40, 50, 3)
        assert [image.filename for image in session.stack_of("z.tif[z=1]")] == [f"z.tif[z={z}]" for z in range(3)]
