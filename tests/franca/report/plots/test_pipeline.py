"""The arc diagram joins every stage to what it read."""

from matplotlib.patches import Arc

from franca.report.plots.pipeline import Node, draw_pipeline
from tests.franca.report.world import NEEDS


def test_every_edge_is_drawn_once():
    nodes = [Node(name=n, note="", needs=needs, group=0) for n, needs in NEEDS.items()]
    (axes,) = draw_pipeline(nodes).axes
    arcs = [patch for patch in axes.patches if isinstance(patch, Arc)]
    joints = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert len(arcs) + len(joints) == sum(len(needs) for needs in NEEDS.values())
    assert {text.get_text() for text in axes.texts} >= set(NEEDS)


def test_what_is_not_there_is_not_joined():
    (axes,) = draw_pipeline([Node(name="b", note="", needs=("a",), group=0)]).axes
    assert len(axes.patches) == 0
