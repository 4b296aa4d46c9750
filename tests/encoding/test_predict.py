"""Prompts decoded on embeddings that an encoder finds or makes."""

import logging

import numpy as np
import pytest

import samnb.session
from samnb.encoding.predict import Predictor
from samnb.errors import PromptError
from samnb.prompts import Prompt
from samnb.session import Session
from tests.support.numpy_model import NumpyModel

POINT = Prompt.of(points=[(12, 14)])


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as session:
        session.add(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
        yield session


@pytest.fixture
def predictor(session):
    return Predictor(session._encoder, session.model)


def test_the_encoder_runs_once_and_the_log_says_so(session, predictor, caplog):
    caplog.set_level(logging.INFO, "samnb.session")
    [image] = session.images()
    first, second = predictor.predict(image, POINT), predictor.predict(image, POINT)
    assert (first.cache_hit, second.cache_hit, session.model.encodes) == (False, True, 1)
    assert (first.image, first.image_id, first.masks.shape[1:]) == (image.filename, image.id, (30, 40))
    assert first.ms > 0
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(" ")[2] for line in lines] == ["(cache_hit=False)", "(cache_hit=True)"]
    assert all(line.startswith("[SAM] Predicted mask in ") for line in lines)


def test_a_region_has_an_embedding_of_its_own_and_no_mask_beyond_it(session, predictor):
    [image] = session.images()
    predictor.predict(image, POINT)
    part = predictor.predict(image, POINT, region=(5, 6, 25, 26))
    assert (part.cache_hit, part.region, session.model.encodes) == (False, (5, 6, 25, 26), 2)
    assert part.prompt == POINT
    assert part.masks.shape[1:] == (30, 40)
    outside = np.ones((30, 40), bool)
    outside[6:26, 5:25] = False
    assert not part.masks[:, outside].any()


@pytest.mark.parametrize("region", [None, (20, 20, 40, 30)])
def test_a_point_outside_is_refused_before_anything_is_encoded(session, predictor, region):
    [image] = session.images()
    prompt = POINT if region else Prompt.of(points=[(50, 5)])
    with pytest.raises(PromptError, match="outside"):
        predictor.predict(image, prompt, region=region)
    assert session.model.encodes == 0
