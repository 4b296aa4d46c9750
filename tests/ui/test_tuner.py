"""The tuner without a browser: what moves, what is asked of the model, what is saved."""

from __future__ import annotations

import numpy as np
import pytest

import samnb.session
from samnb.errors import UnknownName
from samnb.session import Session
from samnb.templates.preview import SIDE, samples_of
from samnb.templates.strategies import find_objects
from samnb.ui.tuner.score_histogram import counted, drawn
from samnb.ui.tuner.tuner import SHOWN, Tuner
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene, truth


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

    tuner.samples[1].search = broken
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
    bars = drawn([0.1, 0.6, 0.6, 1.0], min_score=0.3, review_score=0.7)
    assert bars.count("<rect") == 3
    assert "scores of 4 masks: 1 accepted, 2 to review, 1 rejected" in bars
    assert "scores of 0 masks" in drawn([], min_score=0.3, review_score=0.5)
    assert counted([0.3, 0.5], min_score=0.3, review_score=0.5) == (1, 1, 0)  # what reaches a threshold passes it
    assert counted([0.4, 0.6], min_score=0.5, review_score=0.2) == (1, 0, 1)  # nothing is unsure below the first


def test_the_handles_in_the_histogram_and_the_sliders_keep_step(session, tuner):
    handles = tuner._thresholds._handles
    tuner._sliders["min_score"].value = 0.42
    assert handles.value == (0.42, 0.5)
    handles.value = (0.2, 0.97)
    assert tuner._sliders["min_score"].value == 0.2
    assert tuner._sliders["review_score"].value == 0.97
    tuner.set(review_score=0.1)
    assert handles.value == (0.2, 0.2)  # they cannot pass one another
    assert tuner.template.parameters["review_score"] == 0.1


