"""The pipeline with models that say when they were asked and wait for the test."""

import sys
import threading
import time
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import samnb.session
from samnb.encoding.autotune import MIN_IMAGES_TO_TUNE, TuningResult
from samnb.encoding.pipeline import Pipeline
from samnb.encoding.tasks import EncodeTask
from samnb.errors import ModelError
from samnb.jobs import JobControl
from samnb.models.preprocessing import Prepared
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.support.waiting import calls_of, wait_until

LONG = 300  # seconds after which a test gives up


class PreparingModel(NumpyModel):
    """Takes prepared images, in batches; `at_prepare` and `at_encode` are called with what they get."""

    def __init__(self, *, at_prepare=lambda number: None, at_encode=lambda numbers: None):
        super().__init__()
        self.at_prepare, self.at_encode = at_prepare, at_encode
        self.prepared, self.batches = [], []

    def prepare(self, pixels):
        pixels = np.asarray(pixels)
        number = int(pixels[0, 0, 0])
        self.prepared.append(number)
        self.at_prepare(number)
        return Prepared(pixels, pixels.shape[:2])

    def encode_prepared(self, batch):
        numbers = [int(one.resized[0, 0, 0]) for one in batch]
        self.batches.append(numbers)
        self.at_encode(numbers)
        return [super(PreparingModel, self).encode(one.resized) for one in batch]

    def encode(self, pixels):
        return self.encode_prepared([self.prepare(pixels)])[0]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A session of so many pictures, number i all of value i, and a pipeline for all of them."""
    # What waits for a processor does not wait for another one's lock.
    monkeypatch.setattr("samnb.encoding.pipeline._LOCK_PATIENCE", LONG)
    sessions = []

    def start(model, count=8, control=None, **options):
        monkeypatch.setattr(samnb.session, "load_model", lambda *args, **kwargs: model)
        session = Session(tmp_path / "session")
        sessions.append(session)
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        for number in range(count):
            Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(folder / f"{number:02}.png")
        session.add(folder)
        tasks = [session._encoder.task(image) for image in session.images()]
        return session, Pipeline(tasks, session._encoder, control or JobControl(), **options)

    yield start
    for session in sessions:
        session.close()


def wait_until_read(pipeline, wanted):
    """So many of the next images can be encoded, and none before them is still being read."""

    def read():
        with pipeline._lock:
            states = [slot.state for slot in pipeline._slots]
        return "reading" not in states and states.count("ready") >= wanted

    wait_until("the next ones are read", read, every=0.005)


def in_background(events):
    found = []
    thread = threading.Thread(target=lambda: found.extend(events), daemon=True)
    thread.start()
    return found, thread


def test_an_image_is_read_while_the_one_before_it_is_encoded(start):
    def wait_for_the_next(numbers):
        following = numbers[-1] + 1
        wait_until("the next one is read", lambda: following == 6 or following in model.prepared)

    model = PreparingModel(at_encode=wait_for_the_next)
    _, pipeline = start(model, 6)
    assert [event.status for event in pipeline.events()] == ["computed"] * 6


def test_an_image_is_encoded_while_the_one_before_it_is_written(start, monkeypatch):
    encoding = threading.Event()
    model = PreparingModel(at_encode=lambda numbers: encoding.set() if numbers == [1] else None)
    session, pipeline = start(model, 3)
    put = session.cache.put

    def slow_put(key, embedding, **options):
        if len(model.batches) == 1:
            assert encoding.wait(LONG)
        return put(key, embedding, **options)

    monkeypatch.setattr(session.cache, "put", slow_put)
    assert [(event.index, event.status) for event in pipeline.events()] == [(i, "computed") for i in (1, 2, 3)]


def test_events_and_encoding_keep_the_order_whatever_reading_takes(start):
    model = PreparingModel(at_prepare=lambda number: time.sleep(0.05 if number % 3 == 0 else 0))
    _, pipeline = start(model, 10, readers=3)
    events = list(pipeline.events())
    assert [event.index for event in events] == list(range(1, 11))
    assert [event.filename for event in events] == [f"{i:02}.png" for i in range(10)]
    assert model.batches == [[i] for i in range(10)]
    assert all(event.ms > 0 for event in events)


def test_no_more_images_are_held_than_the_window_and_no_more_read_at_once_than_there_are_readers(start, monkeypatch):
    gate, lock, now, most = threading.Semaphore(0), threading.Lock(), [0], [0]

    def count(number):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1

    model = PreparingModel(at_prepare=count, at_encode=lambda numbers: gate.acquire(timeout=LONG))
    _, pipeline = start(model, 20, readers=2)
    looks = calls_of(monkeypatch, pipeline, "_start_more")
    found, thread = in_background(pipeline.events())
    wait_until("the window is full", lambda: len(model.prepared) == pipeline.window)
    before = len(looks)
    wait_until("it has looked for more to begin", lambda: len(looks) > before + 1)
    assert len(model.prepared) == pipeline.window == 5
    assert most[0] <= 2
    gate.release(100)
    thread.join(LONG)
    assert len(found) == 20
    assert most[0] <= 2


def test_pictures_being_read_stay_within_the_bytes_allowed_and_one_is_always_read(start):
    lock, now, most = threading.Lock(), [0], [0]

    def count(number):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    one = 8 * 20 * 30  # as it is read; prepared it is 20 x 30 x 3 bytes
    for index, (allowed, at_once) in enumerate(((1, 1), (one * 2 + 1800, 2))):
        now[0] = most[0] = 0
        session, pipeline = start(PreparingModel(at_prepare=count), 8, readers=4, read_ahead=allowed)
        session.cache.clear_memory()
        for image in session.images():
            session.cache.remove(session._encoder.key(image.pixel_hash))
        assert [event.status for event in pipeline.events()] == ["computed"] * 8, index
        assert most[0] <= at_once


def test_one_that_fails_fails_alone_also_in_a_batch(start):
    def refuse(numbers):
        if 3 in numbers:
            raise RuntimeError(f"cannot encode {numbers}")

    gate = threading.Event()
    model = PreparingModel(at_encode=lambda numbers: (gate.wait(LONG), refuse(numbers)))
    session, pipeline = start(model, 7, readers=2, batch=3)
    (session.folder.parent / "pictures" / "05.png").write_bytes(b"no picture")
    found, thread = in_background(pipeline.events())
    wait_until("five are read", lambda: len(model.prepared) >= 5)
    gate.set()
    thread.join(LONG)
    assert [event.status for event in found] == ["computed"] * 3 + ["failed", "computed", "failed", "computed"]
    assert found[3]["error"] == "cannot encode [3]"
    assert "05.png" in found[5]["error"]
    assert max(len(batch) for batch in model.batches) == 3
    assert [image.embedding_cached for image in session.images()] == [event.status == "computed" for event in found]


def test_a_cancel_lets_the_image_in_the_net_be_kept_and_nothing_half(start):
    gate, control = threading.Semaphore(2), JobControl()
    model = PreparingModel(at_encode=lambda numbers: gate.acquire(timeout=LONG))
    session, pipeline = start(model, 12, control)
    found, thread = in_background(pipeline.events())
    wait_until("the third is encoded", lambda: model.batches == [[0], [1], [2]] and len(found) == 2)
    control.cancel()
    gate.release(100)
    thread.join(LONG)
    assert [event.index for event in found] == [1, 2, 3]
    assert model.batches == [[0], [1], [2]]
    assert [image.embedding_cached for image in session.images()] == [True] * 3 + [False] * 9
    assert session.cache.check().ok
    assert not list(session.folder.glob("embeddings/??/??/.tmp-*"))
    wait_until("no computation is left", lambda: session.cache._flights._running == {})
    again = Pipeline(pipeline._tasks, session._encoder, JobControl())
    assert [event.status for event in again.events()] == ["skipped"] * 3 + ["computed"] * 9


def test_who_takes_no_more_events_leaves_nothing_running(start):
    session, pipeline = start(PreparingModel(), 80)
    events = pipeline.events()
    assert next(events).index == 1
    events.close()
    encoded = session.model.encodes
    wait_until("its threads end", lambda: not any(t.name.startswith("samnb image") for t in threading.enumerate()))
    assert session.model.encodes == encoded == len(session.cache) < 80
    assert not pipeline._encoder_thread.is_alive()


def test_the_last_events_wait_for_nothing(start, monkeypatch):
    monkeypatch.setattr("samnb.encoding.pipeline._RECORD_EVERY", 2 * LONG)
    session, pipeline = start(PreparingModel(), 3)
    began = time.monotonic()
    assert [event.status for event in pipeline.events()] == ["computed"] * 3
    assert [event["skipped"] for event in session.prewarm_stream()][:3] == [True] * 3
    assert time.monotonic() - began < LONG


def test_an_image_that_was_read_ahead_and_is_looked_at_is_encoded_next(start):
    gate = threading.Semaphore(0)
    model = PreparingModel(at_encode=lambda numbers: gate.acquire(timeout=LONG))
    session, pipeline = start(model, 10, readers=2)
    found, thread = in_background(pipeline.events())
    wait_until("the window is full", lambda: len(model.prepared) == pipeline.window and model.batches == [[0]])
    looked_at = session.images()[3]
    session.look_at(looked_at, neighbours=[session.images()[9]])
    wait_until(
        "the image is wanted",
        lambda: session._encoder.priority_lock_prefixes() == {session._encoder.key(looked_at.pixel_hash)[:2]},
    )
    gate.release(100)
    thread.join(LONG)
    assert model.batches[:3] == [[0], [3], [9]]
    assert [event.index for event in found] == list(range(1, 11))
    assert found[9].status == "skipped"
    assert model.encodes == 10


def test_what_was_read_ahead_is_given_up_in_a_pause_so_that_nobody_waits_for_it(start):
    gate, control = threading.Semaphore(0), JobControl()
    model = PreparingModel(at_encode=lambda numbers: gate.acquire(timeout=LONG))
    session, pipeline = start(model, 8, control)
    found, thread = in_background(pipeline.events())
    wait_until("the window is full", lambda: len(model.prepared) == pipeline.window and model.batches == [[0]])
    control.pause()
    gate.release(1)
    wait_until("one is found", lambda: len(found) == 1)
    gate.release(100)
    _, hit = session.embedding(session.images()[2])  # was read ahead
    assert not hit
    assert model.batches == [[0], [2]]
    control.resume()
    thread.join(LONG)
    assert [event.status for event in found] == ["computed", "computed", "skipped", *["computed"] * 5]
    assert model.encodes == 8


def test_images_that_share_a_lock_do_not_stop_each_other(start, monkeypatch):
    model = PreparingModel()
    _, pipeline = start(model, 6, readers=3)
    monkeypatch.setattr("samnb.encoding.pipeline._LOCK_PATIENCE", 0.25)
    pipeline._tasks = [replace(task, key="00" + task.key[2:], made_by=("", "")) for task in pipeline._tasks]
    assert [event.status for event in pipeline.events()] == ["computed"] * 6
    assert sorted(model.batches) == [[i] for i in range(6)]


def test_batch_readers_and_memory_are_settings(start, monkeypatch):
    monkeypatch.setenv("SAMNB_BATCH", "3")
    monkeypatch.setenv("SAMNB_READERS", "5")
    _, pipeline = start(PreparingModel(), 1)
    assert (pipeline.readers, pipeline.window) == (5, 12)


class SideBySide(PreparingModel):
    """Encodes three images at the same time."""

    def side_by_side(self):
        return 3


@pytest.mark.parametrize(("options", "most"), [({}, 3), ({"batch": 2}, 2), ({"alone": False}, 1)])
def test_a_model_that_encodes_side_by_side_gets_as_many_unless_others_share_the_processors(start, options, most):
    def reading_keeps_up(numbers):
        wait_until_read(pipeline, min(most, 9 - model.encodes - len(numbers)))

    model = SideBySide(at_encode=reading_keeps_up)
    _, pipeline = start(model, 9, readers=2, **options)
    assert [event.status for event in pipeline.events()] == ["computed"] * 9
    assert max(map(len, model.batches)) == most
    assert sorted(number for batch in model.batches for number in batch) == list(range(9))


class FreeModel(PreparingModel):
    """Leaves to others on how many threads it runs; its runs take what the test says, by the test's own clock."""

    def __init__(self, lasts, *, device="cpu"):
        super().__init__()
        self.pipeline = None
        self.device, self.lasts, self.now, self.threads, self.sizes = device, lasts, 0.0, [], []

    encoder_threads = None

    def encode_prepared(self, batch):
        import torch

        self.threads.append(torch.get_num_threads())
        self.sizes.append(len(batch))
        if self.pipeline is not None:  # reading keeps up
            left = len(self.pipeline._tasks) - self.encodes - len(batch)
            wait_until_read(self.pipeline, min(self.pipeline._batch_size.size, left))
        self.now += self.lasts(self.threads[-1], len(batch))
        return super().encode_prepared(batch)


