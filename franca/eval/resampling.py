"""Uncertainty: Wilson intervals, bootstrap over images, and paired comparison of two checkpoints.

Every metric here is a `Statistic`: a function of per-image evidence and of how often each image
counts. All ones gives the reported value; multinomial counts give a bootstrap over images, which
is the honest unit (pixels of one image are not independent); the same counts for two checkpoints
give a paired comparison.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

Evidence = NDArray[Any]  # [images, ...]
Weights = NDArray[np.float64]  # [resamples, images]
Statistic = Callable[[Evidence, Weights], NDArray[np.float64]]  # -> [resamples]
Interval = tuple[float, float]

Z95 = float(norm.ppf(0.975))
_CHUNK_ELEMENTS = 2**23  # bounds the memory of one block of resampling weights


@dataclass(frozen=True)
class Difference:
    """How much better or worse one checkpoint is than another on the same images."""

    value: float
    ci95: Interval
    p_value: float


def mean(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Average [images] per-image values; images without a value (NaN) do not count."""
    valid = ~np.isnan(evidence)
    total = weights @ np.where(valid, evidence, 0.0)
    return np.asarray(total / np.maximum(weights @ valid, 1e-12), dtype=np.float64)


def mean_of_groups(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Average values that come in groups, every value counting alike; whole groups are resampled.

    Images of one scene are not independent, scenes are: drawing them is a cluster bootstrap.

    Args:
        evidence: [groups, 2] sum of the values of each group, and their number; see `by_group`.
        weights: [resamples, groups] how often each group counts.
    """
    total, count = (weights @ evidence).T
    return np.asarray(total / np.maximum(count, 1e-12), dtype=np.float64)


def by_group(values: NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    """Return sum and number of the values of each group, groups in order of name.

    Args:
        values: [values]; NaN does not count.
        groups: the group of each value.
    """
    names = sorted(set(groups))
    members = np.array([[name == group for group in groups] for name in names], dtype=np.float64)
    known = ~np.isnan(values)
    return np.stack([members @ np.where(known, values, 0.0), members @ known], axis=1)


def mean_per_class(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Average the accuracy of each class over the classes drawn.

    Args:
        evidence: [images, 2] integers: true class, and whether the prediction was right.
        weights: [resamples, images] how often each image counts.
    """
    members = np.eye(int(evidence[:, 0].max()) + 1)[evidence[:, 0]]
    totals = weights @ members
    correct = weights @ (members * evidence[:, 1:])
    drawn = totals > 0
    recall = np.where(drawn, correct / np.maximum(totals, 1.0), 0.0)
    return np.asarray(recall.sum(1) / drawn.sum(1), dtype=np.float64)


def point_estimate(statistic: Statistic, evidence: Evidence) -> float:
    """Evaluate the statistic with every image counted once."""
    return float(statistic(evidence, np.ones((1, len(evidence))))[0])


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return Wilson's 95 % score interval of a proportion (Wilson, JASA 1927).

    Raises:
        ValueError: there are no trials.
    """
    if trials < 1:
        raise ValueError(f"an interval needs at least one trial, got {trials}")
    share = successes / trials
    spread = Z95 * np.sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2))
    centre = share + Z95**2 / (2 * trials)
    scale = 1 + Z95**2 / trials
    return float((centre - spread) / scale), float((centre + spread) / scale)


def _resampling_weights(
    strata: NDArray[Any], *, resamples: int, generator: np.random.Generator
) -> Iterator[Weights]:
    """Yield blocks of how often each image is drawn, `resamples` rows in all.

    Args:
        strata: [images] group of each; as many images are drawn of a group as it has.
        resamples: number of draws.
        generator: of the draws.
    """
    images = len(strata)
    groups = [np.flatnonzero(strata == group) for group in np.unique(strata)]
    rows = max(1, _CHUNK_ELEMENTS // images)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        weights = np.zeros((size, images))
        for members in groups:
            number = len(members)
            drawn = generator.integers(number, size=(size, number))
            cells = (drawn + number * np.arange(size)[:, None]).ravel()
            counts = np.bincount(cells, minlength=size * number)
            weights[:, members] = counts.reshape(size, number)
        yield weights


def bootstrap(
    statistic: Statistic,
    evidence: Evidence,
    *,
    resamples: int,
    generator: np.random.Generator,
    strata: NDArray[Any] | None = None,
) -> NDArray[np.float64]:
    """Evaluate the statistic on `resamples` draws of the images with replacement.

    Args:
        statistic: function of evidence and of how often each image counts.
        evidence: [images, ...].
        resamples: number of draws.
        generator: of the draws.
        strata: [images] groups that keep their sizes in every draw; None: one for all.
    """
    groups = np.zeros(len(evidence)) if strata is None else strata
    blocks = _resampling_weights(groups, resamples=resamples, generator=generator)
    return np.concatenate([statistic(evidence, weights) for weights in blocks])


def percentile_interval(draws: NDArray[np.float64]) -> Interval:
    """Return the central 95 % of the bootstrap draws."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def normal_interval(value: float, draws: NDArray[np.float64]) -> Interval:
    """Return value ± 1.96 bootstrap standard errors.

    For statistics that resampling biases, where percentiles need not even contain the estimate:
    repeated images lower an entropy, and matching clusters to classes anew on each draw raises a
    mean IoU.
    """
    error = Z95 * float(np.std(draws))
    return value - error, value + error


def mcnemar(first: Evidence, second: Evidence) -> float:
    """Return the exact two-sided p-value that two classifiers are equally often right.

    Args:
        first: [images] booleans, whether the first classifier was right.
        second: [images] booleans for the second, same images in the same order.
    """
    only_first = int(np.sum(first & ~second))
    only_second = int(np.sum(second & ~first))
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def paired_difference(
    statistic: Statistic,
    first: Evidence,
    second: Evidence,
    *,
    resamples: int,
    generator: np.random.Generator,
    strata: NDArray[Any] | None = None,
) -> Difference:
    """Compare two checkpoints on the same images: statistic(first) - statistic(second).

    Arguments as for `bootstrap`. Both are resampled with the same draws, so what the images share
    cancels. The interval is normal; the p-value is McNemar's for booleans and that of the normal
    interval otherwise.

    Raises:
        ValueError: the evidence does not cover the same number of images.
    """
    if len(first) != len(second):
        raise ValueError(f"a paired comparison needs the same images: {len(first)} ≠ {len(second)}")
    groups = np.zeros(len(first)) if strata is None else strata
    blocks = _resampling_weights(groups, resamples=resamples, generator=generator)
    draws = np.concatenate([statistic(first, block) - statistic(second, block) for block in blocks])
    value = point_estimate(statistic, first) - point_estimate(statistic, second)
    if first.dtype == np.bool_ and first.ndim == 1:
        p_value = mcnemar(first, second)
    else:
        error = max(float(np.std(draws)), 1e-12)
        p_value = float(2 * norm.sf(abs(value) / error))
    return Difference(value=value, ci95=normal_interval(value, draws), p_value=p_value)
