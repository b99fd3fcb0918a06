"""J, F and their statistics against the official evaluation."""

import numpy as np
import pytest

from franca.eval.davis import (
    VOID,
    boundary_measure,
    num_objects,
    region_similarity,
    sequence_scores,
    statistics,
)

TOLERANCE = 1e-9


@pytest.mark.parametrize("case", ["cases", "larger", "drift", "touching_border"])
def test_masks_match_the_official_scores(oracle, case):
    arrays = oracle("davis")
    pairs = list(zip(arrays[f"in/binary/{case}/gt"], arrays[f"in/binary/{case}/pred"], strict=True))
    for name, measure in (("J", region_similarity), ("F", boundary_measure)):
        scores = np.array([measure(*pair) for pair in pairs])
        np.testing.assert_allclose(scores, arrays[f"out/binary/{case}/{name}"], atol=TOLERANCE)
        expected = arrays[f"out/binary/{case}/{name}_mean_recall_decay"]
        np.testing.assert_allclose(statistics(scores), expected, atol=TOLERANCE)


def test_sequences_match_the_official_scores(oracle):
    arrays = oracle("davis")
    scores = {
        f"{name}_{number + 1}": one
        for name in ("first", "second")
        for number, one in enumerate(
            sequence_scores(arrays[f"in/sequence/{name}/gt"], arrays[f"in/sequence/{name}/pred"])
        )
    }
    assert list(scores) == arrays["out/sequence/object_names"].tolist()
    means = []
    for row, name in enumerate("JF"):
        found = np.array([statistics(one[row]) for one in scores.values()])
        for column, statistic in enumerate(("mean", "recall", "decay")):
            expected = arrays[f"out/sequence/{name}_{statistic}_per_object"]
            np.testing.assert_allclose(found[:, column], expected, atol=TOLERANCE)
        means.append(found[:, 0].mean())
    assert np.mean(means) == pytest.approx(float(arrays["out/sequence/JF_mean"]), abs=TOLERANCE)


def frames(*masks):
    return np.array(masks, dtype=np.uint8)


def test_void_pixels_count_for_nobody():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (4, 12, 12)).astype(np.uint8)
    predicted = rng.integers(0, 3, (4, 12, 12)).astype(np.uint8)
    truth[:, :, 9:] = VOID
    other = predicted.copy()
    other[:, :, 9:] = (predicted[:, :, 9:] + 1) % 3
    np.testing.assert_array_equal(sequence_scores(truth, predicted), sequence_scores(truth, other))
    assert num_objects(np.full((2, 2), VOID, np.uint8)) == 0


def test_first_and_last_frame_are_left_out():
    right, wrong = np.pad(np.ones((4, 4)), 3), np.zeros((10, 10))
    scores = sequence_scores(frames(right, right, right, right), frames(wrong, right, right, wrong))
    np.testing.assert_array_equal(scores, np.ones((1, 2, 2)))
    assert sequence_scores(frames(right), frames(right)).shape == (1, 2, 0)


def test_more_than_255_frames_keep_their_quarters():
    scores = np.linspace(1, 0, 1000)  # the official code's 8-bit numbers would wrap
    assert statistics(scores).decay == pytest.approx(0.75, abs=1e-3)
