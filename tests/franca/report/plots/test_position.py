"""Maps of predicted places."""

import numpy as np

from franca.report.plots.position import draw_position_maps


def test_each_named_set_has_a_map_of_rows_and_one_of_columns():
    values = np.random.default_rng(0).random((4, 5, 2))
    figure = draw_position_maps({"before": values, "after": values[::-1]})
    images = [axes.images[0].get_array() for axes in figure.axes[:4]]
    assert np.array_equal(images[0], values[:, :, 0])
    assert np.array_equal(images[3], values[::-1, :, 1])
    assert [axes.get_title(loc="left") for axes in figure.axes[:4]] == [
        "row, before", "column, before", "row, after", "column, after",
    ]  # fmt: skip
