"""Drop rows whose image is too elongated, as the source states its size."""

from data_filters.base import Rule, RuleFilter
from data_filters.metadata.threshold import Missing, bounded


class AspectFilter(RuleFilter):
    """Judge the longer side over the shorter side.

    Args:
        max_ratio: Largest ratio that passes.
        missing: Whether a row without a size passes.
    """

    name = "aspect"

    def __init__(self, *, max_ratio: float | None, missing: Missing) -> None:
        self._max_ratio, self._missing = max_ratio, missing

    def rules(self) -> tuple[Rule, ...]:
        """Return the condition; a side of zero has no ratio and is too elongated for any."""
        if self._max_ratio is None:
            return ()
        ratio = f"CAST({self._max_ratio!r} AS DOUBLE)"
        condition = f"width > {ratio} * height OR height > {ratio} * width"
        return bounded(
            needs=("width", "height"),
            missing=self._missing,
            word="size_missing",
            rules=(Rule("too_elongated", condition),),
        )

    def surely_kept(self) -> str | None:
        """The opposite of the rule; false where a side is missing."""
        ratio = f"CAST({self._max_ratio!r} AS DOUBLE)"
        condition = f"width <= {ratio} * height AND height <= {ratio} * width"
        return None if self._max_ratio is None else condition
