"""The facade, with the embedded model: from files to saved masks, and what happens when the input is bad."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samnb
from samnb import errors
from samnb.errors import UnknownName, UnknownOption
from samnb.session import Session


def picture(seed: int, size_hw=(90, 120)) -> Image.Image:
    """A bright disc on a dark, noisy ground; other seeds, other places."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    pixels = rng.integers(20, 60, (height, width, 3), dtype=np.uint8)
    y, x = np.ogrid[:height, :width]
    cy, cx = rng.integers(30, height - 30), rng.integers(30, width - 30)
    pixels[(y - cy) ** 2 + (x - cx) ** 2 < 20**2] = 210
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(4):
        picture(i).save(pictures / f"{i}.png")
    return pictures


@pytest.fixture
def session(tmp_path, folder):
    with Session(tmp_path / "session") as session:
        session.add(folder, dataset="monday")
        yield session


def prewarm(session, *args, **options):
    return session.prewarm(*args, show=False, **options).wait(300)


# -- add ------------------------------------------------------------------------------------------


def test_add_reports_what_was_added(tmp_path, folder):
    with Session(tmp_path / "s") as session:
        report = session.add(folder, dataset="monday")
        assert (len(report.images), report.added, report.failed) == (4, 4, ())
        assert [i.filename for i in session.images("monday")] == ["0.png", "1.png", "2.png", "3.png"]
        again = session.add(folder, dataset="monday")
        assert (len(again.images), again.added) == (4, 0)
        assert len(session.images()) == 4


