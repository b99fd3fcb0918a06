"""Panels of curves: places, bands, legend."""

import numpy as np
import pytest
from matplotlib.text import Text

from franca.report.plots.curves import Line, Panel, draw_panels


def line(label="a", tone=0, **options):
    x = np.arange(3.0)
    return Line(label=label, x=x, y=x**2, tone=tone, **options)


def panel(*lines, **options):
    return Panel(title="t", axis="y", lines=lines, **options)


@pytest.mark.parametrize(("panels", "shown"), [(1, 1), (3, 3), (4, 4), (7, 7)])
def test_one_set_of_axes_a_panel(panels, shown):
    figure = draw_panels([panel(line())] * panels, x_label="step")
    assert sum(axes.axison for axes in figure.axes) == shown


def test_the_lowest_panel_of_each_column_names_the_axis():
    figure = draw_panels([panel(line())] * 4, columns=3, x_label="step")
    assert [axes.get_xlabel() for axes in figure.axes[:4]] == ["", "step", "step", "step"]


def test_curves_are_drawn_as_given():
    axes = draw_panels([panel(line())], x_label="").axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [1, 1], [2, 4]]


def test_a_single_point_shows_its_interval_as_a_bar():
    point = Line(
        label="a", x=np.array([1.0]), y=np.array([2.0]), low=np.array([1.0]), high=np.array([3.0])
    )
    axes = draw_panels([panel(point)], x_label="").axes[0]
    assert axes.collections[0].get_segments()[0].tolist() == [[1, 1], [1, 3]]


def test_legend_lists_each_label_once_and_no_empty_one():
    panels = [panel(line("a"), line("b", 1)), panel(line("b", 1), line("", 2))]
    (legend,) = draw_panels(panels, x_label="").legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_one_label_needs_no_legend():
    assert draw_panels([panel(line("a"))], x_label="").legends == []


def test_reference_and_phases():
    axes = draw_panels(
        [panel(line(), reference=(1.5, (1.0, 2.0)), phases=(0.5,))], x_label=""
    ).axes[0]
    levels = [found.get_ydata()[0] for found in axes.lines if found.get_linestyle() == "--"]
    assert levels == [1.5]
    assert [found.get_xdata()[0] for found in axes.lines[2:]] == [0.5]


TITLES = {3: "linear segmentation · segmentation ↑", 4: "gradient norm of the ibot head"}


@pytest.mark.parametrize(("columns", "title"), TITLES.items())
def test_long_titles_stay_above_their_panels(columns, title):
    curve = Line(label="a", x=np.arange(3.0), y=np.array([0.0501, 0.0502, 0.0503]))
    row = [Panel(title=title, axis="rmse", lines=(curve,))] * columns
    figure = draw_panels(row, columns=columns, x_label="step")
    figure.draw_without_rendering()
    for axes in figure.axes:
        (shown,) = (text for text in axes.findobj(Text) if text.get_text().startswith(title[:6]))
        assert shown.get_window_extent().x1 <= axes.bbox.x1 + 1
