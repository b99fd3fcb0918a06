"""The graph of stages as an arc diagram: one stage a line, arcs for what it read."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc

from franca.report.figures import INK, MUTED, RULE, SERIES, WIDTH, new, themed

_LINE_HEIGHT = 0.3


@dataclass(frozen=True, kw_only=True)
class Node:
    """One stage.

    Attributes:
        name: The stage's word.
        note: What it published, in a few words.
        needs: Stages it read.
        group: 0 for the data half, 1 for the model half; decides the colour.
    """

    name: str
    note: str
    needs: tuple[str, ...]
    group: int


@themed
def draw_pipeline(nodes: Sequence[Node]) -> Figure:
    """Draw the stages in running order; what a stage read is joined to it on its left.

    Args:
        nodes: In an order where every stage stands below all that it needs.
    """
    row = {node.name: index for index, node in enumerate(nodes)}
    reach = max([row[n.name] - row[need] for n in nodes for need in n.needs if need in row] + [1])
    figure = new(WIDTH, _LINE_HEIGHT * len(nodes) + 0.2)
    axes = figure.subplots()
    for node in nodes:
        for need in (need for need in node.needs if need in row):
            _join(axes, row[need], row[node.name])
    for node in nodes:
        axes.plot(0, row[node.name], "o", color=SERIES[node.group], markersize=7, zorder=3)
        axes.text(0.7, row[node.name], node.name, va="center", color=INK, weight="bold")
        axes.text(6.2, row[node.name], node.note, va="center", color=MUTED)
    axes.set(xlim=(-0.5 * reach - 0.3, 22), ylim=(len(nodes) - 0.5, -0.6))
    axes.axis("off")
    return figure


def _join(axes: Axes, above: int, below: int) -> None:
    """Join two rows: neighbours by a line, others by half an ellipse to the left."""
    if below - above == 1:
        axes.plot([0, 0], [above, below], color=MUTED, linewidth=1.4, zorder=1)
        return
    span = below - above
    arc = Arc(
        (0, (above + below) / 2), width=span, height=span, theta1=90, theta2=270,
        color=RULE, linewidth=1.2, zorder=0,
    )  # fmt: skip
    axes.add_patch(arc)
