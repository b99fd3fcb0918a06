"""Tables of results, in the formats that papers and spreadsheets want."""

import numpy as np
import pytest

from franca.eval.published import Comparison, published_numbers
from franca.eval.registry import BENCHMARKS
from franca.eval.tables import (
    csv_text,
    heads,
    is_main,
    joined_rows,
    latex,
    main_cells,
    markdown,
    with_paper,
)


@pytest.fixture
def results():
    """Two models: the second has no depth."""

    def measure(name, evidence):
        return BENCHMARKS[name].measure(evidence, dataset="set_a", resamples=20, seed=0)

    def knn(right):
        hits = np.arange(40) < right
        return measure("knn", {"correct@k20": hits, "correct5@k20": hits})

    errors = {name: np.linspace(1, 2, 40) for name in ("rmse", "delta1", "delta2", "delta3")}
    return {"first": [*knn(20), *measure("depth", errors)], "second": knn(30)}


def test_rows_and_csv_hold_every_metric(results):
    rows = joined_rows(results)
    assert [row["checkpoint"] for row in rows] == ["first"] * 6 + ["second"] * 2
    header, first, *rest = csv_text(results).splitlines()
    assert header.startswith("checkpoint,benchmark,dataset,metric,value,ci_low,ci_high,n,unit")
    assert first.startswith("first,knn,set_a,top1@k20,0.5,")
    assert len(rest) == 7


def test_cells_are_of_the_main_metrics_and_empty_where_nothing_was_measured(results):
    header, *rows = main_cells(results)
    assert header == ["benchmark", "set", "metric", "unit", "first", "second"]
    assert [row[:4] for row in rows] == [
        ["knn", "set_a", "top1@k20 ↑", "fraction"],
        ["depth", "set_a", "rmse ↓", "m"],
    ]
    assert rows[0][5].startswith("0.750 [")
    assert rows[1][5] == ""
    assert not is_main(results["first"][1])  # top5


def test_where_the_paper_averages_over_classes_so_do_the_tables():
    evidence = {
        "correct": np.array([True, False, True]),
        "class_and_correct": np.array([[0, 1], [0, 0], [1, 1]]),
    }
    for dataset, expected in (("aircraft", "mean_per_class"), ("cars", "top1"), ("mine", "top1")):
        found = BENCHMARKS["logreg"].measure(evidence, dataset=dataset, resamples=5, seed=0)
        assert [metric.metric for metric in found if is_main(metric)] == [expected]


def test_the_papers_number_stands_beside_ours(results):
    row = published_numbers()[0]
    found = Comparison(published=row, difference=-29.5, status="not comparable", reason="n is 40")
    header, knn, depth = with_paper(main_cells(results), {heads(results["first"][0]): found})
    assert header[-3:] == ["paper", "difference", "verdict"]
    assert knn[-3:] == ["79.5 % (Table 4)", "-29.5 points", "not comparable: n is 40"]
    assert depth[-3:] == ["", "", ""]


def test_markdown_and_latex_have_the_same_cells(results):
    cells = main_cells(results)
    lines = markdown(cells).splitlines()
    assert lines[0] == "| benchmark | set | metric | unit | first | second |"
    assert lines[2].startswith("| knn | set_a | top1@k20 ↑ | fraction | 0.500 [")
    text = latex(cells)
    assert text.splitlines()[0] == r"\begin{tabular}{llllrr}"
    assert r"knn & set\_a & top1@k20 $\uparrow$ & fraction & 0.500 [" in text
    assert text.count(r" \\") == len(cells)
