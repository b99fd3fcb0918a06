"""Every benchmark has features that are the ground truth."""

from franca.eval.registry import BENCHMARKS
from franca.eval.truth.truths import TRUTHS


def test_every_benchmark_has_a_bound():
    assert set(TRUTHS) == set(BENCHMARKS)