def run(start, model, count, **options):
    session, pipeline = start(model, count, **options)
    pipeline._clock = lambda: model.now
    if model.device == "cuda":
        model.pipeline = pipeline
        # no two that share a lock, and would wait for each other
        pipeline._tasks = [
            replace(task, key=f"{i:02x}" + task.key[2:], made_by=("", "")) for i, task in enumerate(pipeline._tasks)
        ]
    events = list(pipeline.events())
    assert [event.status for event in events] == ["computed"] * count, events
    return session, pipeline


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("one_takes", "chosen"), [(1.7, 2), (0.9, 1)])
def test_a_run_tries_one_thread_beside_all_and_goes_on_with_what_is_faster(start, one_takes, chosen):
    model = FreeModel(lambda threads, count: one_takes if threads == 1 else 1.0)
    session, pipeline = run(start, model, 24)
    assert model.threads[:3] == [2, 2, 1]  # the first builds the net and does not count
    assert set(model.threads[7:]) == {chosen}
    assert model.threads.count(1) == (1 if chosen == 2 else 24 - model.threads.count(2))
    assert pipeline.tuning == session._encoder.tuning == TuningResult(batch=1, threads=chosen, readers=1)
    assert pipeline.readers == 1


@pytest.mark.usefixtures("two_threads")
def test_what_was_found_holds_for_the_session_and_is_told(start):
    model = FreeModel(lambda threads, count: 1.7 if threads == 1 else 1.0)
    session, _ = run(start, model, 24)
    tried = len(model.threads)
    for image in session.images():
        session.cache.remove(session._encoder.key(image.pixel_hash))
    events = list(session.prewarm_stream())
    assert set(model.threads[tried:]) == {2}
    assert events[0]["pace"] == "1 image at a time on 2 threads, reading on 1 thread"
    # What sums a run up is the same on every machine.
    assert not any(event.get("pace") for event in events[1:])