def test_the_counts_follow_a_threshold_at_once(session, tuner):
    asked, scores = session.model.decodes, sorted(s for p in tuner.previews for s in p.scores)
    middle = round(scores[len(scores) // 2], 2) + 0.005
    tuner._worker.submit(lambda: None, lambda value, error: None)
    tuner.set(min_score=middle, review_score=1.0)
    accepted, unsure, rejected = tuner.counts
    assert (accepted, unsure) == (sum(s >= 1 for s in scores), sum(middle <= s < 1 for s in scores))
    assert rejected >= sum(s < middle for s in scores) > 0
    tuner.wait()
    assert tuner.counts == (accepted, unsure, rejected)
    assert session.model.decodes == asked
    assert sum(len(p.matches) for p in tuner.previews) == accepted + unsure


def test_a_cached_search_finds_what_a_search_finds(session, tuner):
    for least in (0.2, 0.6, 0.9, 0.3):
        template = tuner.saved.with_parameters(min_score=least)
        for sample in tuner.samples:
            cached, searched = sample.search_cached(template), sample.search(template)
            assert [m.score for m in searched.matches] == [m.score for m in cached.matches]
            assert (cached.figures is None) == (searched.figures is None)
            assert searched.settled
    assert tuner.samples[0].search_cached(tuner.saved.with_parameters(refine=0)) is None


def test_marks_feed_the_figures_and_stay_when_parameters_move(tuner):
    tuner.mark(0, 0, True)
    tuner.mark(1, 0, True)
    tuner.mark(2, 0, False)
    assert "precision 0.67 (2 of 3 marked)" in tuner._feedback_row.said
    assert "1 good" in tuner._cells[0].value
    assert "1 bad" in tuner._cells[2].value
    tuner.set(min_score=1.0)
    tuner.wait()
    assert "2 marked good, not found now · 1 bad gone" in tuner._feedback_row.said
    tuner.set(min_score=0.3)
    tuner.wait()
    assert "precision 0.67" in tuner._feedback_row.said
    tuner.mark(2, 0, None)
    assert "precision 1.00 (2 of 2 marked)" in tuner._feedback_row.said
    tuner.mark(0, 99, True)
    assert "0, 99" in tuner.error


def test_a_click_on_an_object_goes_through_good_bad_unmarked(tuner):
    mask = tuner.previews[3].matches[0].mask
    y, x = (float(values.mean()) for values in np.nonzero(mask))
    place = ((x + 0.5) / mask.shape[1], (y + 0.5) / mask.shape[0])
    seen = []
    for _ in range(3):
        tuner._on_pick(3, *place)
        seen.append(tuner.marks.of(tuner.previews[3]))
    assert seen == [{0: True}, {0: False}, {}]
    tuner._on_pick(3, 0.999, 0.001)  # beside all objects
    assert tuner.marks.all == []
    assert tuner.error == ""


def test_marks_become_examples_and_background(session, tuner):
    tuner.mark(1, 0, True)
    tuner.mark(2, 0, False)
    tuner.use_marks()
    tuner.wait()
    (red,) = tuner.template.categories
    assert (len(red.examples), len(red.background)) == (2, 1)
    assert np.linalg.norm(red.background[0]) == pytest.approx(1, abs=1e-4)
    assert session.find_template("red").version == 1  # nothing was written
    assert tuner._sliders["background_weight"].layout.display is None
    tuner.use_marks(False)
    assert len(tuner.template.categories[0].examples) == 1
    tuner._toggle_marks()
    tuner.save()
    saved = session.find_template("red")
    assert (saved.version, len(saved.categories[0].examples)) == (2, 2)
    assert tuner.marks.all == []
    tuner.save()
    assert session.find_template("red").version == 2
    assert tuner.error == ""


def test_the_keyboard_marks_what_is_chosen_among_the_objects(tuner):
    values = [value for _, value in tuner._feedback_row.objects.options]
    assert len(values) == sum(len(p.matches) for p in tuner.previews)
    tuner._feedback_row.objects.value = values[-1]
    tuner._feedback_row.mark(False)
    assert tuner.marks.of(tuner.previews[values[-1][0]]) == {values[-1][1]: False}
    assert tuner._feedback_row.objects.value == values[-1]
    assert dict((v, t) for t, v in tuner._feedback_row.objects.options)[values[-1]].endswith("✗")


def test_a_sweep_s_plot_rings_the_row_that_was_picked(tuner):
    tuner.sweep()
    tuner.wait()
    assert tuner._plot.value.count("<circle") == 18
    assert tuner._plot.value.count("<polyline") == 6
    tuner.pick(4)
    assert tuner._plot.value.count("samnb-ring-on") == 1


def test_marks_count_in_a_sweep_where_nothing_else_was_annotated(session, tuner):
    for annotation in session.annotations():
        if annotation.image_id not in {s.image.id for s in tuner.samples if is_example(tuner, s)}:
            session.remove(annotation)
    alone = session.tune("red")
    alone.wait()
    assert alone._figures.value.count("–") >= 4
    assert "own images are annotated by hand" in alone._figures.value
    alone.sweep()
    alone.wait()
    assert "the examples' own images: F1 –" in alone.status
    good, bad = [n for n, preview in enumerate(alone.previews) if not preview.is_example and preview.matches][:2]
    alone.mark(good, 0, True)
    alone.mark(bad, 0, False)
    alone.sweep()
    alone.wait()
    assert alone.error == ""
    assert "on 2 marks, the best F1" in alone.status
    best = alone.result.rows[0].tally
    assert (best.wanted, best.found) == (1, 1)
    alone.close()


def is_example(tuner, sample):
    return any(sample.image.pixel_hash in each.pixel_hashes for each in tuner.saved.categories)


def test_marks_beside_annotations_by_hand(tuner):
    place = next(n for n, p in enumerate(tuner.previews) if p.figures is None and p.matches)
    tuner.sweep()
    tuner.wait()
    wanted = tuner.result.rows[0].tally.wanted
    tuner.mark(place, 0, True)
    tuner.sweep()
    tuner.wait()
    assert tuner.result.rows[0].tally.wanted == wanted + 1
    assert "on 2 images and 1 mark," in tuner.status


def test_a_value_that_the_page_only_rounds_is_not_rewritten(session, tuner):
    tuner.set(min_score=0.333)
    tuner.wait()
    slider = tuner._sliders["max_overlap"]
    tuner._values["max_overlap"] = 0.444
    slider.value = 0.44  # what the page makes of it
    assert tuner.template.parameters["max_overlap"] == 0.444
    slider.value = 0.5
    assert tuner.template.parameters["max_overlap"] == 0.5
    assert tuner.template.parameters["min_score"] == 0.333


def test_sliders_have_plain_names(tuner):
    assert tuner._sliders["max_overlap"].description == "overlap up to (share)"
    assert all(slider.description and "_" not in slider.description for slider in tuner._sliders.values())
    assert tuner._sliders["max_overlap"].tooltip.endswith("(max_overlap)")
    assert all('class="samnb-enlarge"' in cell.value for cell in tuner._cells)


def test_guidance_is_offered_to_models_that_have_it(tuner, session):
    slider = tuner._sliders["guidance"]
    assert slider.disabled
    assert "not with" in slider.tooltip
    other = session.save_template(tuner.saved.with_parameters(guidance=0.5))
    again = session.tune(other)
    assert not again._sliders["guidance"].disabled  # it can be set back
    again.set(guidance=0.0)
    assert again._sliders["guidance"].disabled
    again.close()
