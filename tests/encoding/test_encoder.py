import threading
from collections import deque
from contextlib import suppress

import numpy as np
import pytest

import samnb.encoding.encoder
import samnb.encoding.tasks
import samnb.images.decode
import samnb.session
from samnb.errors import StoreError
from samnb.session import Session
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        session.add(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
        yield session


def test_the_key_tells_pixels_models_and_storage_apart(session, tmp_path):
    image = session.images()[0]
    keys = {session._encoder.key(image.pixel_hash), session._encoder.key("0" * 64)}
    with Session(tmp_path / "other", cache={"dtype": "float32"}) as other:
        keys.add(other._encoder.key(image.pixel_hash))
        other.model.fingerprint = "numpy-1"
        keys.add(other._encoder.key(image.pixel_hash))
        other.model.embedding_spec = "numpy/2"
        keys.add(other._encoder.key(image.pixel_hash))
    assert len(keys) == 5


def test_the_first_and_the_second_answer_are_the_same_bits(session):
    image = session.images()[0]
    first, hit = session.embedding(image)
    session.cache.clear_memory()
    second, hit_again = session.embedding(image)
    assert (hit, hit_again) == (False, True)
    np.testing.assert_array_equal(first.tensors["image_embedding"], second.tensors["image_embedding"])


def refuse(*arguments):
    raise StoreError("the database is locked")


def test_an_embedding_is_given_although_the_catalog_cannot_be_told(session, monkeypatch, caplog):
    image = session.images()[0]
    monkeypatch.setattr(session.catalog, "mark_pixels_cached", refuse)
    monkeypatch.setattr(session.catalog, "mark_held", refuse)
    assert [session.embedding(image)[1] for _ in range(2)] == [False, True]
    assert caplog.text.count("its embedding is in the store, and the catalog could not be told") == 2
    assert "the database is locked" in caplog.text
    *_, last = session.prewarm_stream()
    assert (last["skipped"], last["failed"]) == (1, 0)


def test_a_prewarm_goes_on_although_the_catalog_cannot_be_told(session, monkeypatch, caplog):
    monkeypatch.setattr(session.catalog, "mark_pixels_cached", refuse)
    monkeypatch.setattr(session.catalog, "mark_held", refuse)
    *_, last = session.prewarm_stream()
    assert (last["computed"], last["failed"]) == (1, 0)
    assert "the database is locked" in caplog.text


def test_one_image_taken_in_hand_by_two_threads_is_there_once(session):
    class Slow(deque):
        def remove(self, key):
            try:
                super().remove(key)
            finally:
                with suppress(threading.BrokenBarrierError):
                    together.wait(0.3)

    together, encoder, keys = threading.Barrier(2), session._encoder, [f"{n:064x}" for n in range(3)]
    encoder._recent_keys = Slow(keys)
    threads = [threading.Thread(target=encoder._pin_recent, args=[keys[0]]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(encoder._recent_keys) == [keys[1], keys[2], keys[0]]


def test_the_first_look_at_an_unchanged_file_hashes_no_pixels(session, monkeypatch):
    def refuse_to_hash(picture):
        raise AssertionError("its pixels were hashed")

    monkeypatch.setattr(samnb.images.decode, "hash_of_upright", refuse_to_hash)
    assert session.embedding(session.images()[0])[1] is False
