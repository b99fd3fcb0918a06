"""Bars of the ladder."""

from franca.report.plots.ablation import Bar, draw_ladders


def test_bars_and_intervals_are_the_given_numbers():
    bars = [
        Bar(label="base", value=0.3, interval=(0.25, 0.35)),
        Bar(label="+ one", value=0.4, interval=None),
        Bar(label="+ two", value=None, interval=None),
    ]
    axes = draw_ladders([("a", bars), ("b", bars), ("c", bars)]).axes
    assert [found.axison for found in axes] == [True, True, True, False]
    assert [bar.get_width() for bar in axes[0].patches] == [0.3, 0.4]
    assert axes[0].collections[0].get_segments()[0].tolist() == [[0.25, 0], [0.35, 0]]
    assert [text.get_text() for text in axes[0].texts] == [" not measured"]
