"""All that is known of one benchmark before it runs, as `franca eval show` prints it."""

from collections.abc import Mapping, Sequence
from typing import Any

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.benchmark import Benchmark
from franca.eval.costs import COSTS
from franca.eval.inputs.formats import format_of
from franca.eval.inputs.kinds import KINDS, fits
from franca.eval.published import published_numbers
from workflow.plan.text import table

QUICK_SCALE = "tiny"


def describe(benchmark: Benchmark, *, parameters: Any, quick: Any) -> str:
    """Return protocol, source, metrics, sets, cost, quick form, parameters and published numbers.

    Args:
        benchmark: a registered one.
        parameters: of the scale that is asked for.
        quick: of the scale that CI runs.
    """
    settings, few = (
        getattr(each.evaluate, benchmark.parameters_section) for each in (parameters, quick)
    )
    descriptions = type(settings).model_fields
    rows = [[f"  {k}", str(v), descriptions[k].description or ""] for k, v in settings]
    blocks = [
        [
            f"{benchmark.name}, version {benchmark.version}: {benchmark.protocol}",
            f"source: {benchmark.source}",
        ],
        ["metrics, each with a 95 % interval:", *table(_metrics(benchmark))],
        _kept(benchmark),
        _sets(benchmark, parameters.evaluation_sets),
        _cost(benchmark),
        _quick_form(benchmark, quick.evaluation_sets, dict(settings), dict(few)),
        ["parameters at this scale:", *_left(rows)],
        _paper(benchmark),
    ]
    return "\n\n".join("\n".join(block) for block in blocks)


def _metrics(benchmark: Benchmark) -> list[list[str]]:
    return [
        [f"  {spec.name}", f"in {spec.unit}", f"{spec.direction} is better", spec.interval]
        for spec in benchmark.metrics
    ]


def _kept(benchmark: Benchmark) -> list[str]:
    rows = [[f"  {name}", meaning] for name, meaning in benchmark.predictions.items()]
    files = [f"{folder}/{benchmark.name}-SET.npz" for folder in ("evidence", "predictions")]
    return [
        f"kept of each image: {files[0]}, from which the metrics follow"
        + (f"; {files[1]}:" if rows else ""),
        *_left(rows),
    ]


def _sets(benchmark: Benchmark, declared: Mapping[str, EvaluationSet]) -> list[str]:
    """Say what the sets of a scale are, those of novel images with the set they are novel to."""
    kinds = " or ".join(KINDS[benchmark.kind].set_kinds)
    names = fitting(benchmark, declared)
    if not names:
        return [f"data: a {kinds} set; this scale declares none that fits"]
    if benchmark.kind == "novelty":
        names += [
            name
            for name, each in declared.items()
            if each.kind == "novel" and each.known_set in names
        ]
    lines = [f"data: a {kinds} set; of this scale:"]
    for name in names:
        lines += _set_lines(name, declared[name])
    return lines


def fitting(benchmark: Benchmark, declared: Mapping[str, EvaluationSet]) -> list[str]:
    """Return the sets that a benchmark can run on."""
    return [name for name in declared if fits(benchmark.kind, declared, name)]


def _set_lines(name: str, declared: EvaluationSet) -> list[str]:
    layout = format_of(declared)
    counts = {"train": declared.num_train, "val": None, "test": declared.num_test}
    splits = [
        f"{role} {split}" + (f" ({counts[role]:,} images)" if counts[role] else "")
        for role in counts
        if (split := getattr(declared, f"{role}_split")) is not None
    ]
    complete = "; as many images as declared" if declared.num_train or declared.num_test else ""
    return [
        f"  {name}: {declared.format} in {declared.root}; {declared.licence}",
        f"    layout: {layout.files}",
        f"    splits: {', '.join(splits)}",
        f"    checks: every file is there, every image decodes; {layout.checks}{complete}",
    ]


def _cost(benchmark: Benchmark) -> list[str]:
    cost = COSTS[benchmark.name]
    return [
        "cost, estimated; `franca eval run --dry-run` says it for a model and this machine:",
        f"  paper's data, ViT-L, one H200: {cost.full}",
        f"  embedded world, one core: {cost.embedded_seconds:g} s",
    ]


def _quick_form(
    benchmark: Benchmark,
    declared: Mapping[str, EvaluationSet],
    settings: Mapping[str, Any],
    quick: Mapping[str, Any],
) -> list[str]:
    names = ", ".join(fitting(benchmark, declared))
    if not names:
        return [
            "quick form for CI: none on the embedded world; the layout is tested on small files"
        ]
    command = f"franca eval run --scale {QUICK_SCALE} --benchmark {benchmark.name}"
    changed = [f"  {key} = {quick[key]}" for key in quick if quick[key] != settings[key]]
    return [f"quick form for CI: `{command} --model random:vit_tiny`, on {names}", *changed]


def _paper(benchmark: Benchmark) -> list[str]:
    rows = [
        [f"  {row.model}", row.dataset, row.metric, f"{row.value:g} %", row.table]
        for row in published_numbers()
        if row.benchmark == benchmark.name
    ]
    return ["in the paper:", *table(rows)] if rows else ["the paper reports no number of it"]


def _left(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
