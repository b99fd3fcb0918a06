"""Drop near-uniform images: blank pages, placeholders, black frames."""

import numpy as np
import numpy.typing as npt

from data_filters.base import KEEP, Filter, Verdict, drop
from data_filters.images.candidate import Candidate


def histogram_entropy(grey: npt.NDArray[np.float32]) -> float:
    """Return the entropy of a 256-bin histogram of grey levels, bits: 0 (uniform) to 8."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


class UniformityFilter(Filter[Candidate]):
    """Judge the entropy of the grey histogram.

    Args:
        min_entropy: Smallest entropy that passes, bits.
    """

    name = "uniformity"
    reasons = ("near_uniform",)

    def __init__(self, *, min_entropy: float) -> None:
        super().__init__()
        self._min_entropy = min_entropy

    def judge(self, record: Candidate) -> Verdict:
        """Drop if there is next to nothing to see."""
        return KEEP if histogram_entropy(record.grey) >= self._min_entropy else drop("near_uniform")