def test_add_of_fifty_with_three_bad_ones_adds_47_and_reports_3(tmp_path):
    pictures = tmp_path / "fifty"
    pictures.mkdir()
    for i in range(47):
        picture(i, (64, 70)).save(pictures / f"{i:02}.png")
    (pictures / "empty.png").touch()
    (pictures / "text.jpg").write_text("not a picture")
    whole = (pictures / "00.png").read_bytes()
    (pictures / "torn.png").write_bytes(whole[: len(whole) // 2])
    with Session(tmp_path / "s") as session:
        report = session.add(pictures)
        assert report.added == 47
        assert {Path(f.path).name for f in report.failed} == {"empty.png", "text.jpg", "torn.png"}
        assert all(f.reason for f in report.failed)
        assert "3 failed" in str(report)


def test_a_missing_path_alone_raises_and_in_a_list_is_reported(tmp_path, folder):
    with Session(tmp_path / "s") as session:
        with pytest.raises(errors.ImageNotFound, match="nowhere"):
            session.add(tmp_path / "nowhere")
        report = session.add([folder / "0.png", tmp_path / "nowhere.png"])
        assert report.added == 1
        assert [Path(f.path).name for f in report.failed] == ["nowhere.png"]


def test_a_folder_without_pictures_raises(tmp_path):
    (tmp_path / "empty").mkdir()
    with Session(tmp_path / "s") as session, pytest.raises(errors.ImageNotFound, match="empty"):
        session.add(tmp_path / "empty")


def test_pictures_from_memory_are_kept_in_the_session_folder(tmp_path):
    with Session(tmp_path / "s") as session:
        report = session.add([picture(1), np.asarray(picture(2)), np.zeros((5, 5), np.uint8)], dataset="memory")
        assert report.added == 3
        assert all(Path(i.path).parent == tmp_path / "s" / "images" for i in report.images)
        np.testing.assert_array_equal(session.pixels(report.images[0]), np.asarray(picture(1)))


def test_duplicates_are_told_by_pixels(tmp_path, folder):
    shutil.copy(folder / "0.png", folder / "copy.png")
    Image.open(folder / "1.png").save(folder / "resaved.bmp")
    with Session(tmp_path / "s") as session:
        report = session.add(folder)
        assert report.duplicates == 2
        assert report.duplicates_found == 0  # nothing is cached yet
        names = {frozenset(i.filename for i in group) for group in session.duplicates()}
        assert names == {frozenset({"0.png", "copy.png"}), frozenset({"1.png", "resaved.bmp"})}


# -- prewarm --------------------------------------------------------------------------------------


def test_prewarm_streams_the_seeds_events(session):
    events = [e.as_dict() for e in session.prewarm_stream()]
    assert [e["index"] for e in events[:-1]] == [1, 2, 3, 4]
    assert all(e["computed"] and e["total"] == 4 and e["ms"] > 0 for e in events[:-1])
    assert events[-1] == {"done": True, "total": 4, "computed": 4, "skipped": 0, "failed": 0, "cache_size": 4}
    again = [e.as_dict() for e in session.prewarm_stream()]
    assert all(e["skipped"] for e in again[:-1])
    assert again[-1]["computed"] == 0
    assert session.model.encodes == 4


def test_the_same_pictures_elsewhere_are_not_encoded_again(session, tmp_path, folder):
    prewarm(session)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(folder / "0.png", elsewhere / "renamed.png")
    Image.open(folder / "1.png").save(elsewhere / "again.png", compress_level=0)
    Image.open(folder / "2.png").save(elsewhere / "other.tiff")
    report = session.add(elsewhere, dataset="tuesday")
    assert report.duplicates_found == 3
    assert report.duplicates_message == "3 image(s) already cached, prewarm will be faster"
    last = prewarm(session, "tuesday")
    assert (last["computed"], last["skipped"]) == (0, 3)


def test_a_new_process_finds_the_embedding_and_builds_no_encoder(session):
    prewarm(session)
    code = (
        "import json, sys; from samnb import Session\n"
        "s = Session(sys.argv[1]); p = s.predict('1.png', points=[(60, 45)])\n"
        "print(json.dumps([p.cache_hit, s.model.encoder_built, s.model.encodes, int(p.masks.sum())]))"
    )
    command = [sys.executable, "-c", code, str(session.folder)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    here = session.predict("1.png", points=[(60, 45)])
    assert told == [True, False, 0, int(here.masks.sum())]


def test_a_cached_prewarm_in_a_new_process_loads_no_torch(session):
    prewarm(session)
    code = (
        "import sys; from samnb import Session\n"
        "last = list(Session(sys.argv[1]).prewarm_stream())[-1]\n"
        "print(last['skipped'], 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(session.folder)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["4", "False"]


def test_one_bad_image_does_not_stop_a_prewarm(session, folder):
    (folder / "1.png").unlink()
    picture(99).save(folder / "2.png")  # other pixels under the old name
    events = list(session.prewarm_stream())
    assert [e.status for e in events] == ["computed", "failed", "failed", "computed", "done"]
    assert "1.png" in events[1]["error"]
    assert "changed since it was added" in events[2]["error"]


def test_a_cancelled_prewarm_keeps_what_it_finished(session):
    for event in session.prewarm_stream():
        if event.index == 2:
            break
    job = session.prewarm(show=False)
    assert job.wait(300)["skipped"] >= 2  # and what was in hand
    assert session.model.encodes == 4


def test_prewarm_on_an_executor(session):
    with ProcessPoolExecutor(max_workers=1) as pool:
        last = prewarm(session, executor=pool)
    assert (last["computed"], last["failed"]) == (4, 0)
    assert session.model.encodes == 0  # the worker did it
    assert session.predict("0.png", points=[(60, 45)]).cache_hit


def test_flags_say_what_the_store_holds(session):
    prewarm(session)
    assert session.status().cached == 4
    session.cache.clear_memory()
    session.cache.path_of(session._encoder.key(session.image("0.png").pixel_hash)).unlink()
    assert session.status().cached == 3
    with Session(session.folder) as again:
        assert sum(i.embedding_cached for i in again.images()) == 3


def test_a_damaged_entry_is_computed_again(session):
    prewarm(session)
    path = session.cache.path_of(session._encoder.key(session.image("0.png").pixel_hash))
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)
    session.cache.clear_memory()
    assert session.predict("0.png", points=[(60, 45)]).cache_hit is False
    assert session.cache.stats().quarantined == 1
    assert session.predict("0.png", points=[(60, 45)]).cache_hit is True


# -- predict and accept ---------------------------------------------------------------------------


def test_predict_gives_three_masks_and_says_where_the_embedding_came_from(session):
    first = session.predict("0.png", points=[(60, 45)], point_labels=[1])
    assert first.masks.shape == (3, 90, 120)
    assert first.masks.dtype == bool
    assert first.scores.shape == (3,)
    assert first.cache_hit is False
    second = session.predict("0.png", points=[(60, 45)], point_labels=[1])
    assert second.cache_hit is True
    np.testing.assert_array_equal(first.masks, second.masks)
    assert session.predict("0.png", box=(20, 20, 80, 70), multimask=False).masks.shape[0] == 1


def test_predict_finds_images_by_name_path_id_and_hash(session, folder):
    record = session.image("2.png")
    for ref in ("monday/2.png", folder / "2.png", record.id, record.content_hash, record.pixel_hash, record):
        assert session.image(ref) == record


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"points": [(500, 10)]}, "120 wide and 90 high"),
        ({"points": [(-1, 10)]}, "lies outside 0.png"),
        ({"points": [(1, 2, 3)]}, r"\(x, y\) pairs"),
        ({"points": [(1, 2)], "point_labels": [2]}, "1 \\(foreground\\) or 0"),
        ({"points": [(1, 2)], "point_labels": [1, 1]}, "expected 1 labels"),
        ({"points": [(float("nan"), 2)]}, "finite"),
        ({"box": (50, 50, 10, 10)}, "x0 < x1"),
        ({}, "empty prompt"),
    ],
)
def test_a_bad_prompt_is_refused_before_anything_is_encoded(session, options, words):
    with pytest.raises(errors.PromptError, match=words):
        session.predict("0.png", **options)
    assert session.model.encodes == 0


