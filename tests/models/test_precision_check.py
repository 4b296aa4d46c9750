"""bfloat16 is chosen where it is faster and draws the same masks, and nowhere else."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samnb.models import REGISTRY, base, precision_check
from samnb.models.precision_check import Verdict, checked, compare, drawn_picture, verdicts_path
from samnb.models.sam.model import SamModel
from samnb.prompts import Embedding, Prediction, Prompt
from samnb.session import Session
from samnb.status import Status


class Double:
    """A model whose speed and masks are given."""

    name, fingerprint = "vit_b", "sam-1"

    def __init__(self, speed: float, changed: int = 0, precision: str = "auto"):
        self.speed, self.changed, self.precision, self.encoded = speed, changed, precision, [0]

    def in_precision(self, precision: str) -> Double:
        other = Double(self.speed, self.changed, precision)
        other.encoded = self.encoded
        return other

    def seconds_of_block(self, precisions: Any) -> dict[str, float]:
        assert self.precision == "float32"
        return {"float32": self.speed, "bfloat16": 1.0}

    def encode(self, pixels: np.ndarray) -> Embedding:
        self.encoded[0] += 1
        return Embedding(
            {"x": np.full(1, self.precision == "bfloat16", np.float32)}, pixels.shape[:2], pixels.shape[:2]
        )

    def decode_many(self, pairs: Any) -> list[Prediction]:
        """In bfloat16 the first `changed` masks lose a tenth."""
        found = []
        for number, (embedding, prompt) in enumerate(pairs):
            masks = np.zeros((2, 20, 20), bool)
            masks[1, :10] = True  # the one with the higher score
            masks[1, 9] = not (embedding.tensors["x"][0] and number < self.changed)
            found.append(Prediction(masks, np.array([0.2, 0.9]), np.zeros((2, 5, 5), np.float32), prompt))
        return found


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_check.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))


def test_faster_and_the_same_masks_is_bfloat16() -> None:
    assert compare(Double(2.14)) == Verdict(
        "bfloat16", "2.1 times as fast here, mask IoU 1.000 (19 of 20: 1.000) with float32's"
    )


def test_no_faster_is_float32_and_encodes_nothing() -> None:
    model = Double(1.2)
    assert compare(model) == Verdict("float32", "bfloat16 is 1.2 times as fast here; less than 1.3")
    assert model.encoded == [0]


@pytest.mark.parametrize(("changed", "told"), [(3, "(19 of 20: 0.900)"), (40, "mask IoU 0.900")])
def test_other_masks_are_float32(changed: int, told: str) -> None:
    found = compare(Double(2.0, changed))
    assert found.precision == "float32"
    assert told in found.reason
    assert "changes masks" in found.reason


def test_a_verdict_is_found_once_for_weights_processor_and_torch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = Double(2.0)
    with caplog.at_level(logging.WARNING, "samnb.models"):
        found = checked(model)
    assert "finding out once" in caplog.text
    assert found.reason in caplog.text
    assert checked(model) == found
    assert model.encoded == [2]
    monkeypatch.setattr(precision_check, "cpu_name", lambda: "another")
    assert checked(model) == found
    assert model.encoded == [4]
    model.fingerprint = "sam-2"
    checked(model)
    assert model.encoded == [6]


@pytest.mark.parametrize("error", [RuntimeError("could not create a primitive"), MemoryError("8 GB")])
def test_a_check_that_ends_in_an_error_is_float32_and_made_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def ends(*_: object) -> dict[str, float]:
        raise error

    model: Any = Double(2.0)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "samnb.models"):
        patched.setattr(Double, "seconds_of_block", ends)
        assert checked(model).precision == "float32"
    assert str(error) in caplog.text
    assert checked(model).precision == "bfloat16"


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"sam-1": 3}'])
def test_a_damaged_file_of_verdicts_is_made_again(content: str) -> None:
    verdicts_path().parent.mkdir(parents=True)
    verdicts_path().write_text(content)
    found = checked(Double(2.0))
    assert checked(Double(1.0)) == found  # remembered


def test_a_folder_that_cannot_be_written_only_forgets(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    assert checked(Double(2.0)).precision == "bfloat16"


def test_the_picture_is_always_the_same_and_has_things_to_click_on() -> None:
    picture = drawn_picture()
    assert picture.shape == (768, 768, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 20
    assert np.array_equal(picture, drawn_picture())


# -- a model that may choose ---------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes vit_b with random weights, eight times narrower; checks are counted."""
    import torch

    from samnb.models.sam import variants

    monkeypatch.delenv("SAMNB_PRECISION", raising=False)
    monkeypatch.setattr(base, "has_bfloat16", lambda: True)
    monkeypatch.setattr(base, "decide_precision", lambda precision, _: precision.replace("auto", "float32"))
    config = variants.sam_config("vit_b")
    sizes: Any = {"embed_dim": 96, "depth": 12, "num_heads": 3, "global_attn_indexes": (5, 11)}
    config = replace(config, image_encoder=lambda: variants.build_image_encoder(**sizes))
    torch.manual_seed(0)
    parts = ("image_encoder", "prompt_encoder", "mask_decoder")
    state = {f"{part}.{k}": v for part in parts for k, v in getattr(config, part)().state_dict().items()}
    weights: Any = SimpleNamespace(path=Path("random"), sha256="0" * 64, size_bytes=0, read=lambda: dict(state))
    calls: list[str] = []

    def check(model: Any) -> Verdict:
        calls.append(model.name)
        return Verdict("bfloat16", "because")

    monkeypatch.setattr(base, "checked", check)

    def make(**options: Any) -> SamModel:
        return SamModel(REGISTRY["vit_b"].info, weights, config, device="cpu", **options)

    return SimpleNamespace(make=make, calls=calls)


