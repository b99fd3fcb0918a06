"""Drop images that are too small or too elongated, measured upright."""

from data_filters.base import KEEP, Filter, Verdict, drop
from data_filters.images.candidate import Candidate


class ShapeFilter(Filter[Candidate]):
    """Judge the true sides, which may differ from what the metadata claimed.

    Args:
        min_side: Smallest shorter side, pixels; None for any.
        max_aspect_ratio: Largest longer side over shorter side; None for any.
    """

    name = "shape"
    reasons = ("side_too_short", "too_elongated")

    def __init__(self, *, min_side: int | None, max_aspect_ratio: float | None) -> None:
        super().__init__()
        self._min_side, self._max_aspect_ratio = min_side, max_aspect_ratio

    def judge(self, record: Candidate) -> Verdict:
        """Drop if a limit is broken."""
        short, long = sorted(record.size)
        if self._min_side is not None and short < self._min_side:
            return drop("side_too_short")
        if self._max_aspect_ratio is not None and long > self._max_aspect_ratio * short:
            return drop("too_elongated")
        return KEEP