def test_unknown_names_say_what_is_known(session, tmp_path):
    with pytest.raises(errors.UnknownName, match=r"Did you mean '0.png'"):
        session.predict("0.pngg", points=[(1, 1)])
    with pytest.raises(errors.UnknownName, match="monday"):
        session.images("mondy")
    with pytest.raises(errors.UnknownName, match="category"):
        session.annotations(category="coin")
    with pytest.raises(errors.UnknownName, match="tiny"):
        Session(tmp_path / "x", model="tinny")
    with pytest.raises(errors.UnknownName, match="coco"):
        session.export("cocoo", tmp_path / "x.json")
    with pytest.raises(TypeError, match="colour"):
        session.predict("0.png", points=[(1, 1)], colour="red")
    with pytest.raises(errors.UnknownOption, match="dtype"):
        Session(tmp_path / "x", cache={"dtyp": "float32"})


def test_accept_is_in_the_catalog_at_once(session):
    prediction = session.predict("0.png", points=[(60, 45)])
    index = int(np.argmax(prediction.masks.sum(axis=(1, 2))))
    kept = session.accept(prediction, category="disc", index=index)
    assert (kept.image, kept.category, kept.source) == ("0.png", "disc", "hand")
    np.testing.assert_array_equal(kept.mask, prediction.masks[index])
    assert kept.area == prediction.masks[index].sum()
    with Session(session.folder) as other:
        (found,) = other.annotations(category="disc", image="0.png")
        np.testing.assert_array_equal(found.mask, kept.mask)
        assert found.bbox == kept.bbox
    assert session.remove(kept) is True
    assert len(session.annotations()) == 0


def test_accept_refuses_what_cannot_be_kept(session):
    prediction = session.predict("0.png", points=[(60, 45)])
    with pytest.raises(errors.PromptError, match="0 to 2"):
        session.accept(prediction, category="disc", index=7)
    with pytest.raises(errors.PromptError, match="category"):
        session.accept(prediction, category=" ")
    empty = samnb.Prediction(np.zeros((1, 90, 120), bool), prediction.scores[:1], prediction.low_res_logits[:1],
                             prediction.prompt, prediction.image, prediction.image_id)  # fmt: skip
    with pytest.raises(errors.PromptError, match="empty"):
        session.accept(empty, category="disc")
    assert len(session.annotations()) == 0


def test_annotations_as_a_table(session):
    session.accept(session.predict("0.png", points=[(60, 45)]), category="disc")
    frame = session.annotations().to_dataframe()
    assert frame.loc[0, "category"] == "disc"
    assert list(frame.columns[:4]) == ["id", "dataset", "image", "category"]
    assert "disc" in session.annotations()._repr_html_()


# -- the folder -----------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.SessionReadOnly, match="file"):
        Session(tmp_path / "file" / "session")


