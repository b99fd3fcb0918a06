"""CyclicMask: one visible rectangle per crop, shifted around the torus, with an exact count.

Franca paper, section 2.2; the inverse block with a roll of CAPI (https://arxiv.org/abs/2502.08769).
The paper's algorithm 1 overshoots the count by rounding; the released code, and this, do not.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int


@dataclass(frozen=True)
class CyclicMask:
    """Draw masks whose visible patches are one rectangle; the last row may be incomplete.

    Args:
        grid: (rows, columns) of patches.
        min_aspect: lower bound of height / width of the rectangle; the upper one is its inverse.
            Bounds give way where the rectangle would not fit into the grid.
        inverse: False masks the rectangle and leaves the rest visible.
        roll: False leaves the rectangle inside the crop. Then the centre is hardly ever masked and
            the corners nearly always; rolled, every patch is masked equally often.
    """

    grid: tuple[int, int]
    min_aspect: float = 0.3
    inverse: bool = True
    roll: bool = True

    def __call__(
        self, counts: Int[np.ndarray, " masks"], *, generator: np.random.Generator
    ) -> Bool[np.ndarray, "masks height width"]:
        """Draw one mask for each number of masked patches; True is masked."""
        height, width = self.grid
        cells = height * width - counts if self.inverse else counts
        rows, columns = self._rectangles(cells, generator)
        if self.roll:
            top = generator.integers(height, size=len(counts))
            left = generator.integers(width, size=len(counts))
        else:
            top = generator.integers(height - rows + 1)
            left = generator.integers(width - columns + 1)
        # Rows and columns of each patch, counted from the corner of the rectangle around the torus.
        y = (np.arange(height) - top[:, None])[:, :, None] % height
        x = (np.arange(width) - left[:, None])[:, None, :] % width
        columns, cells = columns[:, None, None], cells[:, None, None]
        # In raster order, so that exactly the wanted number is inside.
        inside: Bool[np.ndarray, "masks height width"]
        inside = (x < columns) & (y * columns + x < cells)
        return ~inside if self.inverse else inside

    def _rectangles(
        self, cells: Int[np.ndarray, " masks"], generator: np.random.Generator
    ) -> tuple[Int[np.ndarray, " masks"], Int[np.ndarray, " masks"]]:
        """Draw heights and widths of rectangles that fit and have at least `cells` patches."""
        height, width = self.grid
        area = np.maximum(cells, 1)
        fits = np.log(area / width**2), np.log(height**2 / area)
        low, high = np.clip(np.log([[self.min_aspect], [1 / self.min_aspect]]), *fits)
        aspect = np.exp(generator.uniform(low, high))
        rows = np.ceil(np.sqrt(area * aspect)).astype(np.int64).clip(max=height)
        columns = np.ceil(np.sqrt(area / aspect)).astype(np.int64).clip(max=width)
        return rows, columns
