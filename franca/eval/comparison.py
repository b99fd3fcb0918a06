"""Paired differences between checkpoints, on the same images."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from franca.eval.benchmark import evidence_key
from franca.eval.registry import BENCHMARKS
from franca.eval.resampling import paired_difference
from franca.eval.results import Metric, evidence_path, read_arrays, read_details
from franca.randomness import numpy_generator

Results = Mapping[str, Sequence[Metric]]
Evidence = tuple[dict[str, NDArray[Any]], str]  # arrays by name, digest of the images
_DECIMALS = 6


def compare(
    folders: Mapping[str, Path],
    results: Results,
    *,
    pairs: Sequence[tuple[str, str]],
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Compare pairs of checkpoints on the same images, metric by metric.

    Args:
        folders: published evaluation of each checkpoint, with its evidence.
        results: metrics of each checkpoint.
        pairs: (checkpoint, baseline).
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        Rows with the difference checkpoint - baseline, its 95 % interval, a two-sided p-value and
        whether it is an improvement.

    Raises:
        ValueError: two checkpoints were evaluated on different images, or otherwise.
    """
    read = cache(read_arrays)
    rows = []
    for checkpoint, baseline in pairs:
        check_alike(folders[checkpoint], folders[baseline], apart=("weights",))
        shared = {(m.benchmark, m.dataset, m.metric) for m in results[baseline]}
        for metric in results[checkpoint]:
            if (metric.benchmark, metric.dataset, metric.metric) not in shared:
                continue
            first, second = _evidence_pair(
                folders[checkpoint], folders[baseline], metric, read=read
            )
            spec = BENCHMARKS[metric.benchmark].spec(metric.metric)
            found = paired_difference(
                spec.statistic,
                first,
                second,
                resamples=resamples,
                generator=numpy_generator(seed, "evaluate/compare"),
                strata=spec.strata(first),
            )
            gain = found.value if metric.direction == "higher" else -found.value
            rows.append(
                {
                    "checkpoint": checkpoint,
                    "baseline": baseline,
                    "benchmark": metric.benchmark,
                    "dataset": metric.dataset,
                    "metric": metric.metric,
                    "difference": round(found.value, _DECIMALS),
                    "ci95": [round(bound, _DECIMALS) for bound in found.ci95],
                    "p_value": round(found.p_value, _DECIMALS),
                    "improved": gain > 0,
                }
            )
    return rows


def check_alike(folder: Path, other: Path, *, apart: Sequence[str]) -> None:
    """Refuse tasks of two folders whose addresses differ in more than is meant to.

    Other scored images are left to those who read the evidence, which names them too.

    Args:
        folder: results with their details.json.
        other: likewise.
        apart: entries of an address that may differ.

    Raises:
        ValueError: others differ.
    """
    first, second = (read_details(part)["tasks"] for part in (folder, other))
    for task in first.keys() & second.keys():
        mine, theirs = first[task]["address"], second[task]["address"]
        keys = sorted((mine.keys() | theirs.keys()) - {*apart, "images"})
        different = [key for key in keys if mine.get(key) != theirs.get(key)]
        if different:
            raise ValueError(
                f"{task} of {folder.name} and of {other.name} differ in {', '.join(different)}: "
                "evaluate both alike"
            )


def _evidence_pair(
    folder: Path, other: Path, metric: Metric, *, read: Callable[[Path], Evidence]
) -> tuple[NDArray[Any], NDArray[Any]]:
    key = evidence_key(BENCHMARKS[metric.benchmark].spec(metric.metric), metric.metric)
    (first, digest), (second, other_digest) = (
        read(evidence_path(part, metric.benchmark, metric.dataset)) for part in (folder, other)
    )
    if digest != other_digest:
        raise ValueError(
            f"{folder.name} and {other.name} were evaluated on different images of "
            f"{metric.dataset}: evaluate them again"
        )
    return first[key], second[key]


def ladder(checkpoints: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what to compare: every checkpoint with the first, and each late one with the last step.

    Args:
        checkpoints: in order of training: steps, then "highres", then "rasa".
    """
    yield from ((name, checkpoints[0]) for name in checkpoints[1:])
    steps = [name for name in checkpoints[1:] if name.startswith("step-")]
    late = [*steps[-1:], *(name for name in ("highres", "rasa") if name in checkpoints)]
    yield from ((after, before) for before, after in itertools.pairwise(late))


def unique_seeds(settings: Sequence[Mapping[str, int]]) -> tuple[int, int]:
    """Return the (seed, resamples) that all evaluations share."""
    shared = {(entry["seed"], entry["resamples"]) for entry in settings}
    if len(shared) != 1:
        raise ValueError(f"evaluations differ in (seed, resamples): {sorted(shared)}; rerun them")
    return next(iter(shared))
