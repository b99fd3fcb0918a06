"""Bars of the component ablation, one panel a benchmark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from franca.report.figures import INK, MUTED, SERIES, WIDTH, new, themed

_COLUMNS = 2


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One rung: its value and 95 % interval; value None where it was not measured."""

    label: str
    value: float | None
    interval: tuple[float, float] | None


@themed
def draw_ladders(panels: Sequence[tuple[str, Sequence[Bar]]]) -> Figure:
    """Draw (title, bars) panels: one bar a rung with its interval, from zero.

    Args:
        panels: All with the same rungs; only the left column names them.
    """
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new(WIDTH, (0.26 * len(panels[0][1]) + 0.55) * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (title, bars) in zip(grid.flat, panels, strict=False):
        _draw(axes, title, bars)
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    return figure


def _draw(axes: Axes, title: str, bars: Sequence[Bar]) -> None:
    for row, bar in enumerate(bars):
        if bar.value is None:
            axes.text(0, row, " not measured", va="center", color=MUTED)
            continue
        axes.barh(row, bar.value, height=0.62, color=SERIES[0] if row else MUTED)
        if bar.interval:
            axes.hlines(row, *bar.interval, color=INK, linewidth=1.4)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars], color=INK)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(title)
