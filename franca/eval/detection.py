"""How well a confidence tells known images from novel ones, and DeLong's interval.

Evidence is [images, 2]: the set of each image (0: the known one; 1, 2, …: sets of novel images) and
its confidence, larger for known images. With several novel sets, each is held against the known
images alone, and a metric is the plain mean over the sets, as OpenOOD averages near and far sets.
Novel is the positive class there; most papers take known as positive, which changes the FPR (not
the AUROC), so that one is `fpr95_known`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from franca.eval.resampling import Z95, Evidence, Interval, Statistic, Weights

Draws = NDArray[np.float64]  # [resamples]
Counts = NDArray[np.float64]  # [resamples, thresholds + 1]
_OneSet = Callable[[NDArray[np.bool_], Draws, Weights], Draws]


def delong_interval(evidence: Evidence) -> Interval:
    """Return the 95 % interval of the mean AUROC over the novel sets.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988: an AUROC is a mean of placements, of known
    images among novel ones and the reverse, whose variances add; the placements by ranks as in Sun
    and Xu, IEEE Signal Processing Letters 2014. All sets share the known images, so a known image's
    placements are averaged over the sets first.

        for each novel set, for each pair (known, novel):
            win = 1 if the known image is the more confident one, 1/2 if they tie, else 0
        variance = var over known of (mean win over sets and novel) / number of known images
                 + sum over sets of (var over novel of (mean win over known) / number) / sets ** 2

    Args:
        evidence: [images, 2] set and confidence.
    """
    known = evidence[evidence[:, 0] == 0, 1]
    sets = [evidence[evidence[:, 0] == number, 1] for number in _novel_sets(evidence)]
    own_rank = rankdata(known)
    of_known, variance, areas = np.zeros(len(known)), 0.0, []
    for novel in sets:
        ranks = rankdata(np.concatenate([known, novel]))
        beaten = (ranks[: len(known)] - own_rank) / len(novel)
        beaten_by = 1 - (ranks[len(known) :] - rankdata(novel)) / len(known)
        of_known += beaten / len(sets)
        variance += _variance(beaten_by) / len(novel) / len(sets) ** 2
        areas.append(beaten.mean())
    value = float(np.mean(areas))
    error = Z95 * float(np.sqrt(variance + _variance(of_known) / len(known)))
    return max(0.0, value - error), min(1.0, value + error)


def _variance(values: Draws) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else 0.0


def _novel_sets(evidence: Evidence) -> list[float]:
    found = np.unique(evidence[:, 0])
    return [float(number) for number in found[found > 0]]


def _cumulative(
    positive: NDArray[np.bool_], score: Draws, weights: Weights
) -> tuple[Counts, Counts]:
    """Return true and false positives as the threshold falls.

    Equal scores share a threshold; the first column is the threshold that nothing passes.
    """
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    ordered = weights[:, order]
    counts = []
    for members in (positive[order], ~positive[order]):
        total = np.cumsum(ordered * members, axis=1)[:, last_of_ties]
        counts.append(np.concatenate([np.zeros((len(weights), 1)), total], axis=1))
    return counts[0], counts[1]


def _rates(positive: NDArray[np.bool_], score: Draws, weights: Weights) -> tuple[Counts, Counts]:
    true, false = _cumulative(positive, score, weights)
    return true / np.maximum(true[:, -1:], 1e-12), false / np.maximum(false[:, -1:], 1e-12)


def _area_under_roc(positive: NDArray[np.bool_], score: Draws, weights: Weights) -> Draws:
    true, false = _rates(positive, score, weights)
    return np.asarray(np.trapezoid(true, false, axis=1), dtype=np.float64)


def _false_positives(positive: NDArray[np.bool_], score: Draws, weights: Weights) -> Draws:
    """Return the false-positive rate at the first threshold with 95 % true positives."""
    true, false = _rates(positive, score, weights)
    first = (true >= 0.95).argmax(1)
    return np.asarray(np.take_along_axis(false, first[:, None], 1)[:, 0], dtype=np.float64)


def _area_under_precision(positive: NDArray[np.bool_], score: Draws, weights: Weights) -> Draws:
    true, false = _cumulative(positive, score, weights)
    passed = true + false
    precision = np.where(passed > 0, true / np.maximum(passed, 1e-12), 1.0)
    recall = true / np.maximum(true[:, -1:], 1e-12)
    return np.asarray(np.trapezoid(precision, recall, axis=1), dtype=np.float64)


def _mean_over_sets(
    evidence: Evidence, weights: Weights, *, one_set: _OneSet, novel_is_positive: bool
) -> Draws:
    values = []
    for number in _novel_sets(evidence):
        rows = (evidence[:, 0] == 0) | (evidence[:, 0] == number)
        novel, confidence = evidence[rows, 0] > 0, evidence[rows, 1]
        score = -confidence if novel_is_positive else confidence
        values.append(one_set(novel == novel_is_positive, score, weights[:, rows]))
    return np.asarray(np.mean(values, axis=0), dtype=np.float64)


def _statistic(one_set: _OneSet, *, novel_is_positive: bool) -> Statistic:
    return partial(_mean_over_sets, one_set=one_set, novel_is_positive=novel_is_positive)


STATISTICS: dict[str, Statistic] = {
    "auroc": _statistic(_area_under_roc, novel_is_positive=True),
    "fpr95": _statistic(_false_positives, novel_is_positive=True),
    "fpr95_known": _statistic(_false_positives, novel_is_positive=False),
    "aupr_known": _statistic(_area_under_precision, novel_is_positive=False),
    "aupr_novel": _statistic(_area_under_precision, novel_is_positive=True),
}
