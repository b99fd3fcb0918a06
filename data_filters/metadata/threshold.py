"""What most metadata filters share: a bound, and what happens where the value is missing."""

from typing import Literal

from data_filters.base import Rule

Missing = Literal["keep", "drop"]


def bounded(
    *, needs: tuple[str, ...], missing: Missing, word: str, rules: tuple[Rule, ...]
) -> tuple[Rule, ...]:
    """Put a rule for missing values before the rules that compare them.

    Args:
        needs: Columns that the rules compare, or expressions over several.
        missing: Whether a row that lacks one of them passes.
        word: Reason recorded for a missing value.
        rules: The comparisons; a comparison with null is false, so such a row passes them.
    """
    if not rules or missing == "keep":
        return rules
    return (Rule(word, " OR ".join(f"{name} IS NULL" for name in needs)), *rules)
