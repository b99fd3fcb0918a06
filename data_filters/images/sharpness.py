"""Drop images without fine detail."""

import numpy as np
import numpy.typing as npt

from data_filters.base import KEEP, Filter, Verdict, drop
from data_filters.images.candidate import Candidate


def laplacian_variance(grey: npt.NDArray[np.float32]) -> float:
    """Return the variance of the 4-neighbour Laplacian, squared grey levels.

    A measure of focus (Pech-Pacheco et al., 2000), as in fastdup and cleanvision. Images of less
    than 3x3 pixels have none and count as perfectly blurred.
    """
    if min(grey.shape) < 3:
        return 0.0
    centre = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.var(around - 4 * centre, dtype=np.float64))


class SharpnessFilter(Filter[Candidate]):
    """Judge focus.

    Args:
        min_variance: Smallest variance of the Laplacian that passes.
    """

    name = "sharpness"
    reasons = ("blurred",)

    def __init__(self, *, min_variance: float) -> None:
        super().__init__()
        self._min_variance = min_variance

    def judge(self, record: Candidate) -> Verdict:
        """Drop if the image is out of focus."""
        return KEEP if laplacian_variance(record.grey) >= self._min_variance else drop("blurred")
