"""Benchmark results as the evaluation writes them, and what may be said of a difference."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

RANDOM: Final = "step-0000000"
HIGHRES: Final = "highres"
RASA: Final = "rasa"
TRUTH: Final = "ground_truth"  # no checkpoint: what perfect features reach
_FIELDS: Final = ("checkpoint", "benchmark", "dataset", "metric", "value", "ci95", "n", "direction")
_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What was measured, whatever the checkpoint."""

    benchmark: str
    dataset: str
    metric: str
    direction: Literal["higher", "lower"]
    unit: str
    protocol: str

    @property
    def name(self) -> str:
        """The benchmark's name for reading."""
        return self.benchmark.replace("_", " ")

    @property
    def key(self) -> tuple[str, str, str]:
        """Benchmark, data set and metric: no two measures share them."""
        return self.benchmark, self.dataset, self.metric


@dataclass(frozen=True, kw_only=True)
class Result:
    """One number with its 95 % interval (None where the benchmark gives none)."""

    checkpoint: str
    measure: Measure
    value: float
    interval: tuple[float, float] | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a result lies from its reference, with a 95 % interval.

    Attributes:
        delta: Result less reference.
        interval: Its 95 % interval.
        paired: Whether both were compared image by image; if not, the interval treats the samples
            as independent, which is cautious: they are the same images.
    """

    delta: float
    interval: tuple[float, float]
    paired: bool

    @property
    def p_value(self) -> float:
        """Two-sided p value of no difference, from the width of the interval.

        The bootstrap's own p values are not used: they cannot fall below 2 / resamples, and none
        of them would survive a correction over a table of fifty cells.
        """
        error = (self.interval[1] - self.interval[0]) / (2 * _NORMAL_95)
        if error == 0:
            return float(self.delta == 0)
        return math.erfc(abs(self.delta) / error / math.sqrt(2))


Key = tuple[str, str, str]
Paired = Mapping[tuple[str, str, Key], Difference]


class Results:
    """All results of one run, in the order of the file.

    Args:
        results: The numbers.
        main_metrics: The metric that stands for a benchmark, by benchmark; any other benchmark is
            represented by its first.
        paired: Differences that were computed image by image, by (checkpoint, reference, measure).
    """

    def __init__(
        self, results: Iterable[Result], *, main_metrics: Mapping[str, str], paired: Paired
    ) -> None:
        self.rows = tuple(results)
        self.main_metrics = main_metrics
        self.paired = paired
        self._table = {(row.checkpoint, row.measure.key): row for row in self.rows}

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, checkpoint: str, measure: Measure) -> Result | None:
        """Return one result, or None where it was not measured."""
        return self._table.get((checkpoint, measure.key))

    def difference(self, checkpoint: str, reference: str, measure: Measure) -> Difference | None:
        """Compare two checkpoints, on the same images if that was done; None without intervals."""
        found = self.paired.get((checkpoint, reference, measure.key))
        if found is not None:
            return found
        return unpaired_difference(self.get(checkpoint, measure), self.get(reference, measure))

    def measures(self) -> list[Measure]:
        """Return every measure once, in order of first appearance."""
        return list({row.measure.key: row.measure for row in self.rows}.values())

    def bound(self, measure: Measure) -> Result | None:
        """Return what features that are the ground truth reach, if that was computed."""
        return self.get(TRUTH, measure)

    def main_measures(self) -> list[Measure]:
        """Return the measure that stands for each benchmark on each data set."""
        main: dict[tuple[str, str], Measure] = {}
        for measure in self.measures():
            main.setdefault((measure.benchmark, measure.dataset), measure)
            if measure.metric == self.main_metrics.get(measure.benchmark):
                main[measure.benchmark, measure.dataset] = measure
        return list(main.values())

    def checkpoints(self) -> list[str]:
        """Return the checkpoints in the order of training: steps, high resolution, RASA."""
        names = {row.checkpoint for row in self.rows if row.checkpoint != TRUTH}
        last = [name for name in (HIGHRES, RASA) if name in names]
        return [*sorted(names - set(last)), *last]

    def trained(self) -> str | None:
        """Return the last checkpoint of pretraining, or None if there is but the random one."""
        steps = [c for c in self.checkpoints() if c.startswith("step-") and c != RANDOM]
        return steps[-1] if steps else None


def join_results(runs: Mapping[str, Results], *, paired: Paired) -> Results:
    """Put several runs into one, each checkpoint named `<run>/<checkpoint>`.

    Args:
        runs: Results by name of the run.
        paired: Further differences, between checkpoints of different runs.
    """
    rows = [
        dataclasses.replace(row, checkpoint=f"{name}/{row.checkpoint}")
        for name, run in runs.items()
        for row in run.rows
        if row.checkpoint != TRUTH
    ]
    within = {
        (f"{name}/{checkpoint}", f"{name}/{reference}", key): found
        for name, run in runs.items()
        for (checkpoint, reference, key), found in run.paired.items()
    }
    main_metrics = {key: value for run in runs.values() for key, value in run.main_metrics.items()}
    return Results(rows, main_metrics=main_metrics, paired={**within, **paired})


def read_results(folder: Path, *, main_metrics: Mapping[str, str]) -> Results:
    """Read `results.json` and `comparisons.json` of an evaluate folder.

    Args:
        folder: What the stage evaluate published.
        main_metrics: The metric that stands for a benchmark, by benchmark.

    Raises:
        FileNotFoundError: There are no results.
        ValueError: An entry lacks a field or holds an impossible one.
    """
    file, comparisons = folder / "results.json", folder / "comparisons.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not there; run the stage evaluate first")
    entries = json.loads(file.read_text(encoding="utf-8"))
    results = [_parse(entry, where=f"{file}, entry {i}") for i, entry in enumerate(entries)]
    rows = json.loads(comparisons.read_text("utf-8")) if comparisons.is_file() else []
    return Results(results, main_metrics=main_metrics, paired=index_comparisons(rows))


def index_comparisons(rows: Iterable[Mapping[str, Any]]) -> Paired:
    """Index the rows of a `comparisons.json` by (checkpoint, reference, measure)."""
    return {
        (
            row["checkpoint"],
            row["baseline"],
            (row["benchmark"], row["dataset"], row["metric"]),
        ): Difference(
            delta=row["difference"], interval=(row["ci95"][0], row["ci95"][1]), paired=True
        )
        for row in rows
    }


def _parse(entry: dict[str, object], *, where: str) -> Result:
    missing = [name for name in _FIELDS if name not in entry]
    if missing:
        raise ValueError(f"{where}: no {', '.join(missing)}; rerun the stage evaluate")
    direction, interval = entry["direction"], entry["ci95"]
    if direction not in ("higher", "lower"):
        raise ValueError(f"{where}: direction '{direction}' is neither 'higher' nor 'lower'")
    if interval is not None and not (isinstance(interval, list) and len(interval) == 2):
        raise ValueError(f"{where}: ci95 is neither null nor [low, high]; rerun evaluate")
    return Result(
        checkpoint=str(entry["checkpoint"]),
        measure=Measure(
            benchmark=str(entry["benchmark"]),
            dataset=str(entry["dataset"]),
            metric=str(entry["metric"]),
            direction="higher" if direction == "higher" else "lower",
            unit=str(entry.get("unit", "")),
            protocol=str(entry.get("protocol", "")),
        ),
        value=float(str(entry["value"])),
        interval=(float(interval[0]), float(interval[1])) if interval is not None else None,
        count=int(str(entry["n"])),
    )


def unpaired_difference(result: Result | None, reference: Result | None) -> Difference | None:
    """Compare two results as if their samples were independent; None without intervals.

    Standard errors are taken from the widths of the 95 % intervals; variances add.
    """
    if result is None or reference is None or not (result.interval and reference.interval):
        return None
    delta = result.value - reference.value
    halves = [(high - low) / 2 for low, high in (result.interval, reference.interval)]
    half = math.hypot(*halves)
    return Difference(delta=delta, interval=(delta - half, delta + half), paired=False)


def holm(p_values: Sequence[float], *, level: float = 0.05) -> list[bool]:
    """Say which of several tests remain significant when all are made at once (Holm, 1979)."""
    significant = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        significant[index] = True
    return significant
