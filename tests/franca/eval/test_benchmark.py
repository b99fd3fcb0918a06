"""From evidence to metrics, and the registry of what exists."""

from typing import get_args

import numpy as np
import pytest

from franca.config.evaluate import BenchmarkName, Evaluate
from franca.eval.benchmark import Benchmark, MetricSpec, Outcome, evidence_key
from franca.eval.registry import BENCHMARKS
from franca.eval.resampling import mean, wilson_interval


def toy(interval):
    spec = MetricSpec("top1", "higher", "fraction", "correct", mean, interval)
    return Benchmark(
        name="toy",
        version="1.0",
        protocol="p",
        source="s",
        kind="classification",
        quick=True,
        metrics=(spec,),
        run=lambda: Outcome(evidence={}),
    )


def test_each_variant_of_the_evidence_is_measured():
    evidence = {
        "correct": np.arange(10) < 7,
        "correct@k5": np.arange(10) < 4,
        "incorrect": np.ones(10),
    }
    metrics = toy("wilson").measure(evidence, dataset="set", resamples=10, seed=0)
    assert [(m.metric, m.value, m.n) for m in metrics] == [("top1", 0.7, 10), ("top1@k5", 0.4, 10)]
    assert metrics[1].ci95 == wilson_interval(4, 10)
    assert (metrics[0].direction, metrics[0].unit, metrics[0].protocol) == (
        "higher",
        "fraction",
        "p",
    )


@pytest.mark.parametrize("interval", ["percentile", "normal"])
def test_bootstrap_intervals_contain_the_value_and_repeat(interval):
    evidence = {"correct": np.random.default_rng(0).normal(size=50)}
    runs = [
        toy(interval).measure(evidence, dataset="set", resamples=200, seed=seed)
        for seed in (0, 0, 1)
    ]
    (first,), (again,), (other,) = runs
    assert first == again
    assert first.ci95 != other.ci95
    assert first.ci95[0] < first.value < first.ci95[1]


def test_metric_names_lead_back_to_evidence():
    benchmark = BENCHMARKS["knn"]
    assert evidence_key(benchmark.spec("top5@d/4"), "top5@d/4") == "correct5@d/4"
    assert evidence_key(benchmark.spec("top1"), "top1") == "correct"


def test_registry_and_parameters_name_the_same_benchmarks():
    assert set(BENCHMARKS) == set(get_args(BenchmarkName))
    sections = {benchmark.parameters_section for benchmark in BENCHMARKS.values()}
    assert sections <= set(Evaluate.model_fields)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_it_is(name):
    benchmark = BENCHMARKS[name]
    assert benchmark.name == name
    assert all((benchmark.protocol, benchmark.source, benchmark.version))
    names = [spec.name for spec in benchmark.metrics]
    assert len(names) == len(set(names)) > 0
    assert not any("@" in metric for metric in names)
