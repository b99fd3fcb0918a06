"""Filters count, time, and may give only the reasons they declared."""

import pytest

from data_filters.base import KEEP, Filter, drop, objections


class Below(Filter[int]):
    name = "below"
    reasons = ("too_high",)

    def __init__(self, limit):
        super().__init__()
        self._limit = limit

    def judge(self, record):
        return KEEP if record < self._limit else drop("too_high", str(record))


class Even(Filter[int]):
    name = "even"
    reasons = ("odd",)

    def judge(self, record):
        return KEEP if record % 2 == 0 else drop("odd")


def test_a_filter_counts_what_it_judged_and_dropped():
    below = Below(3)
    assert [below(number).kept for number in range(5)] == [True, True, True, False, False]
    assert (below.judged, dict(below.dropped)) == (5, {"too_high": 2})
    assert below.seconds > 0


def test_a_reason_that_was_not_declared_is_a_bug():
    class Vague(Even):
        def judge(self, record):
            return drop("whatever", str(record))

    with pytest.raises(AssertionError, match="whatever"):
        Vague()(1)


def test_every_objection_counts_up_to_a_gate():
    chain = [Below(3), Even()]
    high, odd = ("below", drop("too_high", "5")), ("even", drop("odd"))
    assert objections(chain, 5) == [high, odd]
    assert objections(chain, 1) == [odd]
    assert objections(chain, 2) == []
    assert [each.judged for each in chain] == [3, 3]
    chain[0].gate = True
    assert objections(chain, 5) == [high]
    assert [each.judged for each in chain] == [4, 3]
