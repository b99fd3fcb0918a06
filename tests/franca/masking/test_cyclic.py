"""CyclicMask: exact counts, uniform coverage, and the shapes the released code draws."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from franca.masking.cyclic import CyclicMask
from franca.randomness import numpy_generator

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "masks.npz", allow_pickle=False)
NUM_STATISTIC = 6000
CASES = {
    "g16_k25": (CyclicMask((16, 16)), 25),
    "g16_k96": (CyclicMask((16, 16)), 96),
    "g16_k166": (CyclicMask((16, 16)), 166),
    "g7_k20": (CyclicMask((7, 7)), 20),
    "g16_k96_noroll": (CyclicMask((16, 16), roll=False), 96),
    "g16_k96_block": (CyclicMask((16, 16), inverse=False), 96),
    "g16_k0": (CyclicMask((16, 16)), 0),
    "g16_k256": (CyclicMask((16, 16)), 256),
}


def draw(case, number=NUM_STATISTIC):
    masker, count = CASES[case]
    return masker(np.full(number, count), generator=numpy_generator(0, case))


def wrapped_edges(masks, axis):
    """Count the patches whose neighbour around the torus has the other state."""
    return (masks != np.roll(masks, 1, axis=axis)).sum(axis=(1, 2))


@pytest.mark.parametrize("case", CASES)
def test_counts_are_exact(case):
    _, count = CASES[case]
    counts = draw(case).sum(axis=(1, 2))
    assert [counts.min(), counts.max()] == [count, count]
    assert [counts.min(), counts.max()] == ORACLE[f"out/samples/{case}/count_min_max"].tolist()
    assert counts.mean() == float(ORACLE[f"out/samples/{case}/count_mean"])
    assert counts.std() == float(ORACLE[f"out/samples/{case}/count_std"]) == 0


@pytest.mark.parametrize("case", CASES)
def test_each_patch_is_masked_as_often_as_in_the_released_code(case):
    frequency = draw(case).mean(axis=0)
    expected = ORACLE[f"out/samples/{case}/cell_frequency"]
    pooled = (frequency + expected) / 2
    reference_size = 200 if case in ("g16_k0", "g16_k256") else NUM_STATISTIC
    variance = pooled * (1 - pooled) * (1 / NUM_STATISTIC + 1 / reference_size)
    z = (frequency - expected) / np.sqrt(variance + 1e-12)
    assert np.abs(z).max() < 5


@pytest.mark.parametrize("case", [case for case in CASES if case != "g16_k96_noroll"])
def test_rolled_masks_cover_every_patch_equally(case):
    masker, count = CASES[case]
    share = count / (masker.grid[0] * masker.grid[1])
    assert share == pytest.approx(
        float(ORACLE[f"out/samples/{case}/cell_frequency_expected_if_rolled"])
    )
    z = (draw(case).mean(axis=0) - share) / np.sqrt(share * (1 - share) / NUM_STATISTIC + 1e-12)
    assert np.abs(z).max() < 5


def test_without_roll_the_centre_is_hardly_ever_masked():
    frequency = draw("g16_k96_noroll").mean(axis=0)
    assert frequency[7:9, 7:9].max() < 0.02
    assert frequency[0, 0] > 0.8


def rectangles(masks, *, inverse):
    """Of every mask, wherever it lies: height, width, and what its last row lacks."""
    shapes = []
    for mask in ~masks if inverse else masks:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        height, width = int(rows.sum()), int(columns.sum())
        shapes.append((height, width, height * width - int(mask.sum())))
    return shapes


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("g16_k0", "g16_k256")])
def test_rectangles_are_those_of_the_released_masks(case):
    """Of 200 kept masks: the same few (height, width, missing cells), as often as ours."""
    masker, _ = CASES[case]
    theirs = rectangles(ORACLE[f"out/samples/{case}/masks"], inverse=masker.inverse)
    ours = rectangles(draw(case), inverse=masker.inverse)
    kinds = sorted(set(ours) | set(theirs))
    assert set(theirs) <= set(ours)
    both = np.array([[shapes.count(kind) for kind in kinds] for shapes in (ours, theirs)])
    assert chi2_contingency(both[:, both.sum(axis=0) > 10]).pvalue > 1e-4


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("g16_k0", "g16_k256")])
@pytest.mark.parametrize(("direction", "axis"), [("vertical", 1), ("horizontal", 2)])
def test_aspect_ratios_follow_the_released_law(case, direction, axis):
    """The edges of a shape do not depend on where it is: they tell its height and width."""
    edges = wrapped_edges(draw(case), axis)
    mean, std = ORACLE[f"out/samples/{case}/wrap_edges_{direction}_mean_std"]
    standard_error = np.hypot(edges.std(), std) / np.sqrt(NUM_STATISTIC)
    assert abs(edges.mean() - mean) < 5 * standard_error
    expected = ORACLE[f"out/samples/{case}/wrap_edges_{direction}_hist"]
    found = np.bincount(edges, minlength=len(expected))
    both = np.stack([found, expected])
    assert chi2_contingency(both[:, both.sum(axis=0) > 10]).pvalue > 1e-4


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    share=st.floats(0, 1),
    min_aspect=st.floats(0.05, 1),
    inverse=st.booleans(),
    roll=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_counts_are_exact_on_any_grid(height, width, share, min_aspect, inverse, roll, seed):
    masker = CyclicMask((height, width), min_aspect=min_aspect, inverse=inverse, roll=roll)
    counts = np.full(5, round(share * height * width))
    masks = masker(counts, generator=numpy_generator(seed, "test"))
    assert masks.shape == (5, height, width)
    assert masks.sum(axis=(1, 2)).tolist() == counts.tolist()


def test_visible_patches_are_one_rectangle_up_to_its_last_row():
    for mask in draw("g16_k96_noroll", 50):
        rows, columns = np.nonzero(~mask)
        box = ~mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box[:-1].all()
        last = box[-1].astype(int)
        assert (np.diff(last) <= 0).all()


def test_counts_may_differ_and_draws_repeat_with_the_generator():
    counts = np.array([3, 60, 0, 49])
    first, again = (
        CyclicMask((8, 8))(counts, generator=numpy_generator(1, "same")) for _ in range(2)
    )
    assert first.sum(axis=(1, 2)).tolist() == counts.tolist()
    assert (first == again).all()
    assert (first != CyclicMask((8, 8))(counts, generator=numpy_generator(2, "same"))).any()


def test_no_masks():
    empty = CyclicMask((4, 4))(np.zeros(0, dtype=np.int64), generator=numpy_generator(0, "none"))
    assert empty.shape == (0, 4, 4)
