"""Recipes: written from a session, replayed in a fresh folder and process, and what they say of what differs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samnb import Session
from samnb.cli import main
from samnb.demo import CLICKED, COIN_POINTS, demo_pictures
from samnb.errors import ImageNotFound, RecipeError, UnknownOption
from samnb.masks import encode_rle
from samnb.replay.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = demo_pictures(tmp_path_factory.mktemp("pictures")) / "monday"
    for path in sorted(folder.glob("*.png"))[3:]:
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def worked(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session folder: coins clicked and refined, one drawn, a template applied, one find mended by hand."""
    folder = tmp_path_factory.mktemp("work") / "coins"
    with Session(folder) as session:
        session.add(pictures, dataset="monday")
        for point in COIN_POINTS[:2]:
            session.accept(session.predict(CLICKED, points=[point]), category="coin")
        first = session.predict(CLICKED, points=[COIN_POINTS[2]])
        x, y = COIN_POINTS[2]
        clicks = [(x, y), (x + 8, y)]
        hint = first.low_res_logits[first.best_for(first.prompt)]
        session.accept(session.predict(CLICKED, points=clicks, mask_input=hint), category="coin", index=0)
        drawn = np.zeros(session.image(CLICKED).size_hw, bool)
        drawn[3:9, 4:14] = True
        session.accept_mask(CLICKED, drawn, category="label")
        session.recolor_category("label", "#123456")
        session.apply(session.template("coins", categories=["coin"], max_objects=4), show=False).wait()
        found = [a for a in session.annotations() if a.source.startswith("template")]
        assert len(found) >= 4
        mended = found[-1].mask.copy()
        mended[:2] = True
        session.update(found[-1], mask=mended)
    return folder


