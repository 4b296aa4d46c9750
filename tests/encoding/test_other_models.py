"""Other models of a session: opened once, with keys of their own, behind whoever waits for the session's model."""

import numpy as np
import pytest

import samnb.encoding.other_models
import samnb.session
from samnb.encoding.other_models import OtherModels
from samnb.session import Session
from tests.support.features_model import FeaturesModel
from tests.support.numpy_model import NumpyModel


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    monkeypatch.setattr(samnb.encoding.other_models, "load_model", lambda name, **options: FeaturesModel(name))
    with Session(tmp_path / "session") as session:
        session.add([np.full((24, 32, 3), value, np.uint8) for value in (10, 200)])
        yield session


def test_a_model_is_opened_once_and_the_sessions_own_is_its_own(session):
    others = OtherModels(session._encoder)
    assert others.encoder("meaning") is others.encoder("meaning")
    assert others.encoder("numpy") is session._encoder
    others.open("numpy", checkpoint="other.safetensors")  # named so on purpose
    assert others.encoder("numpy").checkpoint == "other.safetensors"


def test_a_worker_elsewhere_is_told_which_model_and_which_weights(session):
    others = OtherModels(session._encoder)
    others.open("meaning", checkpoint="mine.safetensors")
    (image, _), own = session.images(), session._encoder
    task = others.encoder("meaning").task(image)
    assert (task.model, task.checkpoint, task.folder) == ("meaning", "mine.safetensors", own.task(image).folder)
    assert task.key != own.task(image).key


def test_a_prewarm_of_another_model_lets_those_go_first_who_wait_for_the_sessions(session):
    others = OtherModels(session._encoder)
    with session._encoder.priority():
        assert others.encoder("meaning").priority_lock_prefixes() == frozenset()
    assert others.encoder("meaning").priority_lock_prefixes() is None


def test_features_stored_in_fewer_bytes_are_checked_as_features(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    monkeypatch.setattr(samnb.encoding.other_models, "load_model", lambda name, **options: FeaturesModel(name, "int-8"))
    with Session(tmp_path / "session", cache={"dtype": "int8"}) as session:
        pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
        session.add(pixels)
        [*_, event, done] = session.prewarm_stream(features=["meaning"])
        assert (event.status, done["features"]["meaning"]["computed"]) == ("computed", 1)
