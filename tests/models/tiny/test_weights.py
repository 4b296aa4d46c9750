"""The weights that ship: small, of this net, with their notices, and the coins they have to find."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open

from samnb.masks import mask_iou
from samnb.masks.clicks import first_click
from samnb.models import load_model, model_card, tiny
from samnb.models.tiny.model import LiteModel, is_lite_file
from samnb.prompts import Prompt
from tests.support.earlier_tiny import EARLIER_TINY

pytestmark = pytest.mark.slow


def test_import_is_cheap() -> None:
    code = "import sys, samnb.models.tiny; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_weights_are_small_and_say_where_they_come_from() -> None:
    assert tiny.WEIGHTS.stat().st_size <= 12e6
    with safe_open(tiny.WEIGHTS, "pt") as file:
        about = file.metadata()
    assert int(about["steps"]) > 1000
    assert about["seed"].isdecimal()
    notice = tiny.WEIGHTS.with_name("NOTICE").read_text(encoding="utf-8")
    assert "EfficientNet-Lite0" in notice
    assert "EfficientNet-Lite0" in model_card("tiny")


def test_the_earlier_net_is_another_model() -> None:
    """Its embeddings have other keys, so none is taken for one of the new net."""
    new, earlier = load_model("tiny", device="cpu"), load_model("tiny", checkpoint=EARLIER_TINY, device="cpu")
    assert isinstance(new, LiteModel)
    assert not is_lite_file(EARLIER_TINY)
    assert earlier.fingerprint.startswith("tiny-")
    assert new.fingerprint.startswith("tiny_lite0-")
    assert new.embedding_spec != earlier.embedding_spec
    pixels = np.full((60, 80, 3), 90, np.uint8)
    pixels[20:40, 30:60] = 200
    prompt = Prompt.of(points=[(45, 30)])
    assert earlier.decode(earlier.encode(pixels), prompt).masks.shape == (3, 60, 80)


def test_one_click_finds_a_coin() -> None:
    """The highest-scored of three masks must be worth showing."""
    pytest.importorskip("skimage")
    from benchmarks.evaluate_model import load_sets

    model, cases = load_model("tiny", device="cpu"), load_sets(["coins"])["coins"]
    embedding = model.encode(cases[0].pixels)
    ious = []
    for case in cases:
        prediction = model.decode(embedding, Prompt.of(points=[first_click(case.mask)]))
        ious.append(mask_iou(prediction.masks[int(prediction.scores.argmax())], case.mask))
    assert np.mean(ious) >= 0.9