@pytest.mark.usefixtures("two_threads")
def test_what_is_found_on_the_way_is_told_once(start):
    model = FreeModel(lambda threads, count: 1.7 if threads == 1 else 1.0)
    session, _ = start(model, 24)
    told = [event.get("pace") for event in session.prewarm_stream()]
    assert len(list(filter(None, told))) == 1
    assert told[-1] is None


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("count", [7, 19])
def test_a_short_run_tries_no_other_threads(start, count):
    model = FreeModel(lambda threads, count: 1.0)
    _, pipeline = run(start, model, count)
    assert set(model.threads) == {2}
    assert (pipeline.tuning is None) == (count < 8)


@pytest.mark.usefixtures("two_threads")
def test_settings_go_before_what_could_be_found(start, monkeypatch):
    monkeypatch.setenv("SAMNB_READERS", "3")
    model = FreeModel(lambda threads, count: 1.0)
    model.encoder_threads = 2  # as where SAMNB_THREADS says so
    _, pipeline = run(start, model, 24)
    assert set(model.threads) == {2}
    assert pipeline.readers == 3
    assert pipeline.tuning == TuningResult(batch=1, threads=2, readers=3)


def test_on_a_gpu_the_batch_grows_while_it_pays_and_is_kept(start):
    model = FreeModel(lambda threads, count: 0.1 + 0.4 * max(0, count - 4), device="cuda")
    session, pipeline = run(start, model, 80, readers=4)
    assert pipeline.tuning == TuningResult(batch=4, threads=None, readers=4)
    assert max(model.sizes) <= 8
    again = Pipeline(pipeline._tasks, session._encoder, JobControl())
    assert again.window == again.readers + 2 * 4 + 1


