"""Small multiples of curves: training by step, benchmarks by checkpoint, accuracy by width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import fill

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from franca.report.figures import MUTED, RULE, SERIES, WIDTH, new, themed

Numbers = npt.NDArray[np.float64]
_HEIGHT = 1.85
_TITLES = 72  # characters that the panels of a row have room for above them


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One curve; `low` and `high` bound its 95 % band; `tone` picks the colour.

    A curve with an empty label is left out of the legend.
    """

    label: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    tone: int = 0
    markers: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One set of axes.

    Attributes:
        title: Printed above.
        axis: Label of the vertical axis.
        lines: Curves.
        reference: Height and label of a dashed line, if any.
        phases: Where upright lines part the phases of the training.
        ticks: Positions and labels of the horizontal axis, if not its own choice.
    """

    title: str
    axis: str
    lines: tuple[Line, ...]
    reference: tuple[float, tuple[float, float] | None] | None = None
    phases: tuple[float, ...] = ()
    ticks: tuple[tuple[float, str], ...] = field(default=())


@themed
def draw_panels(panels: Sequence[Panel], *, columns: int = 3, x_label: str) -> Figure:
    """Draw panels in rows of `columns`, with one legend under all of them."""
    share = min(1.0, (len(panels) + 0.5) / columns)
    title_width = _TITLES // columns
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new(WIDTH * share, _HEIGHT * rows + 0.45)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel)
        axes.set_title(fill(panel.title, title_width))
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    for index in range(max(0, len(panels) - columns), len(panels)):
        grid.flat[index].set_xlabel(x_label)
    _add_legend(figure)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    for line in panel.lines:
        colour = SERIES[line.tone % len(SERIES)]
        style = "o-" if line.markers else "-"
        axes.plot(line.x, line.y, style, color=colour, label=line.label, markersize=3.5)
        if line.low is not None and line.high is not None:
            if len(line.x) == 1:
                axes.vlines(line.x, line.low, line.high, color=colour, linewidth=1.6, alpha=0.6)
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
    if panel.reference:
        height, band = panel.reference
        axes.axhline(height, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        if band:
            axes.axhspan(*band, color=MUTED, alpha=0.09, linewidth=0, zorder=0)
    for x in panel.phases:
        axes.axvline(x, color=RULE, linewidth=0.8, zorder=0)
    if panel.ticks:
        axes.set_xticks([x for x, _ in panel.ticks], [name for _, name in panel.ticks])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylabel(panel.axis)


def _add_legend(figure: Figure) -> None:
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label:
                handles.setdefault(label, handle)
    if len(handles) > 1:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=min(6, len(handles)),
        )
