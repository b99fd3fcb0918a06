"""What happens where a value is missing."""

from data_filters.base import Rule
from data_filters.metadata.threshold import bounded

RULES = (Rule("too_big", "a > b"),)


def test_a_missing_value_is_judged_before_it_is_compared():
    rules = bounded(needs=("a", "b"), missing="drop", word="ab_missing", rules=RULES)
    assert rules == (Rule("ab_missing", "a IS NULL OR b IS NULL"), *RULES)
    assert bounded(needs=("a", "b"), missing="keep", word="ab_missing", rules=RULES) == RULES
    assert bounded(needs=("a", "b"), missing="drop", word="ab_missing", rules=()) == ()
