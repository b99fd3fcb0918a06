"""The paper's numbers, and whether one of ours may be held against them.

`published.csv` lists them as printed, in percent (errors of depth in centimetres), each with its
table in Franca (arXiv 2507.14137, version 4) and the conditions that its protocol fixes: entries
of a task's address (see `franca.eval.suite`) or `n`, the number of scored images. Where one is not
met, or was not recorded, the two numbers are not comparable, however close.
"""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

from franca.eval.results import Metric

Status = Literal["match", "within sampling", "differs", "not comparable"]
_NORMAL_95: Final = 1.959963984540054
# What another seed moves a result by, in percentage points: assumed, not measured.
_SEED_ERROR: Final = {"knn": 0.05, "linear": 0.1, "hummingbird": 0.2, "overclustering": 0.5}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One number of the paper.

    Attributes:
        model: as the paper names it.
        benchmark: our name of the protocol.
        metric: our name of the metric.
        dataset: name of the evaluation set in `params.yaml`.
        value: as printed, in percent.
        rounding: half of its last digit.
        table: where it stands.
        conditions: what the protocol fixes, by dotted path.
    """

    model: str
    benchmark: str
    metric: str
    dataset: str
    value: float
    rounding: float
    table: str
    conditions: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ours against the paper's: the difference in percentage points, and what it means."""

    published: Published
    difference: float
    status: Status
    reason: str


@cache
def published_numbers() -> tuple[Published, ...]:
    """Read `published.csv`."""
    text = resources.files("franca.eval").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_parse(row) for row in csv.DictReader(text.splitlines()))


def published_models() -> list[str]:
    """Return the models that the paper reports, in its order."""
    return list(dict.fromkeys(row.model for row in published_numbers()))


@cache
def reported_metrics() -> Mapping[tuple[str, str], str]:
    """Return the metric, without its variant, that the paper reports by (benchmark, data set)."""
    return {
        (row.benchmark, row.dataset): row.metric.partition("@")[0] for row in published_numbers()
    }


def compare_with_paper(
    metric: Metric, address: Mapping[str, Any], *, model: str, same_weights: bool
) -> Comparison | None:
    """Hold a number against the paper's for the same benchmark, metric and data set.

    With the paper's own weights, the images and with them the sampling error are the same, so only
    rounding and the protocol's seed may move the result ("match"); with other weights its sampling
    error counts as well ("within sampling").

    Args:
        metric: ours.
        address: of its task, from details.json.
        model: one of `published_models`.
        same_weights: whether ours was measured on the weights that the paper reports.

    Returns:
        None where the paper has no such number.
    """
    wanted = (model, metric.benchmark, metric.metric, metric.dataset)
    for row in published_numbers():
        if (row.model, row.benchmark, row.metric, row.dataset) == wanted:
            return _judge(row, metric, address, same_weights=same_weights)
    return None


def _judge(
    row: Published, metric: Metric, address: Mapping[str, Any], *, same_weights: bool
) -> Comparison:
    difference = 100 * metric.value - row.value
    reasons = _unmet(row.conditions, {**address, "n": metric.n})
    seed_error = _SEED_ERROR.get(row.benchmark, 0.0)
    sampling = 100 * (metric.ci95[1] - metric.ci95[0]) / (2 * _NORMAL_95)
    status: Status = "not comparable"
    if not reasons:
        error = seed_error if same_weights else math.hypot(seed_error, sampling)
        close = abs(difference) <= row.rounding + _NORMAL_95 * error
        status = ("match" if same_weights else "within sampling") if close else "differs"
    return Comparison(
        published=row, difference=difference, status=status, reason="; ".join(reasons)
    )


def _unmet(conditions: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    reasons = []
    for path, wanted in conditions.items():
        value: Any = found
        for key in path.split("."):
            value = value.get(key, "unknown") if isinstance(value, Mapping) else "unknown"
        if value != wanted:
            reasons.append(f"{path} is {json.dumps(value)}, not {json.dumps(wanted)}")
    return reasons


def _parse(row: Mapping[str, str]) -> Published:
    _, _, decimals = row["value"].partition(".")
    pairs = (part.split("=") for part in row["conditions"].split())
    return Published(
        model=row["model"],
        benchmark=row["benchmark"],
        metric=row["metric"],
        dataset=row["dataset"],
        value=float(row["value"]),
        rounding=0.5 * 10.0 ** -len(decimals),
        table=row["table"],
        conditions={path: json.loads(value) for path, value in pairs},
    )
