"""Numbers and tables: the examples of the docstrings, and alignment."""

import doctest

import pytest

from workflow.plan import text


def test_the_examples_hold():
    outcome = doctest.testmod(text)
    assert (outcome.failed, outcome.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (1.36e9, "1.36 G"), (2.5e15, "2,500 T")],
)
def test_numbers_have_three_digits_and_a_prefix(value, words):
    assert text.scaled(value, "") == words


def test_a_range_has_one_prefix():
    assert text.between(0.86e9, 1.2e9, "B") == "0.86 to 1.20 GB"


def test_first_column_to_the_left_others_to_the_right():
    assert text.table([["a", "1", ""], ["long", "100", "x"]]) == ["a       1", "long  100  x"]


def test_notes_fit_a_terminal():
    assert max(map(len, text.note("word " * 100))) <= 100
