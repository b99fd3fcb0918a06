"""Results of several models or checkpoints side by side: JSON rows, CSV, Markdown, LaTeX."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from franca.eval.published import Comparison, reported_metrics
from franca.eval.registry import BENCHMARKS
from franca.eval.results import Metric

Results = Mapping[str, Sequence[Metric]]
"""The metrics of each model, or of each checkpoint of one."""

_COLUMNS: Final = [
    "checkpoint", "benchmark", "dataset", "metric", "value", "ci_low", "ci_high", "n", "unit",
    "direction", "protocol", "version",
]  # fmt: skip
_ARROWS: Final = {"higher": "↑", "lower": "↓"}
_LATEX: Final = {"↑": r"$\uparrow$", "↓": r"$\downarrow$"} | {
    character: f"\\{character}" for character in "_%&#"
}


def joined_rows(results: Results) -> list[dict[str, Any]]:
    """Return every metric of every checkpoint, as in metrics.json plus "checkpoint"."""
    return [
        {"checkpoint": checkpoint} | asdict(metric) | {"ci95": list(metric.ci95)}
        for checkpoint, metrics in results.items()
        for metric in metrics
    ]


def csv_text(results: Results) -> str:
    """Write every metric in full, one line per checkpoint and metric."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in joined_rows(results):
        low, high = row.pop("ci95")
        writer.writerow(row | {"ci_low": low, "ci_high": high})
    return file.getvalue()


def main_cells(results: Results) -> list[list[str]]:
    """Lay out value [95 % interval] of each benchmark's first metric, a column per model.

    Returns:
        The header and a row for each benchmark, data set and variant of its first metric.
    """
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for name, metrics in results.items():
        for metric in metrics:
            if is_main(metric):
                low, high = metric.ci95
                text = f"{metric.value:.3f} [{low:.3f}, {high:.3f}]"
                cells.setdefault(heads(metric), {})[name] = text
    rows = [[*key, *(values.get(name, "") for name in results)] for key, values in cells.items()]
    return [["benchmark", "set", "metric", "unit", *results], *rows]


def with_paper(
    cells: Sequence[Sequence[str]], comparisons: Mapping[tuple[str, ...], Comparison]
) -> list[list[str]]:
    """Append the paper's numbers, the differences to them and what those mean.

    Args:
        cells: what `main_cells` returned.
        comparisons: by the first four cells of a row.
    """
    header, *rows = cells
    extended = [[*header, "paper", "difference", "verdict"]]
    for row in rows:
        found = comparisons.get(tuple(row[:4]))
        if found is None:
            extended.append([*row, "", "", ""])
            continue
        verdict = found.status + (f": {found.reason}" if found.reason else "")
        where = f"{found.published.value:g} % ({found.published.table})"
        extended.append([*row, where, f"{found.difference:+.1f} points", verdict])
    return extended


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Write cells, the header first, as a Markdown table."""
    header, *rows = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([header, "|" + " --- |" * len(cells[0]), *rows]) + "\n"


def latex(cells: Sequence[Sequence[str]]) -> str:
    """Write cells, the header first, as a LaTeX table in the manner of booktabs."""
    header, *rows = (" & ".join(_escape(cell) for cell in row) + r" \\" for row in cells)
    columns = "llll" + "r" * (len(cells[0]) - 4)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        header,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def is_main(metric: Metric) -> bool:
    """Say whether a metric, whatever its variant, is the one that stands for its benchmark.

    That is the one that the paper reports on this set, or else the first of the benchmark: on some
    fine-grained sets accuracy is averaged over classes.
    """
    base, first = metric.metric.partition("@")[0], BENCHMARKS[metric.benchmark].metrics[0].name
    return base == reported_metrics().get((metric.benchmark, metric.dataset), first)


def heads(metric: Metric) -> tuple[str, ...]:
    """Return the first four cells of the row of a metric."""
    arrow = _ARROWS[metric.direction]
    return metric.benchmark, metric.dataset, f"{metric.metric} {arrow}", metric.unit


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
