"""`vit_b` draws what templates find by the features of `tiny`. Its weights are random: this is about the plumbing."""

from __future__ import annotations

from pathlib import Path

import pytest

from samnb.session import Session
from tests.support.random_vit_b import RandomVitB
from tests.templates.test_strategies import GREEN, RED, scene, truth


@pytest.mark.slow
def test_vit_b_draws_on_the_meaning_of_tiny_and_both_encode_once(narrow_vit_b: RandomVitB, tmp_path: Path) -> None:
    pictures = [scene([(40, 40, 40, RED), (100, 100, 40, GREEN)]), scene([(100, 20, 40, RED), (20, 100, 40, GREEN)])]
    options = {"model": "vit_b", "checkpoint": narrow_vit_b.checkpoint}
    with narrow_vit_b.registered(), Session(tmp_path / "session", **options) as session:
        images = session.add(pictures).images
        session.accept_mask(images[0], truth(pictures[0], RED), category="red")
        template = session.template("red", features="tiny", min_score=0, max_area_ratio=1000, max_objects=3)
        assert template.features_model.startswith("tiny_lite0-")
        last = list(session.prewarm_stream())[-1]
        assert (last["computed"], last["skipped"]) == (2, 2)  # each model knew the picture of the example
        *events, last = session.apply_stream(template)
        assert [event.status for event in events] == ["computed", "computed"]
        assert (last["encoded"], session.model.encodes) == (0, 2)
        (features,) = {session.template_features(image, template).cells for image in images}
        assert features == (24, 24)
        for found in session.annotations(image=images[1]):
            assert (found.mask.shape, found.source) == ((160, 160), "template:red@1")
