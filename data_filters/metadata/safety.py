"""Drop rows that the source's own classifiers call unsafe or watermarked."""

from data_filters.base import Rule, RuleFilter
from data_filters.metadata.threshold import Missing, bounded


class ProbabilityFilter(RuleFilter):
    """Judge a probability that the source states.

    Args:
        name: Name of the filter.
        column: `punsafe` or `pwatermark`.
        reason: Why a row at or above the limit is dropped.
        limit: Rows below it pass. LAION's recipes say `<`, as here.
        missing: Whether a row without the value passes.
    """

    def __init__(
        self, *, name: str, column: str, reason: str, limit: float | None, missing: Missing
    ) -> None:
        self.name = name
        self._column, self._reason = column, reason
        self._limit, self._missing = limit, missing

    def rules(self) -> tuple[Rule, ...]:
        """Return the condition under which the probability is too high."""
        if self._limit is None:
            return ()
        # CAST: 0.1 as FLOAT is above 0.1 as DOUBLE, and the column is FLOAT
        condition = f"{self._column} >= CAST({self._limit!r} AS FLOAT)"
        return bounded(
            needs=(self._column,),
            missing=self._missing,
            word=f"{self._column}_missing",
            rules=(Rule(self._reason, condition),),
        )

    def surely_kept(self) -> str | None:
        """The opposite of the rule; false where the probability is missing."""
        condition = f"{self._column} < CAST({self._limit!r} AS FLOAT)"
        return None if self._limit is None else condition


def unsafe(*, limit: float | None, missing: Missing) -> ProbabilityFilter:
    """Drop rows that are probably not safe for work."""
    return ProbabilityFilter(
        name="unsafe", column="punsafe", reason="probably_unsafe", limit=limit, missing=missing
    )


def watermark(*, limit: float | None, missing: Missing) -> ProbabilityFilter:
    """Drop rows whose image probably bears a watermark."""
    return ProbabilityFilter(
        name="watermark",
        column="pwatermark",
        reason="probably_watermarked",
        limit=limit,
        missing=missing,
    )
