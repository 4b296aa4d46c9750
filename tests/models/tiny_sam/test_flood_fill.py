"""What the clicked colour reaches, and what it must not."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.models.tiny_sam.flood_fill import (
    COLOUR_LEVELS,
    FILL_MAPS,
    TOLERANCES,
    colour_levels,
    draw_marks,
    flood_fill_maps,
    quantize,
)
from samnb.store.codecs import from_int8, to_int8

SIDE = 16
HALF = FILL_MAPS // 2


def packed(picture: np.ndarray) -> Tensor:
    """(3, h, w) colours of 4×4 pixels as the embedding carries them."""
    return F.pixel_unshuffle(torch.from_numpy(picture.astype(np.float32))[None], 2)


def marked(*clicks: tuple[int, int, int]) -> Tensor:
    """Marks of clicks x, y (in squares of 4 pixels) and label."""
    coords = torch.tensor([[[4.0 * x + 1, 4.0 * y + 1] for x, y, _ in clicks]])
    return draw_marks(coords, torch.tensor([[label for *_, label in clicks]]), (SIDE // 2, SIDE // 2))


def stroke() -> np.ndarray:
    """A thin diagonal stroke with a gap, on paper."""
    picture = np.full((3, SIDE, SIDE), 2.0)
    for i in range(SIDE):
        if i != 10:
            picture[:, i, i] = -1.0
    return picture


def test_a_thin_stroke_is_followed_up_to_a_gap() -> None:
    maps = flood_fill_maps(colour_levels(packed(stroke())), marked((2, 2, 1)))[0, : len(TOLERANCES) - 1]
    wanted = np.zeros((SIDE, SIDE), bool)
    wanted[range(10), range(10)] = True
    for level in maps:
        np.testing.assert_array_equal(level.numpy() > 0.5, wanted)


def test_what_looks_alike_is_told_wherever_it_lies() -> None:
    alike = flood_fill_maps(colour_levels(packed(stroke())), marked((2, 2, 1)))[0, HALF - 1]
    assert alike[14, 14] == 1
    assert alike[0, 8] < 0.2


def test_a_wider_tolerance_reaches_no_less() -> None:
    rng = np.random.default_rng(0)
    picture = np.cumsum(rng.normal(size=(3, SIDE, SIDE)), 2)
    levels = flood_fill_maps(colour_levels(packed(picture)), marked((5, 7, 1)))[0, : len(TOLERANCES)]
    assert (levels[1:] >= levels[:-1]).all()
    assert 1 <= levels[0].sum() < levels[-1].sum() <= SIDE * SIDE


def test_background_clicks_have_maps_of_their_own() -> None:
    maps = flood_fill_maps(colour_levels(packed(stroke())), marked((2, 2, 1), (12, 3, 0)))[0]
    assert maps[0, 2, 2] == 1
    assert maps[0, 3, 12] == 0
    assert maps[HALF, 3, 12] == 1
    assert maps[HALF, 2, 2] == 0


def test_without_clicks_there_is_nothing() -> None:
    marks = draw_marks(torch.zeros(1, 2, 2), torch.tensor([[2, -1]]), (SIDE // 2, SIDE // 2))
    assert not flood_fill_maps(colour_levels(packed(stroke())), marks).any()


def test_two_clicks_reach_both_pieces() -> None:
    maps = flood_fill_maps(colour_levels(packed(stroke())), marked((2, 2, 1), (12, 12, 1)))[0, 0]
    assert int(maps.sum()) == SIDE - 1


def test_padding_is_no_bridge() -> None:
    picture = np.full((3, SIDE, SIDE), 0.05)
    picture[:, :, 8:] = 0  # padding, though its colour is within every tolerance
    maps = flood_fill_maps(colour_levels(packed(picture)), marked((2, 2, 1)))[0, :HALF]
    assert maps[:, :, :8].min() == 1
    assert not maps[:, :, 8:].any()


def test_a_click_on_padding_is_no_error() -> None:
    maps = flood_fill_maps(colour_levels(packed(np.zeros((3, SIDE, SIDE)))), marked((3, 3, 1)))
    assert not maps.any()


def test_each_prompt_has_its_own_picture_or_all_share_one() -> None:
    both = torch.cat([packed(stroke()), packed(stroke()[:, ::-1].copy())])
    marks = torch.cat([marked((2, 2, 1)), marked((2, 2, 1))])
    apart = flood_fill_maps(colour_levels(both), marks)
    shared = flood_fill_maps(colour_levels(both[:1]), marks)
    torch.testing.assert_close(apart[0], shared[0])
    torch.testing.assert_close(shared[0], shared[1])
    assert not torch.equal(apart[0], apart[1])


def test_marks_lie_where_the_clicks_are() -> None:
    marks = draw_marks(torch.tensor([[[13.0, 21.9], [-5.0, 900.0]]]), torch.tensor([[1, 0]]), (8, 8))
    near, far = F.pixel_shuffle(marks, 2)[0]
    assert near.nonzero().tolist() == [[5, 3]]
    assert far.nonzero().tolist() == [[15, 0]]


def test_colours_come_out_of_any_storage_the_same() -> None:
    """As float16, and as int8 with a scale for each channel, whatever the darkest and brightest there are."""
    for seed, darkest in enumerate((-2.2, -0.7)):
        drawn = np.random.default_rng(seed).uniform(darkest, 2.7, (12, 40, 40)).astype(np.float32)
        colour = quantize(torch.from_numpy(drawn))
        assert float((colour - torch.from_numpy(drawn)).abs().max()) <= 0.5001 / COLOUR_LEVELS
        shades = (colour * COLOUR_LEVELS).round()
        stored = from_int8(*to_int8(colour.numpy())), colour.half().float().numpy()
        for values in stored:
            np.testing.assert_array_equal(np.rint(values * COLOUR_LEVELS), shades.numpy())
