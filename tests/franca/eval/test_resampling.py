"""Intervals that cover, comparisons that pair."""

import numpy as np
import pytest
from scipy.stats import binomtest

from franca.eval.miou import miou_statistic
from franca.eval.resampling import (
    Z95,
    bootstrap,
    by_group,
    mcnemar,
    mean,
    mean_of_groups,
    mean_per_class,
    normal_interval,
    paired_difference,
    percentile_interval,
    point_estimate,
    wilson_interval,
)
from franca.randomness import numpy_generator


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (3, 10), (10, 10), (481, 2500)])
def test_wilson_equals_scipy(successes, trials):
    reference = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((reference.low, reference.high))


def test_wilson_needs_a_trial():
    with pytest.raises(ValueError, match="at least one trial"):
        wilson_interval(0, 0)


def test_mean_leaves_out_images_without_a_value():
    values = np.array([1.0, np.nan, 3.0])
    assert point_estimate(mean, values) == 2.0
    np.testing.assert_allclose(mean(values, np.array([[3.0, 5.0, 1.0]])), [1.5])


def test_mean_per_class_is_the_macro_recall():
    evidence = np.array([[0, 1], [0, 1], [0, 0], [2, 0]])
    assert point_estimate(mean_per_class, evidence) == pytest.approx((2 / 3 + 0) / 2)
    np.testing.assert_allclose(mean_per_class(evidence, np.array([[1.0, 1.0, 2.0, 0.0]])), [0.5])


def test_values_count_alike_and_groups_are_drawn_whole():
    values = np.array([1.0, 2.0, np.nan, 6.0])
    groups = ("kitchen", "bath", "bath", "kitchen")
    evidence = by_group(values, groups)
    assert evidence.tolist() == [[2.0, 1.0], [7.0, 2.0]]  # bath, kitchen
    assert point_estimate(mean_of_groups, evidence) == 3.0 == np.nanmean(values)
    assert mean_of_groups(evidence, np.array([[2.0, 0.0], [0.0, 2.0]])).tolist() == [2.0, 3.5]


def test_equal_images_of_a_scene_do_not_narrow_the_interval():
    scenes = np.random.default_rng(0).normal(size=40)
    repeated, groups = scenes.repeat(25), [str(scene) for scene in range(40) for _ in range(25)]
    draws = [
        bootstrap(
            mean_of_groups,
            by_group(values, names),
            resamples=2000,
            generator=np.random.default_rng(1),
        )
        for values, names in ((scenes, [str(i) for i in range(40)]), (repeated, groups))
    ]
    assert draws[1].std() == pytest.approx(draws[0].std(), rel=1e-6)


def test_bootstrap_error_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=400)
    draws = bootstrap(mean, values, resamples=4000, generator=numpy_generator(0, "test"))
    assert np.std(draws) == pytest.approx(values.std() / np.sqrt(400), rel=0.05)
    low, high = percentile_interval(draws)
    assert high - low == pytest.approx(2 * Z95 * values.std() / 20, rel=0.1)
    centred = normal_interval(5.0, draws)
    assert sum(centred) / 2 == pytest.approx(5.0)


def test_bootstrap_repeats_and_asks_for_nothing_global():
    values = np.arange(20.0)
    first = bootstrap(mean, values, resamples=10, generator=numpy_generator(0, "test"))
    np.random.default_rng().random()
    again = bootstrap(mean, values, resamples=10, generator=numpy_generator(0, "test"))
    np.testing.assert_array_equal(first, again)


def test_interval_over_images_covers_the_truth():
    """300 worlds of 60 images whose pixels are correlated: 95 ± 3 % of the intervals cover."""
    source = np.random.default_rng(0)
    statistic = miou_statistic("identity", "all")
    probability = 0.7
    true_iou = probability / (2 - probability)
    covered = []
    for world in range(300):
        correct = source.beta(0.7 * 8, 0.3 * 8, size=(60, 2))  # an image is easy or hard as a whole
        hits = source.binomial(100, correct)
        evidence = np.zeros((60, 2, 2), dtype=np.int64)
        for row in range(2):
            evidence[:, row, row] = hits[:, row]
            evidence[:, row, 1 - row] = 100 - hits[:, row]
        draws = bootstrap(
            statistic, evidence, resamples=400, generator=numpy_generator(world, "test")
        )
        low, high = percentile_interval(draws)
        covered.append(low <= true_iou <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_mcnemar_counts_only_disagreement():
    both = np.ones(50, dtype=bool)
    first = np.r_[both, np.ones(9, dtype=bool), np.zeros(1, dtype=bool)]
    second = np.r_[both, np.zeros(9, dtype=bool), np.ones(1, dtype=bool)]
    assert mcnemar(first, second) == pytest.approx(22 / 1024)
    assert mcnemar(first, first) == 1.0


def test_pairing_cancels_what_images_share():
    source = np.random.default_rng(0)
    difficulty = source.normal(size=200)
    first, second = difficulty + 0.1, difficulty + 0.01 * source.normal(size=200)
    found = paired_difference(
        mean, first, second, resamples=500, generator=numpy_generator(0, "test")
    )
    assert found.value == pytest.approx(0.1, abs=0.003)
    assert found.ci95[1] - found.ci95[0] < 0.01  # unpaired, it would be about 0.4
    assert found.p_value < 0.01


def test_equal_checkpoints_do_not_differ():
    values = np.arange(10.0)
    same = paired_difference(
        mean, values, values, resamples=50, generator=numpy_generator(0, "test")
    )
    assert (same.value, same.ci95, same.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_booleans_use_mcnemar():
    first, second = np.arange(10) < 8, np.arange(10) < 5
    found = paired_difference(
        mean, first, second, resamples=50, generator=numpy_generator(0, "test")
    )
    assert found.p_value == mcnemar(first, second)


def test_unequal_sets_are_refused():
    with pytest.raises(ValueError, match="same images"):
        paired_difference(
            mean, np.ones(3), np.ones(4), resamples=5, generator=numpy_generator(0, "test")
        )


def test_strata_keep_their_sizes_in_every_draw():
    strata = np.r_[np.zeros(3), np.ones(40)]
    draws = bootstrap(
        lambda evidence, weights: weights @ (evidence == 0),
        strata,
        resamples=50,
        generator=numpy_generator(0, "test"),
        strata=strata,
    )
    assert set(draws) == {3.0}
    free = bootstrap(
        lambda evidence, weights: weights @ (evidence == 0),
        strata,
        resamples=50,
        generator=numpy_generator(0, "test"),
    )
    assert len(set(free)) > 1
