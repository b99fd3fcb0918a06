"""Bars of the funnel say what the accounts say."""

import pytest

from franca.report.funnel import Step, read_funnel
from franca.report.plots.funnel import draw_funnel


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