def test_embeddings_do_not_depend_on_what_was_chosen(start):
    model = FreeModel(lambda threads, count: 0.1, device="cuda")
    session, pipeline = run(start, model, 20)
    assert max(model.sizes) > 1
    for task in pipeline._tasks:
        found, pixels = session.cache.get(task.key), np.asarray(Image.open(task.path).convert("RGB"))
        alone = NumpyModel().encode(pixels)
        np.testing.assert_array_equal(
            found.tensors["image_embedding"], alone.tensors["image_embedding"].astype("float16")
        )


class Broken(PreparingModel):
    """Its net runs; what else is asked of it fails."""

    @property
    def device(self):
        raise RuntimeError("no such device")


def test_a_model_that_breaks_between_runs_fails_images_and_hangs_nobody(start, monkeypatch):
    monkeypatch.setattr(samnb.encoding.pipeline, "MIN_IMAGES_TO_TUNE", 4)  # the device is asked for after the first run
    _, pipeline = start(Broken(), count=8)
    events, thread = in_background(pipeline.events())
    thread.join(LONG)
    assert len(events) == 8
    assert events[0].status == "computed"
    failed = [event for event in events if event.status == "failed"]
    assert failed
    assert all("no such device" in event.details["error"] for event in failed)


class Missing(SideBySide):
    """Its device is not there."""

    @property
    def device(self):
        raise ModelError("device='cuda': this machine has 0 of kind 'cuda'.")

    def side_by_side(self):
        return 3 if self.device == "cpu" else 1

    def encode_prepared(self, batch):
        return self.device and super().encode_prepared(batch)


