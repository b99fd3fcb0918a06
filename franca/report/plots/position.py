"""Maps of where patches seem to be."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from franca.report.figures import WIDTH, new, themed

Numbers = npt.NDArray[np.float64]


@themed
def draw_position_maps(maps: Mapping[str, Numbers]) -> Figure:
    """Draw predicted row and column over the grid, one row of maps for each named set.

    Args:
        maps: [rows, columns, 2] mean predictions by name.
    """
    figure = new(WIDTH * 0.62, 1.95 * len(maps) + 0.1)
    grid = figure.subplots(len(maps), 2, squeeze=False)
    image = None
    for axes_row, (name, values) in zip(grid, maps.items(), strict=True):
        for axes, part, title in zip(axes_row, (0, 1), ("row", "column"), strict=True):
            image = axes.imshow(values[:, :, part], cmap="cividis", vmin=0, vmax=1)
            axes.set_title(f"{title}, {name}")
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
    assert image is not None, maps
    bar = figure.colorbar(image, ax=grid, shrink=0.7, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    return figure