@pytest.fixture(scope="module")
def recipe(worked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "coins.json"
    with Session(worked) as session:
        report = session.export("recipe", path)
        assert report.annotations == len(session.annotations())
        assert report.files == (path,)
    return path


def masks_of(folder: Path) -> list[tuple[str, str, str, str, list[int]]]:
    with Session(folder) as session:
        return sorted((a.image, a.category, a.source, a.review, a.rle["counts"]) for a in session.annotations())


def test_a_recipe_says_how_each_mask_came_about(recipe: Path) -> None:
    made = Recipe.read(recipe)
    ways = [(mask.source.partition(":")[0], mask.way.kind, mask.way.asked) for mask in made.masks]
    assert ways[:4] == [
        ("hand", "prompt", "at once"),
        ("hand", "prompt", "at once"),
        ("hand", "prompt", "click by click"),
        ("hand", "kept", ""),
    ]
    assert {way[1] for way in ways[4:-1]} == {"template"}
    assert ways[-1] == ("template", "kept", "")
    assert made.count("template") == len(ways) - 5
    assert dict(made.categories)["label"] == "#123456"


def test_replayed_in_a_fresh_folder_and_process_the_masks_are_identical(
    recipe: Path, worked: Path, pictures: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(pictures, elsewhere / "deeper")
    (elsewhere / "deeper" / "coins_2.png").rename(elsewhere / "another name.png")
    (elsewhere / "notes.txt").write_text("no picture")
    Image.new("RGB", (30, 20), "red").save(elsewhere / "unrelated.png")
    command = [sys.executable, "-m", "samnb.cli", "replay", str(recipe), "--images", str(elsewhere)]
    done = subprocess.run([*command, "--session", str(tmp_path / "again")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same masks again" in done.stdout
    renamed = [("another name.png" if i == "coins_2.png" else i, *rest) for i, *rest in masks_of(worked)]
    assert masks_of(tmp_path / "again") == sorted(tuple(one) for one in renamed)


def test_replayed_twice_nothing_is_doubled(recipe: Path, worked: Path, pictures: Path, tmp_path: Path) -> None:
    with Session(tmp_path / "s") as session:
        assert session.replay(recipe, pictures).ok
        assert session.replay(recipe, pictures).ok
        assert [(c.name, c.color) for c in session.category_records()][1] == ("label", "#123456")
        assert session.find_template("coins").source == "template:coins@1"
    assert masks_of(tmp_path / "s") == masks_of(worked)


def test_a_template_of_the_same_name_here_takes_no_masks_of_the_recipes(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    with Session(tmp_path / "s") as session:
        session.add(pictures, dataset="other")
        session.accept(session.predict(Path(CLICKED).name, points=[COIN_POINTS[2]]), category="coin")
        own = session.template("coins", categories=["coin"], max_objects=1)
        report = session.replay(recipe, pictures)
        assert "template coins: there is another one of that name here; this one is called coins-2" in report.notes
        assert set(session.catalog.templates()) == {("coins", own.version), ("coins-2", 1)}
        replayed = [a.id for a in session.annotations() if a.source == "template:coins-2@1"]
        assert len(replayed) >= 3
        session.apply(own, show=False).wait()
        assert [a.id for a in session.annotations() if a.source == "template:coins-2@1"] == replayed
        session.replay(recipe, pictures)
        assert set(session.catalog.templates()) == {("coins", own.version), ("coins-2", 1)}


def test_what_a_review_sent_away_does_not_come_back(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    with Session(tmp_path / "s") as session:
        session.replay(recipe, pictures)
        gone = session.annotations()[0]
        session.catalog.update_annotation(gone.id, review="rejected")
        before = [a.id for a in session.annotations()]
        session.replay(recipe, pictures)
        assert [a.id for a in session.annotations()] == before


def test_copies_of_one_picture_are_images_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for name in ("here", "there"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(folder / name / "a.png")
    with Session(tmp_path / "one") as session:
        session.add(folder)
        for number, image in enumerate(session.images()):
            mask = np.zeros(image.size_hw, bool)
            mask[number : number + 3, 2:8] = True
            session.accept_mask(image, mask, category="box")
        session.export("recipe", tmp_path / "r.json")
    with Session(tmp_path / "two") as session:
        assert session.replay(tmp_path / "r.json", folder).images == 2
        assert len({a.image_id for a in session.annotations()}) == 2


def test_pictures_that_are_here_under_another_path_are_not_added_again(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(pictures, own)
    (own / "coins_2.png").rename(own / "mine.png")
    (own / "coins_3.png").unlink()
    with Session(tmp_path / "s") as session:
        session.add(own, dataset="monday")
        before = session.images()
        report = session.replay(recipe, pictures)
        assert report.ok
        assert [image.path for image in session.images()] == [i.path for i in before] + [str(pictures / "coins_3.png")]
        assert report.notes[0].startswith("pictures that were here already under another path: coins_1.png is ")
        assert f"coins_2.png is {own / 'mine.png'}" in report.notes[0]
        found = len(session.annotations())
        assert {a.image for a in session.annotations()} == {"coins_1.png", "mine.png", "coins_3.png"}
        assert session.replay(recipe, pictures).ok
        assert (len(session.images()), len(session.annotations())) == (3, found)
        # One whose file is another by now, or gone, is not the recipe's.
        (own / "mine.png").unlink()
        assert session.replay(recipe, pictures).ok
        assert len(session.images()) == 4


def test_pictures_that_are_here_in_another_dataset_are_not_added_again(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    with Session(tmp_path / "s") as session:
        session.add([pictures / "coins_1.png", pictures / "coins_2.png"], dataset="mine", show=False)
        report = session.replay(recipe, pictures)
        assert report.ok
        assert [(i.dataset, i.filename) for i in session.images()] == [
            ("mine", "coins_1.png"), ("mine", "coins_2.png"), ("monday", "coins_3.png")
        ]  # fmt: skip
        assert (
            "pictures that were here already in another dataset: coins_1.png is mine/coins_1.png, " in report.notes[0]
        )
        found = len(session.annotations())
        assert session.replay(recipe, pictures).ok
        assert (len(session.images()), len(session.annotations())) == (3, found)


def test_one_picture_in_two_datasets_of_a_recipe_stays_two_images(pictures: Path, tmp_path: Path) -> None:
    with Session(tmp_path / "one") as session:
        for dataset in ("first", "second"):
            [image] = session.add(pictures / "coins_1.png", dataset=dataset, show=False).images
            session.accept_mask(image, np.ones(image.size_hw, bool), category=dataset)
        session.export("recipe", tmp_path / "r.json")
    with Session(tmp_path / "two") as session:
        session.add(pictures / "coins_1.png", dataset="first", show=False)
        assert session.replay(tmp_path / "r.json", pictures).ok
        assert {(i.dataset, a.category) for i in session.images() for a in session.annotations(image=i)} == {
            ("first", "first"), ("second", "second")
        }  # fmt: skip


def test_slices_and_pictures_from_memory_are_those_of_the_session(pictures: Path, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(3).integers(0, 255, (3, 40, 60), np.uint8)
    tifffile.imwrite(tmp_path / "z.tif", values, photometric="minisblack", metadata={"axes": "ZYX"})
    with Session(tmp_path / "s") as session:
        session.add(tmp_path / "z.tif", stack=True, show=False)
        session.add(np.full((40, 60, 3), 77, np.uint8), show=False)
        for image in session.images():
            session.accept_mask(image, np.ones(image.size_hw, bool), category="field")
        session.export("recipe", tmp_path / "r.json")
        before = [a.id for a in session.annotations()]
        report = session.replay(tmp_path / "r.json", pictures)
        assert (report.ok, report.images) == (True, 4)
        assert ([a.id for a in session.annotations()], len(session.images())) == (before, 4)
    with Session(tmp_path / "other") as session:
        session.add(tmp_path / "z.tif", stack=True, show=False, dataset="stacks")
        report = session.replay(tmp_path / "r.json", pictures)
        assert [a.image for a in session.annotations()] == ["z.tif[z=0]", "z.tif[z=1]", "z.tif[z=2]"]
        assert [one.reason.split(":")[0] for one in report.failed] == ["not there"]
    with Session(tmp_path / "none") as session:
        report = session.replay(tmp_path / "r.json", pictures)
        assert ["add the stack to a session" in one.reason for one in report.failed] == [True, True, True, False]


def test_masks_of_a_category_that_was_renamed_do_not_come_back_under_the_old_name(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    with Session(tmp_path / "s") as session:
        session.replay(recipe, pictures)
        session.rename_category("coin", "money")
        before = [(a.id, a.category) for a in session.annotations()]
        report = session.replay(recipe, pictures)
        assert report.ok
        assert [(a.id, a.category) for a in session.annotations()] == before
        assert session.categories() == ["money", "label"]
        assert "category coin: was renamed here; its masks are those of money" in report.notes
        gone = next(a for a in session.annotations() if a.category == "money")
        session.remove(gone)
        session.replay(recipe, pictures)
        assert sorted(a.category for a in session.annotations()) == sorted(category for _, category in before)


def test_a_category_that_was_sorted_anew_and_removed_is_not_taken_for_renamed(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    with Session(tmp_path / "s") as session:
        session.replay(recipe, pictures)
        coins = [a for a in session.annotations() if a.category == "coin"]
        session.update(coins[0], category="token")
        for annotation in coins[1:]:
            session.remove(annotation)
        session.remove_category("coin")
        report = session.replay(recipe, pictures)
        assert not any(note.startswith("category") for note in report.notes)
        assert sum(a.category == "coin" for a in session.annotations()) == len(coins) - 1
        assert sum(a.category == "token" for a in session.annotations()) == 1


def test_masks_sorted_into_several_categories_or_mended_are_not_doubled(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    with Session(tmp_path / "s") as session:
        session.replay(recipe, pictures)
        coins = [a for a in session.annotations() if a.category == "coin"]
        for number, annotation in enumerate(coins):
            session.update(annotation, category="small" if number % 2 else "large")
        session.remove_category("coin")
        mended = next(a for a in session.annotations() if a.category == "large")
        mask = mended.mask.copy()
        mask[-3:] = True
        session.update(mended, mask=mask)
        before = sorted((a.id, a.category) for a in session.annotations())
        assert session.replay(recipe, pictures).ok
        assert sorted((a.id, a.category) for a in session.annotations()) == before
        assert "coin" not in session.categories()


def test_an_altered_picture_is_named_and_so_is_one_that_is_gone(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    altered = np.array(Image.open(folder / "coins_2.png"))
    altered[0, 0] ^= 1
    Image.fromarray(altered).save(folder / "coins_2.png")
    (folder / "coins_3.png").unlink()
    with Session(tmp_path / "s") as session:
        report = session.replay(recipe, folder)
    assert not report.ok
    assert {failure.path: failure.reason.partition(":")[0] for failure in report.failed} == {
        "coins_2.png": "altered",
        "coins_3.png": "not there",
    }
    assert report.images == 1
    assert report.different == ()
    assert "coins_2.png" in repr(report)
    assert "coins_2.png" in report._repr_html_()


def test_a_damaged_picture_is_named_with_its_damage(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    (folder / "coins_2.png").write_bytes((folder / "coins_2.png").read_bytes()[:500])
    with Session(tmp_path / "s") as session:
        [failure] = session.replay(recipe, folder).failed
    assert failure.path == "coins_2.png"
    assert "altered" not in failure.reason


def test_a_mask_that_is_another_one_is_told_with_its_iou(
    recipe: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = json.loads(recipe.read_bytes())
    size = values["masks"][0]["rle"]["size"]
    other = np.zeros(size, bool)
    other[: size[0] // 2] = True
    values["masks"][0]["rle"] = encode_rle(other)
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(values))
    assert main(["replay", str(changed), "--images", str(pictures), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    [different] = report["different"]
    assert (different["image"], different["number"]) == ("coins_1.png", 0)
    assert 0 < different["iou"] < 1
    assert different["pixels"] > 0


def test_another_model_is_refused_unless_it_is_wanted(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    values = json.loads(recipe.read_bytes())
    values["model"]["fingerprint"] = "tiny-" + "0" * 64
    other = tmp_path / "other.json"
    other.write_text(json.dumps(values))
    with Session(tmp_path / "s") as session:
        with pytest.raises(RecipeError, match="made with the model 'tiny'"):
            session.replay(other, pictures)
        assert session.images() == []
        report = session.replay(other, pictures, any_model=True)
    assert report.same > 0
    assert any(note.startswith("model: was tiny") for note in report.notes)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not json", "expected JSON"),
        (b"[]", "got none"),
        (b'{"samnb_recipe": 99}', "got version 99"),
        (b'{"samnb_recipe": 1, "images": []}', "is damaged"),
    ],
)
def test_what_is_no_recipe_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=told):
        Recipe.read(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values["model"].pop("recipe"),
        lambda values: values.update(made_with=[]),
        lambda values: values["made_with"].update(torch=float("inf")),
        lambda values: values["model"].update(more=[float("nan")]),
        lambda values: values["masks"][0]["way"].update(kind="magic"),
        lambda values: values["masks"][0]["way"].update(kind="prompt", asked="twice"),
        lambda values: values["masks"][0]["way"].update(kind="prompt", asked="at once", index=-1),
        lambda values: values["masks"][0]["way"].update(kind="template", template="none@1"),
        lambda values: values["masks"][0].update(layer="top"),
        lambda values: values["masks"][0].update(layer=10**30),
        lambda values: values["masks"][0].update(score=float("nan")),
        lambda values: values["masks"][0]["rle"].update(counts=[1.5]),
        lambda values: values["images"][0].update(width="wide"),
        lambda values: values["images"][0].update(filename=[[1, 2]]),
        lambda values: values["images"][0].update(pixel_hash=None),
        lambda values: values["masks"][0].update(category=["coin"]),
        lambda values: values["masks"][0].update(source={}),
        lambda values: values["categories"][0].update(color=[]),
        lambda values: values["model"].update(name=[]),
        lambda values: values["templates"][0]["parameters"].update(parts=float("nan")),
        lambda values: values["templates"][0]["parameters"].update(unheard_of=1.0),
        lambda values: values["templates"][0]["categories"][0]["examples"][0].update(
            rle={"size": [10**7, 10**7], "counts": [10**14]}
        ),
    ],
)
def test_a_recipe_with_a_damaged_value_is_refused(damage: Any, recipe: Path, tmp_path: Path) -> None:
    values = json.loads(recipe.read_bytes())
    damage(values)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(values))
    with pytest.raises(RecipeError, match="is damaged"):
        Recipe.read(path)


def test_sizes_that_no_picture_has_take_no_memory(recipe: Path, tmp_path: Path) -> None:
    values = json.loads(recipe.read_bytes())
    values["images"][0].update(width=40_000, height=40_000)
    for mask in values["masks"]:
        if mask["image"] == 0:
            mask["rle"] = {"size": [40_000, 40_000], "counts": [40_000**2]}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(values))
    tracemalloc.start()
    with pytest.raises(RecipeError, match=r"coins_1\.png' of size \[40000, 40000\], expected at most"):
        Recipe.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_a_recipe_that_is_nested_deep_or_larger_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    path.write_text("[" * 200_000)
    with pytest.raises(RecipeError, match=r"r\.json: expected JSON"):
        Recipe.read(path)
    monkeypatch.setattr("samnb.replay.recipe.MAX_BYTES", 1000)
    path.write_text(" " * 1001)
    with pytest.raises(RecipeError, match="1,000 bytes at most"):
        Recipe.read(path)


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (lambda values: values.update(videos=[]), "it has a part 'videos'"),
        (lambda values: values["images"][1].update(depth=3), "image 1 has a field 'depth'"),
        (lambda values: values["masks"][2].update(hue=3), "mask 2 has a field 'hue'"),
        (lambda values: values["masks"][2]["way"].update(by="a video"), "the way of mask 2 has a field 'by'"),
    ],
)
def test_a_field_of_a_newer_samnb_is_named_with_both_versions(
    add: Any, told: str, recipe: Path, tmp_path: Path
) -> None:
    values = json.loads(recipe.read_bytes())
    here = values["made_with"]["samnb"]
    add(values)
    path = tmp_path / "r.json"
    for wrote, next_step in (("99.1", f"written by samnb 99.1, here is {here}. Update samnb"), (here, "changed since")):
        values["made_with"]["samnb"] = wrote
        path.write_text(json.dumps(values))
        with pytest.raises(RecipeError) as raised:
            Recipe.read(path)
        assert told in str(raised.value)
        assert next_step in str(raised.value)
        assert "damaged" not in str(raised.value)


def test_a_recipe_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none.json"), "--images", str(tmp_path)]) == 1
    assert "none.json: cannot be read" in capsys.readouterr().err


def test_a_folder_without_pictures_and_unknown_options(recipe: Path, worked: Path, tmp_path: Path) -> None:
    with Session(tmp_path / "s") as session, pytest.raises(ImageNotFound):
        session.replay(recipe, tmp_path / "nowhere")
    with Session(worked) as session, pytest.raises(UnknownOption):
        session.export("recipe", tmp_path / "r.json", polygons=True)


def test_an_empty_session_has_a_recipe_too(tmp_path: Path, pictures: Path) -> None:
    with Session(tmp_path / "s") as session:
        report = session.export("recipe", tmp_path / "r.json")
        assert (report.images, report.annotations) == (0, 0)
        assert session.replay(tmp_path / "r.json", pictures).ok


def test_attributes_are_in_a_recipe_and_come_back(pictures: Path, tmp_path: Path) -> None:
    with Session(tmp_path / "a") as session:
        image = session.add(pictures, dataset="monday", show=False).images[0]
        session.add_attribute("occluded")
        session.add_attribute("side", kind="choice", choices=("left", "right"))
        drawn = np.zeros(image.size_hw, bool)
        drawn[3:9, 4:14] = True
        one = session.accept_mask(image, drawn, category="label")
        session.update(one, attributes={"occluded": True, "side": "left"})
        session.export("recipe", tmp_path / "recipe.json")
    with Session(tmp_path / "b") as session:
        assert not any(
            note.startswith("attribute") for note in session.replay(tmp_path / "recipe.json", pictures).notes
        )
        assert dict(session.annotations()[0].attributes) == {"occluded": True, "side": "left"}
        assert [each.name for each in session.attributes()] == ["occluded", "side"]
    with Session(tmp_path / "c") as session:
        session.add_attribute("side", kind="choice", choices=("top", "bottom"))
        notes = session.replay(tmp_path / "recipe.json", pictures).notes
        assert "attribute side: is another one here; values that it cannot have were left out" in notes
        assert dict(session.annotations()[0].attributes) == {"occluded": True}


def test_a_picture_that_nobody_could_read_is_left_out_of_a_recipe(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "pictures")
    with Session(tmp_path / "session") as session:
        session.add(tmp_path / "pictures", hash="later", show=False)
        lost = Path(session.images()[0].path)
        lost.unlink()
        report = session.export("recipe", tmp_path / "recipe.json")
        assert report.images == 2
        assert [failure.path for failure in report.failed] == [lost.name]
        assert len(session.recipe().images) == 2
        assert session.replay(tmp_path / "recipe.json", pictures).ok


def test_a_recipe_has_the_masks_of_a_picture_that_is_gone(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "pictures")
    with Session(tmp_path / "session") as session:
        session.add(tmp_path / "pictures", show=False)
        for image in session.images()[:2]:
            session.accept(session.predict(image, points=[(20, 20)]), category="coin")
        gone = session.images()[0]
        shutil.rmtree(session.cache.folder)
        Path(gone.path).unlink()
    with Session(tmp_path / "session") as session:
        report = session.export("recipe", tmp_path / "recipe.json")
        assert (report.annotations, report.failed) == (2, ())
        told = f"1 image neither encoded nor there, its masks can only be copied: {gone.filename}"
        assert "1 come from prompts, 0 from templates, 1 can only be copied" in report.notes
        assert told in report.notes
        assert session.recipe().count("kept") == 1
