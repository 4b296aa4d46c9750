"""The tuner without a browser: what moves, what is asked of the model, what is saved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_model import NumpyModel
from test_matching import GREEN, RED, scene, truth

import samnb.session
from samnb.errors import UnknownName
from samnb.matching import find_objects
from samnb.session import Session
from samnb.template_preview import SIDE, samples_of
from samnb.ui.gallery import histogram
from samnb.ui.tuner import SHOWN, Tuner


class CountingModel(NumpyModel):
    """How often it was asked for masks."""

    decodes = 0

    def decode(self, *args, **options):
        self.decodes += 1
        return super().decode(*args, **options)


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Three images annotated by hand, the first with the example; ten more."""
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: CountingModel())
    with Session(tmp_path / "session") as session:
        pictures = [scene([(10 + 7 * n, 30, 40, RED), (100, 100, 40, GREEN)]) for n in range(13)]
        images = session.add(pictures, dataset="reds").images
        session.accept_mask(images[0], truth(pictures[0], RED), category="red")
        session.template("red")
        for n in (1, 2):
            session.accept_mask(images[n], truth(pictures[n], RED), category="red")
        yield session


@pytest.fixture
def tuner(session):
    tuner = session.tune("red")
    tuner.wait()
    yield tuner
    tuner.close()


def test_twelve_images_are_searched_as_apply_does(session, tuner):
    assert len(tuner.previews) == SHOWN == len(tuner.samples)
    assert tuner.error == ""
    for preview in tuner.previews:
        whole = find_objects(tuner.saved, session.embedding(preview.image)[0], session.model.decode)
        assert [m.score for m in whole] == pytest.approx(preview.scores)
    assert [p.is_example for p in tuner.previews].count(True) == 1
    assert sum(p.figures is not None for p in tuner.previews) == 3
    assert "F1 1.00" in tuner._figures.value
    assert "2 images by hand" in tuner._figures.value
    assert all("<img" in cell.value for cell in tuner._cells)


def test_moving_thresholds_asks_the_model_nothing(session, tuner):
    asked = session.model.decodes
    tuner._sliders["review_score"].value = 0.95
    tuner._sliders["max_overlap"].value = 0.2
    tuner._sliders["min_score"].value = 0.99
    tuner.wait()
    assert session.model.decodes == asked
    assert tuner.template.parameters["min_score"] == 0.99
    assert sum(len(p.matches) for p in tuner.previews) == 0
    tuner.toggle_before()
    tuner.wait()
    assert sum(len(p.matches) for p in tuner.previews) == SHOWN
    assert "before (v1)" in tuner._figures.value
    tuner.toggle_before()
    tuner.wait()
    assert sum(len(p.matches) for p in tuner.previews) == 0


def test_only_the_latest_values_count(tuner):
    for value in np.linspace(0.99, 0.3, 30):
        tuner._sliders["min_score"].value = float(value)
    tuner.wait()
    assert sum(len(p.matches) for p in tuner.previews) == SHOWN


def test_save_makes_a_new_version_once(session, tuner):
    tuner.save()
    assert tuner.saved.version == 1
    assert "nothing has changed" in tuner.status
    tuner.set(min_score=0.4, strategy="match")
    tuner.save()
    tuner.save()
    assert tuner.saved.version == 2
    assert session.find_template("red").strategy == "match"
    assert session.find_template("red").parameters["min_score"] == 0.4


def test_a_sweep_s_row_sets_the_sliders(session, tuner):
    tuner.sweep()
    tuner.wait()
    assert tuner.error == ""
    assert len(tuner.result.rows) == 18
    assert session.find_template("red").version == 1  # nothing was written
    assert tuner.result.images == 2
    row = tuner.result.rows[-1]
    tuner._rows.value = 17
    tuner.wait()
    assert {name: tuner.template.parameters[name] for name in row.parameters} == row.parameters
    assert tuner._sliders["min_score"].value == row.parameters["min_score"]


def test_what_is_wrong_is_said_in_place(session, tuner):
    tuner.set(min_score=7)
    assert "expected a number from 0 to 1" in tuner.error
    assert tuner.template.parameters["min_score"] == 0.3
    tuner.set(strategy="guess")
    assert "guess" in tuner.error
    assert tuner.template.strategy == "match_all"
    with pytest.raises(UnknownName, match="blue"):
        session.tune("blue")


def test_an_image_that_cannot_be_read_does_not_stop_the_others(session):
    tuner = Tuner(session, "red", images=["reds/" + i.filename for i in session.images()][:3])
    tuner.wait()

    def broken(template, **options):
        raise OSError("gone <away>")

    tuner.samples[1].look = broken
    tuner.set(min_score=0.5)
    tuner.wait()
    assert "gone &lt;away&gt;" in tuner._cells[1].value
    assert len(tuner.previews) == 2
    tuner.close()


def test_samples_are_a_third_by_hand_and_the_rest_evenly_spaced(session):
    images = session.images()
    by_hand = {image.id: 1 for image in images[5:]}
    chosen = samples_of(images, by_hand, 6)
    assert len(chosen) == 6
    assert chosen == sorted(chosen, key=images.index)
    assert images[0] in chosen
    assert samples_of(images[:3], by_hand, 6) == images[:3]


def test_previews_are_small(session):
    big = np.kron(scene([(20, 20, 40, RED)]), np.ones((5, 5, 1), np.uint8))
    (image,) = session.add([big], dataset="big").images
    tuner = session.tune("red", images=[image])
    tuner.wait()
    (preview,) = tuner.previews
    assert preview.pixels.shape == (SIDE, SIDE, 3)
    assert preview.matches[0].mask.shape == (SIDE, SIDE)
    tuner.close()


def test_the_histogram_counts_every_score():
    drawn = histogram([0.1, 0.6, 0.6, 1.0], min_score=0.05, review_score=0.5)
    assert drawn.count("<rect") == 3
    assert "scores of 4 masks: 1 below 0.50" in drawn
    assert "scores of 0 masks" in histogram([], min_score=0.3, review_score=0.5)
