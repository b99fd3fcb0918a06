"""Bars of the funnel say what the accounts say."""

import pytest

from franca.report.funnel import Effect, Effects, Step, read_effects, read_funnel
from franca.report.plots.funnel import draw_effects, draw_funnel


def test_bars_are_kept_and_dropped(finished_run):
    steps = read_funnel(finished_run["pack_shards"])
    (axes,) = draw_funnel(steps).axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == [s.kept for s in steps] + [s.dropped for s in steps]
    starts = [bar.get_x() for bar in axes.patches[len(steps) :]]
    assert starts == [s.kept for s in steps]


def test_each_stage_is_named_once(finished_run):
    steps = read_funnel(finished_run["pack_shards"])
    texts = [text.get_text() for text in draw_funnel(steps).axes[0].texts]
    for stage in {step.stage for step in steps}:
        assert texts.count(stage) == 1


@pytest.mark.parametrize("entered", [0, 1])
def test_a_funnel_that_lets_nothing_in_can_be_drawn(entered):
    step = Step(stage="s", filter="f", entered=entered, kept=entered, dropped=0, reasons={})
    assert draw_funnel([step]).axes[0].get_xlim()[1] > 0


def test_effects_are_shares_of_all_rows_and_overlaps_of_what_a_filter_drops(finished_run):
    effects = read_effects(finished_run["filter_metadata"])
    bars, matrix = draw_effects(effects).axes
    widths = [round(bar.get_width(), 3) for bar in bars.patches]
    assert widths[:4] == [0.24, 0.06, 0.08, 0.1]  # alone
    assert widths[4:8] == [0.23, 0.041, 0.066, 0.088]  # in sequence
    cells = matrix.images[0].get_array()
    assert cells[1][0] == pytest.approx(19 / 60)
    assert [cells[number][number] for number in range(4)] == [1] * 4


def test_a_row_of_overlaps_lies_beside_the_bars_of_its_filter(finished_run):
    figure = draw_effects(read_effects(finished_run["filter_metadata"]))
    figure.canvas.draw()
    bars, matrix = figure.axes
    for row in range(len(bars.get_yticks())):
        beside = [axes.transData.transform((0, row))[1] for axes in (bars, matrix)]
        assert beside[0] == pytest.approx(beside[1])


def test_filters_that_drop_nothing_can_be_drawn():
    idle = Effect(filter="f", alone=0, in_sequence=0, only=0, overlap=(0,))
    assert draw_effects(Effects(rows=0, filters=(idle,))).axes


def test_without_an_ablation_there_are_no_effects(tmp_path):
    assert read_effects(tmp_path) is None