def test_each_image_says_that_the_device_is_missing(start):
    _, pipeline = start(Missing(), count=MIN_IMAGES_TO_TUNE + 2)
    events, thread = in_background(pipeline.events())
    thread.join(LONG)
    assert [event.details["error"] for event in events] == ["device='cuda': this machine has 0 of kind 'cuda'."] * (
        MIN_IMAGES_TO_TUNE + 2
    )


class _Slots(deque):
    """Others run while the encoder's thread goes through it."""

    def __iter__(self):
        for slot in super().__iter__():
            if threading.current_thread().name == "samnb encoder":
                time.sleep(1e-5)
            yield slot


class _Store:
    """Has most of what it is asked for; what is asked of an `EmbeddingCache`."""

    dtype = "float16"

    def __contains__(self, key):
        return int(key, 16) % 20 != 0

    def get_or_compute(self, key, compute, *, about):
        return compute(), False


class _Encoder:
    """What is asked of an `Encoder`, for tasks without files."""

    tuning = None

    def __init__(self, model):
        self.model, self.cache = model, _Store()

    def find_cached(self, tasks):
        return {task.key for task in tasks}

    def priority_lock_prefixes(self):
        return None

    def check_kept(self, task):
        pass


def test_images_begin_and_end_while_the_encoder_goes_through_them(monkeypatch):
    pixels = np.zeros((16, 16, 3), np.uint8)
    monkeypatch.setattr("samnb.encoding.pipeline.read_for", lambda model, task: Prepared(pixels, (16, 16)))
    of_all = dict.fromkeys(("path", "pixel_hash", "dataset", "model", "checkpoint", "device", "folder", "dtype"), "")
    tasks = [EncodeTask(key=f"{i:08x}", filename=str(i), pixels=1, **of_all) for i in range(3000)]
    pipeline = Pipeline(tasks, _Encoder(PreparingModel()), JobControl(), readers=4, batch=50)
    pipeline._slots = _Slots()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        events, thread = in_background(pipeline.events())
        thread.join(6 * LONG)
    finally:
        sys.setswitchinterval(before)
    assert not thread.is_alive()
    assert [event.index for event in events] == list(range(1, 3001))
    assert [event.details for event in events if event.status == "failed"] == []
    assert sum(event.status == "computed" for event in events) == 150


class Forgetful(PreparingModel):
    def encode_prepared(self, batch):
        return super().encode_prepared(batch)[1:]


def test_a_model_that_gives_too_few_embeddings_is_told_so(start):
    _, pipeline = start(Forgetful(), count=3)
    events, thread = in_background(pipeline.events())
    thread.join(LONG)
    assert [event.status for event in events] == ["failed"] * 3
    assert all("expected 1 embeddings of as many images; got 0" in event.details["error"] for event in events)


class _Blocks:
    """Blocks of so many images from the first one, until they are given up."""

    def __init__(self, count):
        self.next, self.ended = count, []

    def reset(self):
        self.next = 0

    def image_ended(self, seconds, *, now):
        pass

    def block_ended(self, count, seconds):
        self.ended.append(count)


