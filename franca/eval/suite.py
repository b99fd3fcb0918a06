"""Run benchmarks on one model: every number says what it is of, and what is there is not redone.

    <folder>/metrics.json      every metric with its 95 % interval
    <folder>/evidence/*.npz    per image, what the metrics follow from; paired comparisons need it
    <folder>/predictions/*.npz per image, what was predicted, to be looked at; nothing reads it
    <folder>/details.json      seed, resamples, and for each task its address and what was chosen on
                               the way (a penalty, a learning rate)

The address of a task is everything that its numbers depend on: weights, images that are scored or
learnt from, transforms, parameters, versions. A task whose address is in the folder already is not
run again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from franca.eval.benchmark import Kind, Outcome
from franca.eval.inputs.kinds import KINDS, check_task
from franca.eval.inputs.sets import EvaluationSets, Prepared
from franca.eval.registry import BENCHMARKS
from franca.eval.results import (
    Metric,
    evidence_path,
    predictions_path,
    read_details,
    read_metrics,
    write_arrays,
    write_json,
    write_metrics,
)
from franca.eval.truth.truths import TRUTHS


class Pair(NamedTuple):
    """A benchmark on an evaluation set, by their names."""

    benchmark: str
    evaluation_set: str

    def __str__(self) -> str:
        """Return the name of the task in files."""
        return f"{self.benchmark}-{self.evaluation_set}"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One model, the sets, and how benchmarks are run.

    Attributes:
        sets: the sets, with the store of the model's features.
        parameters: of each benchmark, by its name.
        seed: of everything random in a benchmark, and of the bootstrap.
        resamples: bootstrap draws behind each interval.
    """

    sets: EvaluationSets
    parameters: Mapping[str, Mapping[str, Any]]
    seed: int
    resamples: int
    _prepared: dict[tuple[Kind, str], Prepared] = field(default_factory=dict, init=False)

    def check(self, tasks: Sequence[Pair]) -> None:
        """Refuse tasks that do not fit their sets, before any work.

        Raises:
            ValueError: a set is not declared, or of a kind that the benchmark cannot use.
        """
        for task in tasks:
            check_task(BENCHMARKS[task.benchmark], self.sets, task.evaluation_set)

    def prepared(self, task: Pair) -> Prepared:
        """Return what the benchmark sees of the set; benchmarks of one kind share it."""
        kind = BENCHMARKS[task.benchmark].kind
        key = (kind, task.evaluation_set)
        if key not in self._prepared:
            self._prepared[key] = KINDS[kind].prepare(self.sets, task.evaluation_set)
        return self._prepared[key]

    def address(self, task: Pair) -> dict[str, Any]:
        """Return everything that the numbers of a task depend on, as plain JSON."""
        store, prepared = self.sets.store, self.prepared(task)
        address = {
            "weights": store.weights_digest,
            "images": prepared.digest,
            "learnt": {role: each.digest for role, each in prepared.learnt.items()},
            "inputs": prepared.images,
            "crop": asdict(store.crop),
            "square": asdict(store.square),
            "frame_side": store.frame_side,
            "pair_side": store.pair_side,
            "patch_dtype": store.patch_dtype,
            "version": BENCHMARKS[task.benchmark].version,
            "parameters": self.parameters[task.benchmark],
            "seed": self.seed,
            "resamples": self.resamples,
            **prepared.address,
        }
        plain: dict[str, Any] = json.loads(json.dumps(address))
        return plain

    def missing(self, tasks: Sequence[Pair], folder: Path) -> list[Pair]:
        """Return the tasks that `folder` does not hold yet."""
        found = read_details(folder)["tasks"]
        return [
            task
            for task in tasks
            if str(task) not in found or found[str(task)]["address"] != self.address(task)
        ]

    def run(self, tasks: Sequence[Pair], folder: Path, *, title: str) -> list[Metric]:
        """Run what `folder` does not hold yet; it grows by one task at a time.

        Returns:
            All metrics in the folder.

        Raises:
            FileNotFoundError: a set is not where it should be.
            ValueError: a task does not fit its set, or a set is not laid out as declared.
        """
        self.check(tasks)
        _begin(folder, seed=self.seed, resamples=self.resamples)
        for task in tqdm(self.missing(tasks, folder), desc=title, unit="benchmark"):
            self._run(task, folder)
        return read_metrics(folder / "metrics.json")

    def bounds(self, tasks: Sequence[Pair]) -> list[Metric]:
        """Return what each benchmark reaches on features that are the ground truth."""
        metrics = []
        for task in tasks:
            if task.benchmark in TRUTHS:
                perfect = TRUTHS[task.benchmark](self.prepared(task).inputs)
                metrics += self._measure(task, perfect)[1]
        return metrics

    def _measure(self, task: Pair, inputs: Any) -> tuple[Outcome, list[Metric]]:
        benchmark = BENCHMARKS[task.benchmark]
        outcome = benchmark.run(
            inputs,
            seed=self.seed,
            device=self.sets.store.device,
            **self.parameters[task.benchmark],
        )
        metrics = benchmark.measure(
            outcome.evidence,
            dataset=task.evaluation_set,
            resamples=self.resamples,
            seed=self.seed,
        )
        return outcome, metrics

    def _run(self, task: Pair, folder: Path) -> None:
        prepared = self.prepared(task)
        try:
            outcome, metrics = self._measure(task, prepared.inputs)
        except ValueError as error:
            raise ValueError(f"{task.benchmark} on {task.evaluation_set}: {error}") from error
        files = {
            evidence_path(folder, *task): outcome.evidence,
            predictions_path(folder, *task): outcome.predictions,
        }
        for path, arrays in files.items():
            if arrays:
                write_arrays(path, arrays, images_digest=prepared.digest)
        _add_metrics(folder, task, metrics)
        details = read_details(folder)
        details["tasks"][str(task)] = {"address": self.address(task), **outcome.details}
        write_json(folder / "details.json", details)


def _begin(folder: Path, *, seed: int, resamples: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "metrics.json").is_file():
        write_metrics(folder / "metrics.json", [])
    details = read_details(folder) | {"seed": seed, "resamples": resamples}
    write_json(folder / "details.json", details)


def _add_metrics(folder: Path, task: Pair, metrics: Sequence[Metric]) -> None:
    """Replace what metrics.json says of a task."""
    file = folder / "metrics.json"
    others = read_metrics(file) if file.is_file() else []
    kept = [m for m in others if Pair(m.benchmark, m.dataset) != task]
    write_metrics(file, [*kept, *metrics])
