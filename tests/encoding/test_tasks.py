import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import samnb.images.decode
import samnb.session
from samnb.cache import EmbeddingCache
from samnb.encoding.on_workers import EncodeWork, WorkerSetup, make_folder
from samnb.encoding.tasks import of_size, read_for
from samnb.errors import ImageChanged
from samnb.prompts import Embedding
from samnb.session import Session
from samnb.store.entry import serialize
from samnb.workers.bundle import Bundle, run_bundle
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        session.add(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
        yield session


def test_a_task_travels_and_its_result_holds_no_tensor(session, monkeypatch):
    worker = NumpyModel()
    monkeypatch.setattr("samnb.encoding.on_workers.load_model", lambda *args, **options: worker)
    task = pickle.loads(pickle.dumps(session._encoder.task(session.images()[0])))
    make_folder(session.cache)
    work = pickle.dumps(EncodeWork(WorkerSetup.of(session._encoder)))
    first, second = (run_bundle(Bundle("run", work, ((1, task),))) for _ in range(2))
    assert (first.unfit, second.unfit) == ("", "")
    assert [result.done[0].value.computed for result in (first, second)] == [True, False]
    assert worker.encodes == 1
    assert len(pickle.dumps(first)) < 500
    _, hit = session.embedding(session.images()[0])
    assert hit
    assert session.model.encodes == 0


def test_a_file_with_the_bytes_that_were_added_is_not_hashed_by_its_pixels(session, monkeypatch):
    task = session._encoder.task(session.images()[0])
    model = SimpleNamespace(prepare=lambda picture: picture.size, encode_prepared=list)
    expected = read_for(model, replace(task, content_hash=""))

    def refuse(picture):
        raise AssertionError("its pixels were hashed")

    monkeypatch.setattr(samnb.images.decode, "hash_of_upright", refuse)
    assert read_for(model, task) == expected


def test_a_file_written_anew_is_told_by_its_pixels(tmp_path):
    path, pixels = tmp_path / "a.png", np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(pixels).save(path)
    with Session(tmp_path / "s") as session:
        session.add([path], dataset="monday")
        task = session._encoder.task(session.images()[0])
    model = SimpleNamespace(prepare=np.asarray, encode_prepared=list)
    Image.fromarray(pixels).save(path, compress_level=0)
    np.testing.assert_array_equal(read_for(model, task), pixels)
    Image.fromarray(pixels + 1).save(path)
    with pytest.raises(ImageChanged, match=r"a\.png.*dataset='monday'"):
        read_for(model, task)


def test_an_entry_of_another_picture_under_the_key_is_set_aside(tmp_path: Path) -> None:
    cache, key = EmbeddingCache(tmp_path / "embeddings"), "ab" * 32
    wrong, right = (
        Embedding({"t": np.full((2, 2), value, np.float32)}, size, (4, 4)) for value, size in ((1, (9, 9)), (2, (6, 8)))
    )
    cache.put(key, wrong, about={})
    found, hit = of_size((6, 8), cache, key, lambda: right, {})
    assert (found.original_size, hit) == ((6, 8), False)
    assert of_size((6, 8), EmbeddingCache(cache.folder), key, lambda: wrong, {})[0].tensors["t"].max() == 2
    assert of_size(None, cache, key, lambda: wrong, {})[1] is True
    assert cache.check().quarantined == 1


def test_a_wrong_entry_that_stays_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be changed keeps it, or a remote tier has it again."""
    cache, key = EmbeddingCache(tmp_path / "embeddings"), "ab" * 32
    wrong, right = (
        Embedding({"t": np.full((2, 2), value, np.float32)}, size, (4, 4))
        for value, size in ((1, (9, 9)), (2.1, (6, 8)))
    )
    cache.put(key, wrong, about={})
    monkeypatch.setattr(EmbeddingCache, "set_aside", lambda self, key, reason: None)
    found, hit = of_size((6, 8), cache, key, lambda: right, {})
    assert (found.original_size, hit) == ((6, 8), False)
    assert found.tensors["t"].max() == np.float16(2.1)  # as from the store


def test_an_entry_of_another_model_is_set_aside(tmp_path: Path) -> None:
    """Its checksum and its key are right; what it says it was made of gives another key."""
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "a.png")
    with Session(tmp_path / "s") as session:
        session.add([tmp_path / "a.png"], dataset="monday", show=False)
        encoder, [image] = session._encoder, session.images()
        embedding, hit = encoder.embedding(image)
        assert not hit
        about = encoder.task(image).metadata
        for field in ("fingerprint", "pixel_hash", "recipe"):
            raw = serialize(
                encoder.key(image.pixel_hash), embedding, dtype="float16", metadata=about | {field: "other"}
            )
            session.cache.clear_memory()
            session.cache.path_of(encoder.key(image.pixel_hash)).write_bytes(raw)
            assert encoder.embedding(image)[1] is False, field
            session.cache.clear_memory()
            assert encoder.embedding(image)[1] is True
        assert session.cache.check().quarantined == 3
        region = (0, 0, 10, 10)
        assert [encoder.region_embedding(image, region)[1] for _ in range(2)] == [False, True]
        session.cache.clear_memory()
        assert encoder.region_embedding(image, region)[1] is True