def test_auto_asks_the_check_when_its_precision_is_first_read(small: Any) -> None:
    model = small.make()
    assert model.may_choose
    assert small.calls == []
    assert model.embedding_spec.endswith("compute=bfloat16")
    assert model.embedding_spec == model.spec_in("bfloat16")
    assert model.precision_reason == "because"
    assert not model.may_choose
    assert small.calls == ["vit_b"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_named_precision_asks_nothing(precision: str, small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert small.make(precision=precision).precision == precision
    monkeypatch.setenv("SAMNB_PRECISION", precision)
    assert small.make().precision == precision
    assert small.calls == []


def test_a_processor_without_bfloat16_is_float32_and_says_so(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "has_bfloat16", lambda: False)
    model = small.make()
    assert not model.may_choose
    assert model.precision == "float32"
    assert small.calls == []
    assert model.precision_reason == "this processor has no bfloat16"


def test_the_embeddings_are_near_and_have_keys_of_their_own(small: Any) -> None:
    exact, near = small.make(precision="float32"), small.make(precision="bfloat16")
    a, b = (model.encode(drawn_picture()).tensors["image_embedding"].ravel() for model in (exact, near))
    assert a.dtype == b.dtype == np.float32
    assert not np.array_equal(a, b)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.9995
    assert exact.embedding_spec != near.embedding_spec


def test_the_whole_check_runs_on_a_real_net(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_check, "MIN_SPEED", 0.0)
    model = small.make()
    found = compare(model)
    assert "IoU" in found.reason
    assert found.precision in ("float32", "bfloat16")
    assert not model.encoder_built


@pytest.mark.parametrize("longest", ["", "300"])
@pytest.mark.parametrize(("kept", "checked"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_session_keeps_to_the_precision_of_its_embeddings(
    kept: str, checked: str, longest: str, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samnb.session.load_model", lambda *_, precision, **__: small.make(precision=precision))
    monkeypatch.setattr(base, "checked", lambda model: Verdict(checked, "because"))
    monkeypatch.setenv("DOWNSCALE_MAX", longest)
    with Session(tmp_path / "old", model="vit_b", precision=kept) as session:
        session.add(drawn_picture(), show=False)
        session.prewarm(show=False).wait()
    with Session(tmp_path / "old", model="vit_b") as session:
        assert (session.status().precision, session.status().cached) == (kept, 1)
        assert f"are in {kept}" in session.status().precision_reason
    with Session(tmp_path / "new", model="vit_b") as session:
        session.add(drawn_picture(), show=False)
        status: Status = session.status()
        assert (status.precision, status.precision_reason) == (checked, "because")
        assert session.predict(session.images()[0], points=[(96, 96)]).masks.shape[1:] == (768, 768)


def test_shared_embeddings_are_in_float32(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samnb.session.load_model", lambda *_, precision, **__: small.make(precision=precision))
    with Session(tmp_path / "a", model="vit_b", cache={"remote": [(tmp_path / "shared").as_uri()]}) as session:
        assert session.model.precision == "float32"
        assert "shared" in session.model.precision_reason
    assert small.calls == []


def test_prompts_of_the_check_lie_on_the_picture() -> None:
    for prompt in precision_check._prompts():
        assert isinstance(prompt, Prompt)
        prompt.check_inside(drawn_picture().shape[:2])


# -- models whose encoder computes by torch's autocast ---------------------------------------------------


def test_mobile_sam_and_families_of_transformers_may_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAMNB_PRECISION", raising=False)
    monkeypatch.setattr(base, "has_bfloat16", lambda: True)
    monkeypatch.setattr(base, "decide_precision", lambda precision, _: precision.replace("auto", "float32"))
    weights: Any = SimpleNamespace(path=Path("random"), sha256="0" * 64, size_bytes=0)
    assert REGISTRY["mobile_sam"].load(REGISTRY["mobile_sam"].info, weights, device="cpu").may_choose
    assert not REGISTRY["tiny"].load(REGISTRY["tiny"].info, weights, device="cpu").may_choose


def test_a_check_by_autocast_times_the_whole_encoder_and_compares_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from samnb.models.sam import mobile_sam

    monkeypatch.delenv("SAMNB_PRECISION", raising=False)
    config = replace(
        mobile_sam.sam_config(),
        image_encoder=lambda: mobile_sam.build_image_encoder(
            dims=(16, 32, 40, 48), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2)
        ),
    )
    torch.manual_seed(0)
    parts = ("image_encoder", "prompt_encoder", "mask_decoder")
    state = {f"{part}.{k}": v for part in parts for k, v in getattr(config, part)().state_dict().items()}
    weights: Any = SimpleNamespace(path=Path("random"), sha256="0" * 64, size_bytes=0, read=lambda: dict(state))
    model = SamModel(REGISTRY["mobile_sam"].info, weights, config, device="cpu")
    seconds = model.in_precision("float32").seconds_of_block(["float32", "bfloat16"])
    assert seconds.keys() == {"float32", "bfloat16"}
    assert min(seconds.values()) > 0
    monkeypatch.setattr(precision_check, "MIN_SPEED", 0.0)
    found = compare(model)
    assert "IoU" in found.reason
    near, exact = (model.in_precision(each).encode(drawn_picture()) for each in ("bfloat16", "float32"))
    a, b = (one.tensors["image_embedding"].ravel() for one in (near, exact))
    assert not np.array_equal(a, b)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.999
