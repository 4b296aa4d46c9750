import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import ipycanvas.canvas
import ipywidgets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samnb.errors import ModelError, PromptError, UnknownName
from samnb.jobs import Event, Job
from samnb.prompts import Prompt
from samnb.ui.annotator.shapes import drawing
from samnb.ui.common.background import LatestOnlyWorker
from samnb.widgets import Annotator, Progress
from tests.support.fake_session import FakeSession


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def annotator(session):
    return Annotator(session)


def held():
    manager = ipycanvas.canvas._CANVAS_MANAGER
    return manager._caching or bool(manager._commands_cache)


# -- clicks, boxes, undo ------------------------------------------------------------------------------------


def test_a_click_asks_for_a_mask_and_shows_score_time_and_cache(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    assert session.asked == [Prompt.of(points=[(60, 40)])]
    assert annotator.prediction.best == 1
    assert annotator.status == "score 0.94 · 38 ms · cache hit"
    assert annotator.error == ""


def test_background_clicks_and_boxes_add_to_the_prompt(annotator):
    annotator.click(60, 40)
    annotator.click(10, 10, background=True)
    annotator.drag_box(90, 70, 20, 5)
    annotator.wait()
    assert annotator.prompt == Prompt(((60.0, 40.0), (10.0, 10.0)), (1, 0), (20.0, 5.0, 90.0, 70.0))


def test_undo_walks_back_over_a_clear(annotator):
    annotator.click(60, 40)
    annotator.click(70, 40)
    annotator.clear()
    assert not annotator.prompt
    annotator.undo()
    assert len(annotator.prompt.points) == 2
    annotator.undo()
    annotator.undo()
    annotator.undo()
    assert not annotator.prompt
    annotator.wait()
    assert annotator.prediction is None


def test_only_the_latest_of_a_burst_of_clicks_is_computed(annotator, session):
    session.gate = threading.Event()
    for x in range(10, 20):
        annotator.click(x, 40)
    session.gate.set()
    annotator.wait()
    assert len(session.asked) <= 2
    assert annotator.prediction.prompt == annotator.prompt
    assert len(annotator.prompt.points) == 10


def test_a_click_returns_at_once_and_says_that_it_encodes(annotator, session):
    session.cached, session.gate = False, threading.Event()
    annotator.click(60, 40)  # the gate opens later
    assert annotator.status == "loading the model tiny, then encoding 0.png, first time only …"
    session.gate.set()
    annotator.wait()
    assert annotator.status.endswith("encoded")


# -- accepting ----------------------------------------------------------------------------------------------


def test_accept_keeps_the_chosen_mask_under_the_category(annotator, session):
    annotator.category = "coin"
    annotator.click(60, 40)
    annotator.wait()
    annotator.choose(0)
    annotator.accept()
    [kept] = session.kept
    assert (kept.category, kept.image_id) == ("coin", "0")
    assert kept.score == pytest.approx(0.81)
    assert kept.mask.sum() < 300
    assert not annotator.prompt
    assert "1 annotated" in annotator._layout._header.value


def test_accept_before_the_mask_is_there_keeps_it_when_it_comes(annotator, session):
    session.gate = threading.Event()
    annotator.click(60, 40)
    annotator.accept()
    assert session.kept == []
    session.gate.set()
    annotator.wait()
    assert len(session.kept) == 1


@pytest.mark.parametrize("impatience", ["next", "click", "drag_box"])
def test_what_was_accepted_before_its_mask_is_there_does_not_get_lost(annotator, session, impatience):
    session.gate = threading.Event()
    annotator.click(10, 10)
    annotator.accept()
    first = annotator.image
    {
        "next": annotator.next,
        "click": lambda: annotator.click(30, 30),
        "drag_box": lambda: annotator.drag_box(1, 1, 9, 9),
    }[impatience]()
    assert "one moment" in annotator.status
    assert annotator.image is first
    session.gate.set()
    annotator.wait()
    assert len(session.kept) == 1


def test_accept_without_a_prompt_keeps_nothing(annotator, session):
    annotator.accept()
    assert session.kept == []
    assert "click an object" in annotator.status


def test_remove_deletes_the_annotation_and_its_outline(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    annotator.accept()
    annotator.remove(session.kept[0].id)
    assert session.kept == []
    assert annotator._layout.stage._saved == ()
    assert "0 annotated" in annotator._layout._header.value


def test_a_category_typed_into_the_field_is_chosen(annotator):
    annotator._layout._chips._new.value = "  rim "
    assert annotator.category == "rim"
    assert annotator._layout._chips._new.value == ""
    with pytest.raises(PromptError, match="category"):
        annotator.category = " "


# -- images -------------------------------------------------------------------------------------------------


def test_next_and_previous_stop_at_the_ends(annotator):
    annotator.previous()
    assert annotator.image.filename == "0.png"
    assert "first" in annotator.status
    for _ in range(5):
        annotator.next()
    assert annotator.image.filename == "2.png"
    assert "3 / 3" in annotator._layout._header.value


def test_the_draft_is_there_again_on_return(annotator):
    annotator.click(60, 40)
    annotator.next()
    assert not annotator.prompt
    annotator.previous()
    annotator.wait()
    assert annotator.prediction.prompt == Prompt.of(points=[(60, 40)])


def test_an_answer_for_the_image_before_is_not_drawn(annotator, session):
    session.gate = threading.Event()
    annotator.click(60, 40)
    annotator.next()
    session.gate.set()
    annotator.wait()
    assert annotator.prediction is None
    assert annotator._layout.stage._mask is None


def test_an_unreadable_image_is_reported_and_stepped_over(session):
    session.unreadable = ("1.png",)
    annotator = Annotator(session)
    annotator.next()
    assert annotator.image.filename == "0.png"
    assert "1.png: gone" in annotator.error
    annotator.next()
    assert annotator.image.filename == "2.png"


def test_a_session_without_images_says_what_to_do():
    annotator = Annotator(FakeSession(sizes=[]))
    [empty] = annotator._layout._empty.children
    assert any("session.add" in line.value for line in empty.children if isinstance(line, ipywidgets.HTML))
    annotator.click(1, 1)
    annotator.key("Enter")
    annotator.next()
    assert annotator._layout._empty.children == (empty,)
    assert annotator.snapshot().ndim == 3


def test_start_at_an_image_of_ones_choice(session):
    assert Annotator(session, image="1.png").image.filename == "1.png"
    with pytest.raises(UnknownName, match=r"Did you mean '1\.png'"):
        Annotator(session, image="1.pn")
    with pytest.raises(UnknownName, match="dataset"):
        Annotator(session, dataset="tuesday")
    with pytest.raises(TypeError, match="zoom"):
        Annotator(session, zoom=2)


# -- errors are shown, and the next click works ---------------------------------------------------------------


def test_a_click_outside_is_shown_and_changes_nothing(annotator):
    annotator.click(500, 3)
    assert "outside 0.png, which is 120 wide and 80 high" in annotator.error
    annotator.click(float("nan"), 3)
    assert not annotator.prompt
    annotator.click(5, 5)
    annotator.wait()
    assert annotator.error == ""


def test_a_failing_decode_leaves_everything_as_it_was(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    before = annotator.prediction
    session.error = ModelError("out of memory. Close something.")
    annotator.click(70, 40)
    annotator.wait()
    assert annotator.error == "No mask for this prompt: out of memory. Close something."
    assert annotator.prediction is before
    session.error = None
    annotator.click(71, 40)
    annotator.wait()
    assert annotator.prediction.prompt == annotator.prompt


def test_an_error_of_somebody_else_names_its_class(annotator, session, caplog):
    session.error = ZeroDivisionError("oops")
    annotator.click(60, 40)
    annotator.wait()
    assert annotator.error == "No mask for this prompt: ZeroDivisionError: oops"
    assert "oops" in caplog.text
    annotator._layout.error_line.dismiss()
    assert annotator._layout.error_line.layout.display == "none"


def test_drawing_that_fails_does_not_leave_the_canvas_held(annotator):
    layer = annotator._layout.stage.canvas[0]
    with pytest.raises(ZeroDivisionError), drawing():
        layer.fill_rect(0, 0, 5, 5 / 0)
    assert not held()
    with pytest.raises(TypeError), drawing():
        layer.fill_rect(0, 0, np.int64(5), 5)
    assert not held()


# -- keys, and anything in any order -------------------------------------------------------------------------


def test_keys(annotator, session):
    annotator.click(60, 40)
    annotator.wait()
    annotator.key("3", alt=True)
    annotator.key("9")
    annotator.key("F5")
    annotator.key("s", ctrl=True)
    annotator.key("Enter")
    assert session.kept[0].mask.all()
    annotator.key("ArrowRight")
    assert annotator.image.filename == "1.png"
    annotator.key("ArrowLeft")
    annotator.click(5, 5)
    annotator.key("z", ctrl=True)
    assert not annotator.prompt
    annotator.click(5, 5)
    annotator.key("Escape")
    assert not annotator.prompt


anywhere = st.floats(-50, 200) | st.sampled_from([float("nan"), float("inf"), 0.0, 80.0, 120.0])
inside = st.floats(0, 60)
steps = st.one_of(
    st.tuples(st.just("click"), anywhere, anywhere, st.booleans()),
    st.tuples(st.just("click"), inside, inside, st.booleans()),
    st.tuples(st.just("drag_box"), anywhere, anywhere, anywhere, anywhere),
    st.tuples(st.just("drag_box"), inside, inside, inside, inside),
    st.tuples(st.sampled_from(["undo", "clear", "accept", "next", "previous", "wait"])),
    st.tuples(st.just("choose"), st.integers(-2, 5)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(
        st.just("key"), st.sampled_from(["Enter", "Escape", "z", "ArrowRight", "1", "3", "?", ""]), st.booleans()
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25))
def test_no_sequence_of_actions_raises_holds_the_canvas_or_keeps_what_lies_outside(sequence):
    session = FakeSession()
    annotator = Annotator(session)
    for name, *arguments in sequence:
        getattr(annotator, name)(*arguments)
    annotator.wait()
    assert not held()
    for kept in session.kept:
        record = session.image(kept.image_id)
        assert kept.mask.shape == record.size_hw
        kept.prompt.check_inside(record.size_hw)
    if annotator.prediction is not None:
        assert annotator.prediction.prompt == annotator.prompt


# -- what goes over the wire --------------------------------------------------------------------------------


def test_a_new_page_gets_everything_drawn_again(annotator, monkeypatch):
    annotator.click(60, 40)
    annotator.wait()
    sent = []
    monkeypatch.setattr(ipycanvas.canvas._CANVAS_MANAGER, "_send_custom", lambda c, b=(): sent.append(c))
    annotator._layout.stage._on_client_ready()
    numbers = {command[0] for batch in sent for command in batch}
    needed = ("drawImage", "fillStyledPolygons", "fillCircle", "switchCanvas")
    assert numbers >= {ipycanvas.canvas.COMMANDS[name] for name in needed}


def test_the_mime_bundle_has_a_still_picture_beside_the_widget(annotator):
    annotator.click(60, 40)
    annotator.wait()
    bundle = annotator._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["image/png"].startswith("iVBORw0KGgo")
    assert bundle["text/plain"] == "<Annotator coins: 0.png, 0 annotations>"
    assert annotator.snapshot().shape == (80, 120, 3)
    assert len(np.unique(annotator.snapshot().reshape(-1, 3), axis=0)) > 3


# -- the worker ---------------------------------------------------------------------------------------------


def test_answers_are_called_on_the_loops_thread():
    async def main():
        worker, threads = LatestOnlyWorker(), []
        ended = asyncio.Event()
        worker.submit(
            threading.get_ident, lambda value, _: (threads.extend([value, threading.get_ident()]), ended.set())
        )
        await asyncio.wait_for(ended.wait(), 300)
        return threads

    worked_on, answered_on = asyncio.run(main())
    assert worked_on != answered_on == threading.get_ident()


def test_a_failing_answer_does_not_end_the_worker(caplog):
    worker, seen = LatestOnlyWorker(), []
    worker.submit(lambda: 1, lambda value, error: 1 / 0)
    worker.wait()
    worker.submit(lambda: 2, lambda value, error: seen.append(value))
    worker.wait()
    assert seen == [2]
    assert "ZeroDivisionError" in caplog.text


# -- progress -----------------------------------------------------------------------------------------------


def events(*statuses, **last):
    total = len(statuses)
    for index, status in enumerate(statuses, 1):
        details = {"error": "img.png: truncated <b>"} if status == "failed" else {}
        yield Event(status, index=index, total=total, filename=f"{index}.png", ms=5, details=details)
    yield Event("done", total=total, details=last)


def test_progress_counts_and_ends_with_the_seeds_summary():
    last = {"computed": 1, "skipped": 2, "failed": 1, "cache_size": 150}
    job = Job("prewarm", lambda control: events("skipped", "computed", "failed", "skipped", **last), total=4)
    job.wait(300)
    progress = Progress(job)
    assert progress.title == "Dataset ready (cache: 150 embeddings, computed: 1, skipped: 2, failed: 1)"
    assert dict(progress.counts) == {"skipped": 2, "computed": 1, "failed": 1}
    assert "truncated &lt;b&gt;" in progress._details.value
    assert progress._pause.layout.display == "none"
    assert progress._repr_mimebundle_()["text/plain"] == "Pre-warming cache: 4 images"


def test_progress_says_how_it_goes_fastest_once_that_is_known():
    def work(control):
        yield Event("computed", index=1, total=2, filename="1.png", ms=9)
        pace = {"pace": "1 image at a time on 2 threads, reading on 1 thread"}
        yield Event("computed", index=2, total=2, filename="2.png", ms=9, details=pace)
        yield Event("done", total=2, details={"computed": 2, "skipped": 0, "cache_size": 2, **pace})

    job = Job("prewarm", work, total=2)
    job.wait(300)
    assert "1 image at a time on 2 threads, reading on 1 thread" in Progress(job)._line.value


def test_a_pause_is_no_time_of_work(monkeypatch):
    gate, now = threading.Event(), [0.0]
    monkeypatch.setattr("samnb.ui.progress.time", SimpleNamespace(monotonic=lambda: now[0]))

    def work(control):
        gate.wait(300)
        yield from (Event("computed", index=n, total=3, filename=f"{n}.png", ms=9) for n in (1, 2))
        yield Event("done", total=3, details={"computed": 2, "skipped": 0, "cache_size": 2})

    job = Job("prewarm", work, total=3)
    job.started = 0.0
    progress = Progress(job)
    now[0] = 2.0
    progress.toggle_pause()
    now[0] = 60.0
    progress.toggle_pause()
    now[0] = 62.0
    gate.set()
    job.wait(300)
    progress._draw()
    assert progress._rate == pytest.approx(2 / 4)
    assert "0 found in the cache · ⏳ 2 encoded · 2.0 s an image" in progress._line.value


def test_progress_shows_the_seeds_title_while_it_runs():
    async def main():
        gate = threading.Event()

        def work(control):
            yield Event("computed", index=1, total=50, filename="1.png", ms=9)
            gate.wait(300)
            if control.go_on():
                yield Event("skipped", index=2, total=50, filename="2.png", ms=1)
            yield Event("done", total=50, details={"computed": 1, "skipped": 1, "cache_size": 2, "cancelled": True})

        job = Job("prewarm", work, total=50)
        progress = Progress(job)
        while progress.done < 1 or "1/50" not in progress.title:
            await asyncio.sleep(0.01)
        first = progress.title
        progress.toggle_pause()
        paused = (job.state, progress._pause.description, progress._line.value)
        progress.toggle_pause()
        resumed = progress._pause.description
        progress.cancel()
        stopping = progress._line.value
        gate.set()
        await job
        while not progress.title.startswith("Stopped"):
            await asyncio.sleep(0.01)
        return first, paused, resumed, stopping, progress.title

    first, paused, resumed, stopping, title = asyncio.run(asyncio.wait_for(main(), 300))
    assert first == "⏳ Pre-warming cache... 1/50"
    assert paused[:2] == ("paused", "Resume")
    assert "paused after the current image" in paused[2]
    assert resumed == "Pause"
    assert "stopping" in stopping
    assert title.startswith("Stopped (cache: 2 embeddings")


def test_progress_of_an_apply_counts_masks():
    def work(control):
        yield Event("computed", index=1, total=2, filename="1.png", ms=9, details={"masks": 7})
        yield Event("skipped", index=2, total=2, filename="2.png", ms=1)
        yield Event("done", total=2, details={"computed": 1, "skipped": 1, "failed": 0, "masks": 7})

    job = Job("apply coins", work, total=2)
    job.wait(300)
    progress = Progress(job)
    assert "7 masks" in progress._line.value
    assert progress.title.startswith("7 masks")


def test_progress_shows_what_ended_the_job():
    def work(control):
        yield Event("computed", index=1, total=3, filename="1.png", ms=9)
        raise ModelError("the device is gone. Restart the kernel.")

    job = Job("apply coins", work, total=3)
    with pytest.raises(ModelError):
        job.wait(300)
    progress = Progress(job)
    assert progress.title == "Applying coins stopped at 1/3"
    assert "the device is gone" in progress._error_line.text


def test_a_thousand_events_are_not_a_thousand_drawings(monkeypatch):
    drawn = []
    original = Progress._draw
    monkeypatch.setattr(Progress, "_draw", lambda self: (drawn.append(1), original(self)))
    job = Job(
        "prewarm", lambda control: events(*["skipped"] * 1000, skipped=1000, computed=0, cache_size=9), total=1000
    )
    job.wait(300)
    progress = Progress(job)
    assert progress.done == 1000
    assert len(drawn) < 50


def test_the_widgets_take_no_unknown_options():
    job = Job("prewarm", lambda control: events(), total=0)
    with pytest.raises(TypeError, match="colour"):
        Progress(job, colour="red")


def test_a_replaced_record_is_still_the_same_image(annotator, session):
    annotator.show(replace(annotator.image))
    assert annotator.image.filename == "0.png"