def test_a_session_of_a_newer_version_is_only_read(session):
    import sqlite3

    session.close()
    database = sqlite3.connect(session.folder / "catalog.db")
    database.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    database.commit()
    database.close()
    with Session(session.folder) as again:
        assert len(again.images()) == 4
        with pytest.raises(errors.SessionTooNew, match="9999_from_the_future"):
            again.rename_dataset("coins", "others")


def test_status_shows_as_text_and_card(session):
    prewarm(session)
    status = session.status()
    assert (status.images, status.cached, status.coverage_percent) == (4, 4, 100.0)
    assert "4 of 4 (100 %)" in str(status)
    assert "tiny" in session._repr_html_()


def test_export_of_everything(session, tmp_path):
    session.accept(session.predict("0.png", points=[(60, 45)]), category="disc")
    report = session.export("coco", tmp_path / "out.json")
    coco = json.loads((tmp_path / "out.json").read_text())
    assert [len(coco[name]) for name in ("images", "annotations", "categories")] == [4, 1, 1]
    assert "1 annotation" in str(report)
    session.export("masks", tmp_path / "masks")
    assert len(list((tmp_path / "masks").glob("*disc.png"))) == 1


def test_export_of_some_images(session, tmp_path):
    session.accept(session.predict("0.png", points=[(60, 45)]), category="disc")
    session.mark_image("1.png", "done")
    done = [image for image, state in session.image_states().items() if state == "done"]
    report = session.export("yolo", tmp_path / "yolo", images=["0.png", *done, *done])
    assert (report.images, report.annotations) == (2, 1)
    assert report.notes == ("1 image without an object, as background",)
    assert session.export("recipe", tmp_path / "a.json", images="1.png").annotations == 0
    with pytest.raises(UnknownOption, match="dataset"):
        session.export("coco", tmp_path / "out.json", images=done, dataset="monday")
    with pytest.raises(UnknownName, match="gone"):
        session.export("coco", tmp_path / "out.json", images=["gone.png"])
    assert not (tmp_path / "out.json").exists()


# -- templates ------------------------------------------------------------------------------------


def annotated(session):
    """The disc of every image's middle click, kept whatever it is: plumbing, not quality."""
    prediction = session.predict("0.png", points=[(60, 45)])
    index = int(np.argmax(prediction.masks.sum(axis=(1, 2))))
    return session.accept(prediction, category="disc", index=index)


def test_a_template_is_saved_under_its_name_with_a_version(session):
    annotated(session)
    template = session.template("discs", strategy="fixed")
    assert template.version == 1
    assert session.template("discs", strategy="fixed").version == 1  # same content, same version
    assert session.template("discs", strategy="fixed", min_score=0.2).version == 2
    loaded = session.find_template("discs")
    assert (loaded.version, loaded.parameters["min_score"]) == (2, 0.2)
    np.testing.assert_allclose(
        loaded.categories[0].examples[0].prototype, template.categories[0].examples[0].prototype, atol=1e-6
    )


def test_template_mistakes_are_named(session):
    with pytest.raises(errors.UnknownName, match="category"):
        session.template("discs")
    annotated(session)
    with pytest.raises(errors.UnknownName, match="Did you mean 'disc'"):
        session.template("discs", categories=["disk"])
    with pytest.raises(errors.UnknownName, match="match_all"):
        session.template("discs", strategy="match_al")
    with pytest.raises(errors.UnknownOption, match="min_score"):
        session.template("discs", min_scor=0.3)
    with pytest.raises(errors.UnknownName, match="template"):
        session.apply("nothing", show=False)


@pytest.mark.parametrize("strategy", ["fixed", "match", "match_all"])
def test_apply_keeps_annotations_and_is_idempotent(session, strategy):
    annotated(session)
    limits = {"min_score": 0.0, "min_similarity": 0.0, "max_area_ratio": 1e6, "max_objects": 2}
    template = session.template("discs", strategy=strategy, **limits)
    prewarm(session)
    encodes = session.model.encodes
    events = list(session.apply_stream(template))
    assert [e.status for e in events] == ["computed"] * 4 + ["done"]
    assert session.model.encodes == encodes  # all from the cache
    made = [a for a in session.annotations() if a.source.startswith("template:discs@")]
    assert len(made) == events[-1]["masks"] > 0
    assert all(a.mask.shape == (90, 120) and 0 <= a.score <= 1.5 for a in made)
    again = session.apply(template, show=False).wait(300)
    assert (again["computed"], again["skipped"]) == (0, 4)
    assert len(session.annotations()) == len(made) + 1


