"""Drop rows that the source itself could not download."""

from collections.abc import Sequence

from data_filters.base import Rule, RuleFilter
from data_filters.io.parquet import sql_text
from data_filters.metadata.threshold import Missing, bounded


class StatusFilter(RuleFilter):
    """Judge the status of the download that the source made for itself.

    Args:
        allowed: Values that pass, such as `success`.
        missing: Whether a row without one passes.
    """

    name = "status"

    def __init__(self, *, allowed: Sequence[str] | None, missing: Missing) -> None:
        self._allowed, self._missing = allowed, missing

    def rules(self) -> tuple[Rule, ...]:
        """Return the condition under which the source had failed."""
        if self._allowed is None:
            return ()
        values = ", ".join(map(sql_text, self._allowed))
        return bounded(
            needs=("status",),
            missing=self._missing,
            word="status_missing",
            rules=(Rule("failed_at_source", f"status NOT IN ({values})"),),
        )
