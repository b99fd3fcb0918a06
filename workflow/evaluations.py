"""Any model on any benchmark and set, beside the checkpoints that the pipeline itself evaluates."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from franca.baselines.models import open_model
from franca.config.evaluation_sets import EvaluationSet
from franca.eval.benchmark import Kind
from franca.eval.comparison import compare, unique_seeds
from franca.eval.inputs.kinds import fits
from franca.eval.inputs.sets import Prepared
from franca.eval.published import Comparison, compare_with_paper
from franca.eval.registry import BENCHMARKS
from franca.eval.results import Metric, read_details, read_metrics
from franca.eval.seeds import spread_over_seeds
from franca.eval.suite import Pair, Suite
from franca.eval.tables import heads, is_main
from franca.stages.evaluate import build_suite, evaluation_device, load_checkpoint
from workflow.plan.text import scaled, table
from workflow.stages import BY_NAME, artifact_folder

_LEAST_P = 1e-4
_CHECKPOINT = re.compile(r"step-\d{7}|highres|rasa")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Models by name, and what is to be run on each.

    Attributes:
        parameters: what `workflow.params.resolve` returned.
        scale: whose sets, parameters and rendered world are used.
        variant: whose checkpoints are meant by their bare names.
        models: specification of each model, by the name of its folder.
        benchmarks: names; empty means those of the scale's tasks.
        datasets: names; empty means those of the scale's tasks, or every fitting one.
        limit: use at most so many images of each split.
        output: folder of folders of results.
    """

    parameters: Any
    scale: str
    variant: str
    models: Mapping[str, str]
    benchmarks: Sequence[str]
    datasets: Sequence[str]
    limit: int | None
    output: Path

    @property
    def sets(self) -> dict[str, EvaluationSet]:
        """The declared sets, no split larger than the limit."""
        declared: dict[str, EvaluationSet] = self.parameters.evaluation_sets
        if self.limit is None:
            return declared
        return {name: _limited(each, self.limit) for name, each in declared.items()}

    def tasks(self) -> list[Pair]:
        """Return what is to be run on each model.

        Raises:
            ValueError: an unknown name, or no benchmark fits a set.
        """
        listed = [Pair(t.benchmark, t.evaluation_set) for t in self.parameters.evaluate.tasks]
        _require_known("--benchmark", self.benchmarks, BENCHMARKS)
        _require_known("--dataset", self.datasets, self.sets)
        if not self.benchmarks and not self.datasets:
            return listed
        names = self.benchmarks or list(dict.fromkeys(task.benchmark for task in listed))
        pairs = [
            Pair(name, dataset)
            for name in names
            for dataset in self.datasets or self.sets
            if fits(BENCHMARKS[name].kind, self.sets, dataset)
        ]
        if not pairs:
            raise ValueError(
                f"none of the benchmarks {', '.join(names)} fits a set among "
                f"{', '.join(self.datasets or self.sets)}: see `franca eval list`"
            )
        return pairs

    def suite(self, name: str) -> Suite:
        """Open a model and return the suite that runs benchmarks on it."""
        spec, device = self.models[name], evaluation_device(self.parameters.evaluate.device)
        if _CHECKPOINT.fullmatch(spec):
            stages = ("pretrain", "finetune_highres", "rasa")
            inputs = {stage: self._published(stage) for stage in stages}
            model, digest = load_checkpoint(spec, inputs, device=device)
        else:
            family, _, weights = spec.partition("@")
            model, digest = open_model(
                family, weights=Path(weights) if weights else None, device=device
            )
        return build_suite(
            self.parameters.evaluate,
            model=model,
            weights_digest=digest,
            evaluation_sets=self.sets,
            scenes=self._published("scenes"),
            seed=self.parameters.seed,
            folder=self.output / "features",
            device=device,
        )

    def _published(self, stage: str) -> Path:
        return artifact_folder(BY_NAME[stage], scale=self.scale, variant=self.variant)


def run(grid: Grid) -> Iterator[str]:
    """Run what is missing, model by model; yield a line before and after each model."""
    tasks = grid.tasks()
    for name in grid.models:
        folder, suite = grid.output / name, grid.suite(name)
        suite.check(tasks)
        missing = suite.missing(tasks, folder)
        space = _space(_needed(suite, missing).values())
        yield f"{name}: {len(missing)} of {len(tasks)} benchmarks to run; features: {space}"
        metrics = suite.run(tasks, folder, title=name)
        yield f"{folder}: {len(metrics)} metrics of {len(tasks)} benchmarks"


