"""Convergence curves and the table of all numbers."""

import pytest

from franca.report.figures import Figures
from franca.report.results import read_results
from franca.report.sections.benchmarks import build_benchmarks


@pytest.fixture
def section(finished_run, tmp_path):
    results = read_results(finished_run["evaluate"], main_metrics={"knn": "top1@k20"})
    return build_benchmarks(results, Figures(tmp_path, dpi=50))


def test_every_benchmark_has_a_panel_with_its_phases(section):
    svg = section.blocks[0].svg
    for title in (
        "knn · objects\N{NO-BREAK SPACE}↑",
        "depth · rooms\N{NO-BREAK SPACE}↓",
        "in context · rooms\N{NO-BREAK SPACE}↑",
    ):
        assert f">{title}</text>" in svg
    assert svg.count(">HR</text>") == svg.count(">RASA</text>") - 1 == 7  # the legend says RASA too
    assert "top1@k20" in svg
    assert "top1@k10" not in svg


def test_first_and_last_step_are_on_the_axis(section):
    assert section.blocks[0].svg.count(">400</text>") == 7


def test_the_fold_holds_every_number(section):
    (table,) = section.blocks[1].blocks
    assert len(table.rows) == 11
    assert len(table.columns) == 8
    assert table.rows[0][0].note == "top1@k10 · objects · n = 400"
