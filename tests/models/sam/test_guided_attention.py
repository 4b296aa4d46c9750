"""Attention drawn to some cells, on the decoders of segment-anything and of tiny."""

import numpy as np
import pytest
import torch

from samnb.errors import PromptError
from samnb.models import load_model
from samnb.models.sam.guided_attention import guided_attention
from samnb.models.sam.reference import import_segment_anything
from samnb.models.sam.variants import build_mask_decoder
from samnb.prompts import Prompt
from tests.support.earlier_tiny import EARLIER_TINY

CLICK = Prompt.of(points=[(60, 40)])


@pytest.fixture(scope="module")
def model():
    return load_model("tiny", checkpoint=EARLIER_TINY)


@pytest.fixture(scope="module")
def embedding(model):
    return model.encode(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))


def test_attention_is_multiplied_by_the_weights_and_shared_out_anew():
    torch.manual_seed(0)
    attention = import_segment_anything().modeling.transformer.Attention(16, 2)
    decoder = type("Decoder", (), {"transformer": type("T", (), {"layers": [type("L", (), {})()]})})
    decoder.transformer.layers[0].cross_attn_token_to_image = attention
    tokens, cells, weights = torch.randn(1, 3, 16), torch.randn(1, 12, 16), torch.rand(3, 4) + 0.1
    with torch.no_grad():
        plain = attention(tokens, cells, cells)
        with guided_attention(decoder, torch.ones(3, 4)):
            torch.testing.assert_close(attention(tokens, cells, cells), plain)
        with guided_attention(decoder, weights):
            drawn = attention(tokens, cells, cells)
        torch.testing.assert_close(attention(tokens, cells, cells), plain)

        q, k, v = (
            linear(rows)[0].view(-1, 2, 8)
            for linear, rows in ((attention.q_proj, tokens), (attention.k_proj, cells), (attention.v_proj, cells))
        )
        shares = (torch.einsum("thd,nhd->htn", q, k) / 8**0.5).softmax(2) * weights.flatten()
        shares = shares / shares.sum(2, keepdim=True)
        expected = attention.out_proj(torch.einsum("htn,nhd->thd", shares, v).flatten(1))
        torch.testing.assert_close(drawn[0], expected)


def test_the_official_decoder_is_as_it_was_afterwards():
    torch.manual_seed(0)
    decoder = build_mask_decoder().eval()
    looks = [layer.cross_attn_token_to_image for layer in decoder.transformer.layers]

    def fail():
        with guided_attention(decoder, torch.ones(64, 64)):
            assert all("forward" in vars(look) for look in looks)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any("forward" in vars(look) for look in looks)


def test_weights_that_are_all_alike_change_nothing(model, embedding):
    plain, drawn = model.decode(embedding, CLICK), model.decode(embedding, CLICK, guidance=np.full((36, 48), 0.3))
    np.testing.assert_allclose(drawn.low_res_logits, plain.low_res_logits, atol=1e-3)
    np.testing.assert_allclose(drawn.scores, plain.scores, atol=1e-4)


def test_weights_change_the_answer_and_nothing_later(model, embedding):
    plain = model.decode(embedding, CLICK)
    weights = np.full((36, 48), 1e-3)
    weights[:10, :10] = 1
    drawn = model.decode(embedding, CLICK, guidance=weights)
    assert np.abs(drawn.low_res_logits - plain.low_res_logits).max() > 0.1
    np.testing.assert_array_equal(model.decode(embedding, CLICK).low_res_logits, plain.low_res_logits)


@pytest.mark.parametrize(
    "wrong", [np.ones((49, 48)), np.ones(48), np.zeros((36, 48)), np.full((36, 48), np.nan), np.ones((0, 3))]
)
def test_weights_that_cannot_be_are_refused(model, embedding, wrong):
    with pytest.raises(PromptError, match=r"guidance: expected numbers above 0 .*48 x 48"):
        model.decode(embedding, CLICK, guidance=wrong)
