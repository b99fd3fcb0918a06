"""The truncation curve has the right points in the right order."""

import pytest

from franca.report.figures import Figures
from franca.report.results import read_results
from franca.report.sections.truncation import build_truncation, truncated


@pytest.fixture
def results(finished_run):
    return read_results(finished_run["evaluate"], main_metrics={"knn": "top1@k20"})


def test_points_are_the_halvings_of_the_main_metric(results):
    knn = results.main_measures()[0]
    points = truncated(results, "highres", knn)
    assert {divisor: found.value for divisor, found in points.items()} == {
        1: 0.36, 2: 0.35, 4: 0.33, 8: 0.29,
    }  # fmt: skip


def test_a_metric_without_halvings_is_no_curve(results):
    logreg = next(m for m in results.main_measures() if m.benchmark == "logreg")
    assert list(truncated(results, "highres", logreg)) == [1]


def test_only_benchmarks_with_halvings_are_drawn(results, tmp_path):
    curves = {"highres": (results, "highres"), "random": (results, "step-0000000")}
    (plot,) = build_truncation(curves, Figures(tmp_path, dpi=50)).blocks
    assert "knn · objects\N{NO-BREAK SPACE}↑" in plot.svg
    assert "logreg" not in plot.svg
    for label in ("d/8", "d/4", "d/2", "d", "highres", "random"):
        assert f">{label}</text>" in plot.svg


def test_nothing_to_draw_is_said(tmp_path):
    (block,) = build_truncation({}, Figures(tmp_path, dpi=50)).blocks
    assert block.kind == "missing"
