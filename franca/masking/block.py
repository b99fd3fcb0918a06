"""Block masks of BEiT, iBOT and DINOv2: rectangles are masked until the count is nearly reached.

The mask of the DINOv2 baseline. Source: DINOv2's `MaskingGenerator`, after
https://arxiv.org/abs/2106.08254, algorithm 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

_ATTEMPTS = 10


@dataclass(frozen=True)
class BlockMask:
    """Draw masks as unions of rectangles; a mask may miss its count by a few patches.

    Args:
        grid: (rows, columns) of patches.
        min_patches: smallest area aimed at for a rectangle.
        max_fraction: largest new area of a rectangle, as a fraction of the grid.
        min_aspect: lower bound of height / width of a rectangle; the upper one is its inverse.
    """

    grid: tuple[int, int]
    min_patches: int = 4
    max_fraction: float = 0.5
    min_aspect: float = 0.3

    def __call__(
        self, counts: Int[np.ndarray, " masks"], *, generator: np.random.Generator
    ) -> Bool[np.ndarray, "masks height width"]:
        """Draw one mask for each number of masked patches; True is masked."""
        masks = np.zeros((len(counts), *self.grid), dtype=bool)
        for mask, count in zip(masks, counts.tolist(), strict=True):
            missing = count
            while missing > 0:
                added = self._add_rectangle(mask, missing, generator)
                if not added:
                    break
                missing -= added
        return masks

    def _add_rectangle(
        self, mask: Bool[np.ndarray, "height width"], missing: int, generator: np.random.Generator
    ) -> int:
        """Mask one more rectangle; return how many patches it added, 0 if none was found."""
        height, width = self.grid
        largest = min(missing, self.max_fraction * height * width)
        low = math.log(self.min_aspect)
        high = 0 - low  # -low is -0.0 for squares, which is no upper bound to NumPy
        for _ in range(_ATTEMPTS):
            # The bounds cross when little is missing; then areas in between are drawn all the same.
            area = self.min_patches + (largest - self.min_patches) * generator.random()
            aspect = math.exp(generator.uniform(low, high))
            rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if rows >= height or columns >= width:
                continue
            top = generator.integers(height - rows + 1)
            left = generator.integers(width - columns + 1)
            block = mask[top : top + rows, left : left + columns]
            added = block.size - int(block.sum())
            if 0 < added <= largest:
                block[:] = True
                return added
        return 0
