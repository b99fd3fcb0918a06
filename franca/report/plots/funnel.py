"""The funnel of the filters: how many entered each, how many left; and what each does alone."""

from collections.abc import Sequence

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from franca.report.figures import FAINT, INK, MUTED, PAPER, RULE, SERIES, WIDTH, new, themed
from franca.report.funnel import Effects, Step
from franca.report.numbers import MINUS, count, share


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


@themed
def draw_effects(effects: Effects) -> Figure:
    """Draw what each filter would drop alone (pale), drops in sequence, and only it drops (dark).

    Beside it, the share of what one filter (row) would drop that another (column) would as well.
    """
    names = [effect.filter for effect in effects.filters]
    rows = range(len(names))
    figure = new(WIDTH, 0.36 * len(names) + 1.3)
    bars, matrix = figure.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    series = (("alone", FAINT, 0.72), ("in_sequence", SERIES[5], 0.46), ("only", SERIES[0], 0.2))
    for name, colour, height in series:
        values = [getattr(effect, name) / max(effects.rows, 1) for effect in effects.filters]
        bars.barh(rows, values, color=colour, height=height, label=name.replace("_", " "))
    bars.set_yticks(rows, names, color=INK)
    bars.set(title="Rows dropped", xlabel="share of all rows")
    bars.xaxis.set_major_locator(MaxNLocator(4))
    bars.xaxis.set_major_formatter(PercentFormatter(1))
    bars.grid(visible=False, axis="y")
    figure.legend(loc="outside lower left", ncols=len(series))
    cells = [[n / max(effect.alone, 1) for n in effect.overlap] for effect in effects.filters]
    blues = LinearSegmentedColormap.from_list("share", [PAPER, SERIES[5]])
    matrix.imshow(cells, cmap=blues, aspect="auto")  # its rows are those of the bars
    for row, effect in enumerate(effects.filters):
        for column, number in enumerate(effect.overlap):
            if number:
                text = share(number, effect.alone)
                matrix.text(column, row, text, ha="center", va="center", fontsize=6, color=INK)
    matrix.set_xticks(rows, names, rotation=40, ha="right")
    matrix.set(ylim=(len(names) - 0.4, -0.6), title="Of these, also dropped by")
    matrix.tick_params(length=0)
    matrix.grid(visible=False)
    return figure
