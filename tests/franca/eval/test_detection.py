"""Metrics against OpenOOD, and DeLong's interval against its own definition."""

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from franca.eval.detection import STATISTICS, delong_interval
from franca.eval.resampling import Z95, bootstrap, percentile_interval, point_estimate

METRICS = {
    "fpr95": "fpr95_ood_positive",
    "fpr95_known": "fpr95_id_positive",
    "auroc": "auroc",
    "aupr_known": "aupr_in",
    "aupr_novel": "aupr_out",
}


def check_metrics(arrays, prefix, novel, confidence):
    evidence = np.stack([novel.astype(float), confidence], axis=1)
    for ours, theirs in METRICS.items():
        expected = float(arrays[f"{prefix}/{theirs}"])
        found = point_estimate(STATISTICS[ours], evidence)
        assert found == pytest.approx(expected, abs=1e-6), ours


@pytest.mark.parametrize("case", ["normal", "ties", "perfect", "constant"])
def test_metrics_match_openood(oracle, case):
    arrays = oracle("ood")
    novel = arrays[f"in/metric/{case}/label"] == -1
    confidence = arrays[f"in/metric/{case}/confidence"]
    check_metrics(arrays, f"out/metric/{case}", novel, confidence)
    hits = arrays[f"in/metric/{case}/prediction"] == arrays[f"in/metric/{case}/label"]
    assert hits[~novel].mean() == pytest.approx(float(arrays[f"out/metric/{case}/id_accuracy"]))


def drawn(seed, *, shifts=(1.0,), known=60, novel=40, decimals=1):
    """Evidence of several novel sets; rounding makes ties."""
    rng = np.random.default_rng(seed)
    parts = [np.stack([np.zeros(known), rng.normal(size=known)], 1)]
    for number, shift in enumerate(shifts, start=1):
        rows = novel + number
        parts.append(np.stack([np.full(rows, number), rng.normal(-shift, 1, rows)], 1))
    return np.concatenate(parts).round(decimals)


def loop_interval(evidence):
    """DeLong's interval, pair by pair."""
    known = evidence[evidence[:, 0] == 0, 1]
    sets = [evidence[evidence[:, 0] == n, 1] for n in range(1, int(evidence[:, 0].max()) + 1)]
    wins = [np.array([[(k > n) + 0.5 * (k == n) for n in novel] for k in known]) for novel in sets]
    mean_wins = np.mean([w.mean(1) for w in wins], axis=0)
    variance = mean_wins.var(ddof=1) / len(known)
    for w in wins:
        variance += w.mean(0).var(ddof=1) / w.shape[1] / len(sets) ** 2
    value = np.mean([w.mean() for w in wins])
    return value - Z95 * variance**0.5, value + Z95 * variance**0.5


@pytest.mark.parametrize("shifts", [(1.0,), (0.2, 0.7, 1.1)])
def test_delong_equals_the_loop_over_pairs(shifts):
    evidence = drawn(0, shifts=shifts)
    assert delong_interval(evidence) == pytest.approx(loop_interval(evidence), abs=1e-12)


def test_delong_holds_the_value_and_agrees_with_the_stratified_bootstrap():
    evidence = drawn(1, shifts=(0.5, 1.0), known=200, novel=150, decimals=6)
    low, high = delong_interval(evidence)
    assert low < point_estimate(STATISTICS["auroc"], evidence) < high
    draws = bootstrap(
        STATISTICS["auroc"],
        evidence,
        resamples=1000,
        generator=np.random.default_rng(0),
        strata=evidence[:, 0],
    )
    low_draws, high_draws = percentile_interval(draws)
    assert high - low == pytest.approx(high_draws - low_draws, rel=0.1)


def test_delong_covers_the_truth():
    """Of 400 experiments, 95 % +- 3 % hold the AUROC of the two normals, Phi(1 / sqrt 2)."""
    held = 0
    for seed in range(400):
        low, high = delong_interval(drawn(seed, decimals=9))
        held += low <= 0.7602499 <= high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(("confidence", "expected"), [((1.0, 0.0), 1.0), ((0.0, 0.0), 0.5)])
def test_perfect_and_constant_confidences_have_their_values_and_no_nan(confidence, expected):
    known, novel = confidence
    evidence = np.array([[0.0, known]] * 5 + [[1.0, novel]] * 3)
    assert delong_interval(evidence) == (expected, expected)
    one = np.array([[0.0, known], [1.0, novel]])
    assert np.isfinite(delong_interval(one)).all()


@pytest.mark.parametrize("name", STATISTICS)
def test_several_sets_are_averaged_whatever_their_sizes(name):
    evidence = drawn(2, shifts=(0.5, 1.5))
    alone = [
        point_estimate(STATISTICS[name], evidence[np.isin(evidence[:, 0], (0, number))])
        for number in (1, 2)
    ]
    assert point_estimate(STATISTICS[name], evidence) == pytest.approx(np.mean(alone))


@pytest.mark.parametrize("decimals", [8, 1], ids=["distinct", "tied"])
def test_every_metric_is_scikit_learns_on_the_whole_curve(decimals):
    """Ties share a threshold; with `drop_intermediate`, FPR would skip some of them."""
    draws = np.random.default_rng(0)
    novel = np.repeat([0, 1], [150, 90])
    confidence = (draws.normal(size=240) + 0.7 * (novel == 0)).round(decimals)
    found = np.stack([novel, confidence], axis=1)
    wanted = {"auroc": roc_auc_score(novel, -confidence)}
    for name, positive, score in (("novel", novel, -confidence), ("known", 1 - novel, confidence)):
        false, true, _ = roc_curve(positive, score, drop_intermediate=False)
        precision, recall, _ = precision_recall_curve(positive, score)
        fpr = "fpr95" if name == "novel" else "fpr95_known"
        wanted |= {fpr: false[np.argmax(true >= 0.95)], f"aupr_{name}": auc(recall, precision)}
    assert {name: point_estimate(each, found) for name, each in STATISTICS.items()} == (
        pytest.approx(wanted, abs=1e-12)
    )
