import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy_model import NumpyModel
from PIL import Image

import samnb.encoding
import samnb.session
from samnb.encoding import encode_into_store, prepared_picture, read_checked
from samnb.errors import ImageChanged
from samnb.images import pixel_hash
from samnb.session import Session


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        session.add(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
        yield session


def test_a_task_travels_and_its_outcome_holds_no_tensor(session, monkeypatch):
    worker = NumpyModel()
    monkeypatch.setattr("samnb.encoding._model", lambda *args: worker)
    task = pickle.loads(pickle.dumps(session._encoder.task(session.images()[0])))
    first, second = encode_into_store(task), encode_into_store(task)
    assert (first.computed, second.computed, worker.encodes) == (True, False, 1)
    assert first.key == task.key
    assert len(pickle.dumps(first)) < 500
    _, hit = session.embedding(session.images()[0])
    assert hit
    assert session.model.encodes == 0


def test_the_key_tells_pixels_models_and_storage_apart(session, tmp_path):
    image = session.images()[0]
    keys = {session._encoder.key(image.pixel_hash), session._encoder.key("0" * 64)}
    with Session(tmp_path / "other", cache={"dtype": "float32"}) as other:
        keys.add(other._encoder.key(image.pixel_hash))
        other.model.fingerprint = "numpy-1"
        keys.add(other._encoder.key(image.pixel_hash))
        other.model.recipe = "numpy/2"
        keys.add(other._encoder.key(image.pixel_hash))
    assert len(keys) == 5


def test_pixels_that_changed_are_not_filed_under_the_old_hash(tmp_path):
    path = tmp_path / "a.png"
    before = np.zeros((4, 4, 3), np.uint8)
    Image.fromarray(before).save(path)
    np.testing.assert_array_equal(read_checked(path, pixel_hash(before), "monday"), before)
    Image.fromarray(before + 1).save(path)
    with pytest.raises(ImageChanged, match=r"a\.png.*changed since it was added.*dataset='monday'"):
        read_checked(path, pixel_hash(before), "monday")


def test_a_file_with_the_bytes_that_were_added_is_not_hashed_by_its_pixels(session, monkeypatch):
    task = session._encoder.task(session.images()[0])
    prepare = SimpleNamespace(prepare=lambda picture: picture.size)
    expected = prepared_picture(replace(task, content_hash=""), prepare)

    def refuse(picture):
        raise AssertionError("its pixels were hashed")

    monkeypatch.setattr(samnb.encoding, "hash_of_upright", refuse)
    assert prepared_picture(task, prepare) == expected


def test_a_file_written_anew_is_told_by_its_pixels(tmp_path):
    path, pixels = tmp_path / "a.png", np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(pixels).save(path)
    with Session(tmp_path / "s") as session:
        session.add([path], dataset="monday")
        task = session._encoder.task(session.images()[0])
    prepare = SimpleNamespace(prepare=np.asarray)
    Image.fromarray(pixels).save(path, compress_level=0)
    np.testing.assert_array_equal(prepared_picture(task, prepare), pixels)
    Image.fromarray(pixels + 1).save(path)
    with pytest.raises(ImageChanged, match=r"a\.png.*dataset='monday'"):
        prepared_picture(task, prepare)


def test_the_first_and_the_second_answer_are_the_same_bits(session):
    image = session.images()[0]
    first, hit = session.embedding(image)
    session.cache.clear_memory()
    second, hit_again = session.embedding(image)
    assert (hit, hit_again) == (False, True)
    np.testing.assert_array_equal(first.tensors["image_embedding"], second.tensors["image_embedding"])