def describe(grid: Grid) -> Iterator[str]:
    """Say what `run` would do: what is there, images through the model, their time, their space.

    The time is that of the model alone, from one batch on this machine; reading images and the
    benchmarks themselves come on top.
    """
    tasks = grid.tasks()
    for name in grid.models:
        suite = grid.suite(name)
        suite.check(tasks)
        missing = suite.missing(tasks, grid.output / name)
        rows = [["benchmark", "set", "images", ""]]
        for task in tasks:
            state = "to run" if task in missing else "is there"
            rows.append([*task, f"{suite.prepared(task).images:,}", state])
        yield "\n".join([f"{name} ({grid.models[name]})", *table(rows), _cost(suite, missing)])


def _cost(suite: Suite, missing: Sequence[Pair]) -> str:
    needed = _needed(suite, missing)
    seconds = sum(
        each.images * suite.sets.store.seconds_per_image(each.input_size)
        for each in needed.values()
    )
    for task in missing:
        streamed = BENCHMARKS[task.benchmark].streamed(suite.parameters[task.benchmark])
        if streamed:
            size_of_input = suite.prepared(task).input_size
            seconds += streamed * suite.sets.store.seconds_per_image(size_of_input)
    space = _space(needed.values())
    return f"{len(missing)} to run; features: {seconds / 60:.1f} min of the model, {space}"


def _space(prepared: Iterable[Prepared]) -> str:
    spaces = [each.space for each in prepared]
    stored, streamed = sum(each.stored for each in spaces), sum(each.streamed for each in spaces)
    more = f" and {scaled(streamed, 'B')} computed whenever they are read" if streamed else ""
    return f"{scaled(stored, 'B')} stored{more}"


def _needed(suite: Suite, tasks: Sequence[Pair]) -> dict[tuple[Kind, str], Prepared]:
    """Return what the tasks see, once where several see the same."""
    return {
        (BENCHMARKS[task.benchmark].kind, task.evaluation_set): suite.prepared(task)
        for task in tasks
    }


def compared(folder: Path, other: Path) -> list[str]:
    """Compare two folders of results on the same images, metric by metric; `other` is the baseline.

    Raises:
        FileNotFoundError: a folder holds no results.
        ValueError: they were not evaluated alike.
    """
    folders = {"first": folder, "second": other}
    results = {name: read_results(path) for name, path in folders.items()}
    seed, resamples = unique_seeds([read_details(path) for path in folders.values()])
    rows = compare(folders, results, pairs=[("first", "second")], resamples=resamples, seed=seed)
    values = {
        name: {(m.benchmark, m.dataset, m.metric): m.value for m in metrics}
        for name, metrics in results.items()
    }
    lines = [["benchmark", "set", "metric", str(folder), str(other), "difference", "p"]]
    for row in rows:
        key = (row["benchmark"], row["dataset"], row["metric"])
        low, high = row["ci95"]
        ours, theirs = (f"{values[name][key]:.3f}" for name in folders)
        change = f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append([*key, ours, theirs, change, _p_value(row["p_value"])])
    return table(lines)


def _p_value(value: float) -> str:
    return f"{value:.3g}" if value >= _LEAST_P else f"< {_LEAST_P:g}"


def seed_spread(folders: Sequence[Path]) -> list[str]:
    """Lay out how far another seed moves each main metric, beside what other images would.

    Raises:
        FileNotFoundError: a folder holds no results.
        ValueError: they differ in more than the seed, or in nothing.
    """
    for folder in folders:
        read_results(folder)
    lines = [["benchmark", "set", "metric", "runs", "mean", "sd of seeds", "95 % over images"]]
    for found in spread_over_seeds(folders):
        if is_main(found.metric):
            key = (found.metric.benchmark, found.metric.dataset, found.metric.metric)
            numbers = (f"{found.mean:.3f}", f"{found.sd_seed:.4f}", f"±{found.ci_sampling:.3f}")
            lines.append([*key, str(found.runs), *numbers])
    return table(lines)


def read_results(folder: Path) -> list[Metric]:
    """Read the metrics of a folder of results.

    Raises:
        FileNotFoundError: it holds none.
    """
    file = folder / "metrics.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not there; make it with `franca eval run`")
    return read_metrics(file)


def paper_comparisons(
    folder: Path, *, model: str, same_weights: bool
) -> dict[tuple[str, ...], Comparison]:
    """Hold the main metrics of a folder against the paper's, by the first cells of their rows."""
    details = read_details(folder)["tasks"]
    found = {}
    for metric in filter(is_main, read_results(folder)):
        address = details.get(f"{metric.benchmark}-{metric.dataset}", {}).get("address", {})
        verdict = compare_with_paper(metric, address, model=model, same_weights=same_weights)
        if verdict is not None:
            found[heads(metric)] = verdict
    return found


def _limited(declared: EvaluationSet, limit: int) -> EvaluationSet:
    smaller = {
        name: min(limit, getattr(declared, name) or limit) for name in ("max_train", "max_test")
    }
    return declared.model_copy(update=smaller)


def _require_known(option: str, names: Sequence[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{option} {name}: not one of {', '.join(known)}")
