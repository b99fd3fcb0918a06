"""The accounts add up, or it is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_filters.ledger import Entry, LedgerError, Tally, enforce, merge


def test_accounts_are_sequential():
    tally = Tally("stage", ["size", "safety"])
    tally.add(None, None, 5)
    tally.add("size", "too_small", 2)
    tally.add("safety", "unsafe")
    tally.add("size", "too_big")
    assert [entry.to_json() for entry in tally.entries()] == [
        {
            "stage": "stage",
            "filter": "size",
            "in": 9,
            "kept": 6,
            "dropped": 3,
            "reasons": {"too_big": 1, "too_small": 2},
        },
        {
            "stage": "stage",
            "filter": "safety",
            "in": 6,
            "kept": 5,
            "dropped": 1,
            "reasons": {"unsafe": 1},
        },
    ]
    assert (tally.total, tally.kept) == (9, 5)


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 50))))
def test_whatever_is_counted_forms_a_chain(verdicts):
    tally = Tally("stage", ["a", "b", "c"])
    for name, count in verdicts:
        tally.add(name, None if name is None else "because", count)
    entries = tally.entries()
    enforce(entries)
    assert entries[0].entered == sum(count for _, count in verdicts)
    assert entries[-1].kept == tally.kept
    assert [Entry.from_json(entry.to_json()) for entry in entries] == entries


@pytest.mark.parametrize(("name", "reason"), [("other", "x"), ("a", None), (None, "x")])
def test_a_verdict_of_nobody_or_for_nothing_is_refused(name, reason):
    with pytest.raises(LedgerError, match="filters are a"):
        Tally("stage", ["a"]).add(name, reason)


def test_a_row_lost_between_filters_is_noticed():
    first = Entry(stage="s", filter="a", entered=10, reasons={"x": 2})
    with pytest.raises(LedgerError, match=r"s/a kept 8 rows, but t/b took in 7"):
        enforce([first, Entry(stage="t", filter="b", entered=7)])


def test_dropping_more_than_came_in_is_noticed():
    with pytest.raises(LedgerError, match="s/a dropped 3 of 2"):
        enforce([Entry(stage="s", filter="a", entered=2, reasons={"x": 3})])


def test_stored_numbers_that_contradict_each_other_are_refused():
    account = Entry(stage="s", filter="a", entered=10, reasons={"x": 2}).to_json()
    with pytest.raises(LedgerError, match="10 in is not 9 kept plus 2 dropped"):
        Entry.from_json({**account, "kept": 9})
    with pytest.raises(LedgerError, match="1 in is not -1 kept plus 2 dropped"):
        Entry.from_json({**account, "in": 1, "kept": -1})


def test_accounts_of_groups_add_up_filter_by_filter():
    one = [Entry(stage="s", filter="a", entered=5, reasons={"x": 2, "y": 1})]
    other = [Entry(stage="s", filter="a", entered=4, reasons={"x": 1, "z": 1})]
    both = {"x": 3, "y": 1, "z": 1}
    assert merge([one, other]) == [Entry(stage="s", filter="a", entered=9, reasons=both)]
    with pytest.raises(LedgerError, match=r"judged by \[\('s', 'a'\)\] and by \[\('t', 'a'\)\]"):
        merge([one, [Entry(stage="t", filter="a", entered=4)]])