def test_a_new_version_replaces_its_own_annotations_only(session):
    by_hand = annotated(session)
    session.apply(session.template("discs", strategy="fixed", max_overlap=1.0), show=False).wait(300)
    session.apply(session.template("discs", strategy="fixed", max_overlap=0.99), show=False).wait(300)
    left = session.annotations()
    assert by_hand.id in {a.id for a in left}
    per_image = [sum(a.image == f"{i}.png" and a.source != "hand" for a in left) for i in range(4)]
    assert max(per_image) <= 1


def test_apply_goes_on_after_an_image_that_fails(session, folder):
    annotated(session)
    (folder / "2.png").unlink()
    events = list(session.apply_stream(session.template("discs", strategy="fixed")))
    assert [e.status for e in events] == ["computed", "computed", "failed", "computed", "done"]
    assert "2.png" in events[2]["error"]


def test_a_template_of_another_model_is_refused(session):
    import dataclasses

    annotated(session)
    template = dataclasses.replace(session.template("discs"), model="tiny-0000")
    with pytest.raises(errors.TemplateMismatch, match="tiny-0000"):
        session.apply(template, show=False)


# -- what a second look found ---------------------------------------------------------------------


def test_a_picture_that_changed_is_told_and_its_old_annotations_do_no_harm(session, folder):
    annotated(session)
    picture(50, (120, 90)).save(folder / "0.png")
    with pytest.raises(errors.ImageChanged, match=r"0\.png.*dataset='monday'"):
        session.pixels("0.png")
    report = session.add(folder, dataset="monday")
    assert (report.added, report.changed) == (0, 1)
    assert "1 changed, look at their annotations" in str(report)
    with pytest.raises(errors.TemplateError, match=r"earlier picture.*session\.remove"):
        session.template("discs")


def test_pixels_are_handed_out_read_only(session):
    with pytest.raises(ValueError, match="read-only"):
        session.pixels("0.png")[:] = 0


def test_one_name_is_as_good_as_a_list_of_one(session):
    assert prewarm(session, images="2.png")["total"] == 1
    annotated(session)
    assert session.template("discs", categories="disc").categories[0].category == "disc"


def test_contradictions_are_refused(session):
    prompt = samnb.Prompt.of(points=[(1, 1)])
    with pytest.raises(errors.PromptError, match="not both"):
        session.predict("0.png", prompt=prompt, points=[(2, 2)])
    with pytest.raises(errors.UnknownOption, match="dataset"):
        session.prewarm("monday", images=["0.png"], show=False)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("coins@2", {}),
        (" ", {}),
        ("coins", {"max_objects": -1}),
        ("coins", {"max_area_ratio": 0}),
        ("coins", {"min_score": float("nan")}),
        ("coins", {"min_score": "high"}),
    ],
)
def test_a_template_that_cannot_work_is_not_made(session, name, parameters):
    annotated(session)
    with pytest.raises(errors.TemplateError, match="expected"):
        session.template(name, **parameters)


def test_an_executor_needs_a_store_in_a_folder(session, tmp_path):
    with (
        Session(tmp_path / "memory", cache=samnb.EmbeddingCache(None)) as other,
        ProcessPoolExecutor(max_workers=1) as pool,
        pytest.raises(errors.StoreError, match="memory only"),
    ):
        list(other.prewarm_stream(executor=pool))


def test_an_unknown_cache_option_leaves_no_folder_behind(tmp_path):
    with pytest.raises(errors.UnknownOption):
        Session(tmp_path / "new", cache={"typo": 1})
    assert not (tmp_path / "new").exists()


def test_a_session_folder_that_takes_no_pictures_is_named(session):
    (session.folder / "images").write_text("in the way")
    with pytest.raises(errors.StoreError, match=r"images.*cannot be written"):
        session.add(np.zeros((4, 4, 3), np.uint8))


def test_a_session_counts_its_images_without_reading_them(tmp_path, monkeypatch):
    with Session(tmp_path / "s") as session:
        session.add([picture(0), picture(1)], show=False)
        monkeypatch.setattr(type(session.catalog), "images", None)
        assert "2 images" in repr(session)
