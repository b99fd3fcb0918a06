"""Drop rows whose image is too small, as the source states its size."""

from data_filters.base import Rule, RuleFilter
from data_filters.metadata.threshold import Missing, bounded


class SizeFilter(RuleFilter):
    """Judge the stated size.

    Args:
        min_side: Smallest shorter side, pixels.
        min_area: Smallest area, pixels.
        missing: Whether a row without a size passes.
    """

    name = "size"

    def __init__(self, *, min_side: int | None, min_area: int | None, missing: Missing) -> None:
        self._min_side, self._min_area, self._missing = min_side, min_area, missing

    def rules(self) -> tuple[Rule, ...]:
        """Return the conditions under which a row is too small."""
        rules = []
        if self._min_side is not None:
            condition = f"width < {self._min_side} OR height < {self._min_side}"
            rules.append(Rule("side_too_short", condition))
        if self._min_area is not None:
            area = "CAST(width AS BIGINT) * height"
            rules.append(Rule("area_too_small", f"{area} < {self._min_area}"))
        return bounded(
            needs=("width", "height"),
            missing=self._missing,
            word="size_missing",
            rules=tuple(rules),
        )

    def surely_kept(self) -> str | None:
        """The opposite of the rules; false where a side is missing."""
        limits = []
        if self._min_side is not None:
            limits += [f"width >= {self._min_side}", f"height >= {self._min_side}"]
        if self._min_area is not None:
            limits.append(f"CAST(width AS BIGINT) * height >= {self._min_area}")
        return " AND ".join(limits) or None
