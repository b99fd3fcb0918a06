"""Block masks: the distribution that the released DINOv2 code draws."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from franca.masking.block import BlockMask
from franca.randomness import numpy_generator

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "masks.npz", allow_pickle=False)
CASE = "out/samples/dinov2_g16_k77"
NUM_STATISTIC = 1500


@cache
def draw():
    return BlockMask((16, 16))(np.full(NUM_STATISTIC, 77), generator=numpy_generator(0, "block"))


def test_counts_miss_as_often_as_in_the_released_code():
    counts = draw().sum(axis=(1, 2))
    assert counts.max() == ORACLE[f"{CASE}/count_min_max"][1] == 77
    assert counts.min() >= ORACLE[f"{CASE}/count_min_max"][0] - 3
    standard_error = np.hypot(counts.std(), ORACLE[f"{CASE}/count_std"]) / NUM_STATISTIC**0.5
    assert abs(counts.mean() - ORACLE[f"{CASE}/count_mean"]) < 5 * standard_error


def test_each_patch_is_masked_as_often_as_in_the_released_code():
    frequency, expected = draw().mean(axis=0), ORACLE[f"{CASE}/cell_frequency"]
    pooled = (frequency + expected) / 2
    z = (frequency - expected) / np.sqrt(pooled * (1 - pooled) * 2 / NUM_STATISTIC)
    assert np.abs(z).max() < 5


@pytest.mark.parametrize(("direction", "axis"), [("vertical", 1), ("horizontal", 2)])
def test_shapes_follow_the_released_law(direction, axis):
    masks = draw()
    edges = (masks != np.roll(masks, 1, axis=axis)).sum(axis=(1, 2))
    mean, std = ORACLE[f"{CASE}/wrap_edges_{direction}_mean_std"]
    assert abs(edges.mean() - mean) < 5 * np.hypot(edges.std(), std) / NUM_STATISTIC**0.5
    expected = ORACLE[f"{CASE}/wrap_edges_{direction}_hist"]
    both = np.stack([np.bincount(edges, minlength=len(expected)), expected])
    assert chi2_contingency(both[:, both.sum(axis=0) > 10]).pvalue > 1e-4


def test_kept_masks_are_as_compact_as_ours():
    """Squares of four masked patches: few in scattered masks, many in large blocks."""

    def squares(masks):
        pairs = masks[:, 1:] & masks[:, :-1]
        return (pairs[:, :, 1:] & pairs[:, :, :-1]).sum(axis=(1, 2))

    kept = ORACLE[f"{CASE}/masks"]
    assert ks_2samp(squares(draw()), squares(kept)).pvalue > 1e-3
    assert ks_2samp(draw().sum(axis=(1, 2)), kept.sum(axis=(1, 2))).pvalue > 1e-3


def test_extremes_end():
    masker = BlockMask((4, 4))
    masks = masker(np.array([0, 1, 16]), generator=numpy_generator(0, "extremes"))
    counts = masks.sum(axis=(1, 2))
    assert counts[0] == 0
    assert counts[1] <= 1
    assert counts[2] <= 16


def test_draws_repeat_with_the_generator():
    first, again, other = (
        BlockMask((8, 8))(np.full(9, 20), generator=numpy_generator(seed, "same"))
        for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_no_rectangle_spans_a_side():
    masks = BlockMask((1, 16))(np.full(20, 4), generator=numpy_generator(0, "block"))
    assert not masks.any()


def test_no_rectangle_is_larger_than_its_fraction():
    """Blocks of 2 x 2, where the 32 patches wanted would leave room for one of 5 x 5."""
    masker = BlockMask((16, 16), max_fraction=4 / 256, min_aspect=1.0)
    masks = masker(np.full(50, 32), generator=numpy_generator(0, "block"))
    assert masks.any(axis=(1, 2)).all()
    windows = np.lib.stride_tricks.sliding_window_view(masks, (4, 4), axis=(1, 2))
    assert not windows.all(axis=(3, 4)).any()


def test_by_default_rectangles_are_bounded_as_dinov2_means_it():
    """At most half of the patches: of 37 x 37, 684, which its own code's precedence makes 666."""
    assert BlockMask((37, 37)) == BlockMask(
        (37, 37), min_patches=4, max_fraction=0.5, min_aspect=0.3
    )
