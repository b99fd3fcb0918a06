"""The funnel of the filters: how many entered each, how many left."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from franca.report.figures import FAINT, INK, MUTED, RULE, SERIES, WIDTH, new, themed
from franca.report.funnel import Step
from franca.report.numbers import MINUS, count


@themed
def draw_funnel(steps: Sequence[Step]) -> Figure:
    """Draw one bar a filter: kept in colour, dropped pale, both on the scale of the first row."""
    figure = new(WIDTH, 0.32 * len(steps) + 0.3)
    axes = figure.subplots()
    rows = range(len(steps))
    kept, dropped = [s.kept for s in steps], [s.dropped for s in steps]
    axes.barh(rows, kept, color=SERIES[0], height=0.6)
    axes.barh(rows, dropped, left=kept, color=FAINT, edgecolor=RULE, linewidth=0.6, height=0.6)
    widest = max([s.entered for s in steps] + [1])
    for row, step in zip(rows, steps, strict=True):
        loss = f"{MINUS}{count(step.dropped)}" if step.dropped else ""
        axes.text(step.entered + widest * 0.01, row, count(step.kept), va="center", color=INK)
        axes.text(widest * 1.18, row, loss, va="center", ha="right", color=MUTED)
        if row == 0 or step.stage != steps[row - 1].stage:
            axes.axhline(row - 0.5, color=RULE, linewidth=0.8)
            axes.text(widest * 1.22, row, step.stage, va="center", color=MUTED)
    axes.set_yticks(rows, [s.filter for s in steps], color=INK)
    axes.tick_params(length=0)
    axes.set(xlim=(0, widest * 1.42), ylim=(len(steps) - 0.5, -0.6), xticks=[])
    axes.grid(visible=False)
    axes.spines[["bottom", "left"]].set_visible(False)
    return figure
