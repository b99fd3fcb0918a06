"""How far another seed moves a number, apart from what other images would: two errors, never mixed.

A confidence interval says how far other images of the same kind would move a number; it is the same
error for every seed. What k-means, a probe's batches or a new training draw differently moves it on
the same images.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from franca.eval.comparison import check_alike
from franca.eval.results import Metric, read_details, read_metrics

_APART = ("weights", "seed")


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """One metric over several runs.

    Attributes:
        metric: of the first run; its value and interval are those of one seed.
        mean: over the runs.
        sd_seed: standard deviation over the runs (n - 1), in the metric's unit.
        ci_sampling: mean half-width of the runs' 95 % intervals over images.
        runs: how many there are.
    """

    metric: Metric
    mean: float
    sd_seed: float
    ci_sampling: float
    runs: int


def spread_over_seeds(folders: Sequence[Path]) -> list[SeedSpread]:
    """Return the spread of each metric that all folders of results have.

    Args:
        folders: evaluations that differ in the seed, or in the weights of a training with another
            seed, and in nothing else.

    Raises:
        ValueError: fewer than two, or they differ otherwise, or in nothing.
    """
    if len(folders) < 2:
        raise ValueError("a spread needs at least two folders of results: run again with a seed")
    for folder in folders[1:]:
        check_alike(folder, folders[0], apart=_APART)
    _check_different(folders)
    found = [
        {(m.benchmark, m.dataset, m.metric): m for m in read_metrics(folder / "metrics.json")}
        for folder in folders
    ]
    shared = [key for key in found[0] if all(key in metrics for metrics in found)]
    return [_spread([metrics[key] for metrics in found]) for key in shared]


def _check_different(folders: Sequence[Path]) -> None:
    """Refuse the same run twice, which would seem to have no spread."""
    seen: dict[str, Path] = {}
    for folder in folders:
        tasks = read_details(folder)["tasks"].values()
        drawn = str(sorted({tuple(str(task["address"][key]) for key in _APART) for task in tasks}))
        if drawn in seen:
            raise ValueError(
                f"{folder} and {seen[drawn]} have the same weights and seed: run one again with "
                "`--set seed=N`"
            )
        seen[drawn] = folder


def _spread(metrics: Sequence[Metric]) -> SeedSpread:
    values = [metric.value for metric in metrics]
    return SeedSpread(
        metric=metrics[0],
        mean=statistics.fmean(values),
        sd_seed=statistics.stdev(values),
        ci_sampling=statistics.fmean((m.ci95[1] - m.ci95[0]) / 2 for m in metrics),
        runs=len(values),
    )