class Threads(PreparingModel):
    """Remembers which threads ran it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.by = []

    def encode_prepared(self, batch):
        self.by.append(threading.current_thread().name)
        return super().encode_prepared(batch)


def in_blocks(start, model, count, size, control=None):
    session, pipeline = start(model, count, control)
    pipeline._block_size = _Blocks(size)
    return session, pipeline


def test_one_thread_does_a_block_of_small_pictures_in_their_order(start):
    model = Threads()
    session, pipeline = in_blocks(start, model, 20, 8)
    (session.folder.parent / "pictures" / "05.png").write_bytes(b"no picture")
    events = list(pipeline.events())
    assert [event.index for event in events] == list(range(1, 21))
    assert [event.index for event in events if event.status == "failed"] == [6]
    assert model.by == ["samnb image 1"] * 7 + ["samnb image 9"] * 8 + ["samnb image 17"] * 4
    assert model.batches == [[i] for i in range(20) if i != 5]
    assert pipeline._block_size.ended == [8, 4]  # the one with a failed image tells nothing of its pace
    assert [image.embedding_cached for image in session.images()] == [i != 5 for i in range(20)]


def test_one_larger_picture_among_the_next_ends_blocks(start):
    model = Threads()
    _, pipeline = in_blocks(start, model, 12, 4)
    pipeline._tasks = [replace(task, pixels=10**7 if i == 6 else 600) for i, task in enumerate(pipeline._tasks)]
    assert [event.status for event in pipeline.events()] == ["computed"] * 12
    assert model.by == ["samnb image 1"] * 4 + ["samnb encoder"] * 8


def test_what_a_model_raises_in_a_block_fails_its_image_alone(start):
    def end(numbers):
        if 2 in numbers:
            raise SystemExit("out of patience")

    _, pipeline = in_blocks(start, Threads(at_encode=end), 6, 6)
    events, thread = in_background(pipeline.events())
    thread.join(LONG)
    assert [event.status for event in events] == ["computed"] * 2 + ["failed"] + ["computed"] * 3
    assert "out of patience" in events[2]["error"]


@pytest.mark.parametrize("stop", ["pause", "cancel"])
def test_a_pause_or_a_cancel_ends_a_block_with_the_image_in_the_net(start, stop):
    gate, control = threading.Semaphore(2), JobControl()
    model = Threads(at_encode=lambda numbers: gate.acquire(timeout=LONG))
    session, pipeline = in_blocks(start, model, 8, 8, control)
    found, thread = in_background(pipeline.events())
    wait_until("the third is encoded", lambda: model.batches == [[0], [1], [2]])
    getattr(control, stop)()
    gate.release(100)
    wait_until("three are found", lambda: len(found) == 3)
    if stop == "pause":
        _, hit = session.embedding(session.images()[5])  # nobody has it
        assert not hit
        assert model.batches == [[0], [1], [2], [5]]
        control.resume()
    thread.join(LONG)
    assert [event.status for event in found[3:]] == (
        ["computed", "computed", "skipped", "computed", "computed"] if stop == "pause" else []
    )
    assert model.encodes == len(session.cache) == (8 if stop == "pause" else 3)


def test_a_caller_who_waits_goes_before_the_rest_of_a_block(start):
    gate = threading.Semaphore(0)
    model = Threads(at_encode=lambda numbers: gate.acquire(timeout=LONG))
    session, pipeline = in_blocks(start, model, 8, 8)
    found, thread = in_background(pipeline.events())
    wait_until("the first is encoded", lambda: model.batches == [[0]])
    looked_at = session.images()[6]
    session.look_at(looked_at, neighbours=[])
    wait_until("the image is wanted", lambda: session._encoder.priority_lock_prefixes() is not None)
    gate.release(100)
    thread.join(LONG)
    assert sorted(model.batches[:2]) == [[0], [6]]
    assert [event.status for event in found].count("computed") >= 7
    assert model.encodes == 8


def test_an_image_of_a_block_that_waits_for_its_lock_does_not_stop_the_others(start, monkeypatch):
    model = Threads()
    session, pipeline = in_blocks(start, model, 8, 8)
    monkeypatch.setattr("samnb.encoding.pipeline._LOCK_PATIENCE", 2)
    key, going_on = pipeline._tasks[2].key, threading.Event()
    others = deque(pipeline._tasks)
    if sum(task.key[:2] == key[:2] for task in others) > 1:
        pytest.skip("another picture shares its lock")

    def slow():
        going_on.wait(LONG)
        return NumpyModel().encode(np.full((20, 30, 3), 2, np.uint8))

    other = threading.Thread(target=session.cache.get_or_compute, args=(key, slow), kwargs={"about": {}})
    other.start()
    wait_until("another one computes it", lambda: key in session.cache._flights._running)
    found, thread = in_background(pipeline.events())
    wait_until("all others are there", lambda: len(session.cache) == 7)
    assert [event.index for event in found] == [1, 2]
    going_on.set()
    thread.join(LONG)
    other.join(LONG)
    assert [event.status for event in found] == ["computed"] * 2 + ["skipped"] + ["computed"] * 5
    assert model.by == ["samnb image 1"] * 2 + ["samnb encoder"] * 5
