"""How numbers are written."""

import math

import pytest

from franca.report import numbers


def test_counts_have_thin_spaces():
    assert numbers.count(1234567) == "1\u202f234\u202f567"


def test_share_of_nothing_is_a_dash():
    assert numbers.share(1, 3) == "33.3\u202f%"
    assert numbers.share(0, 0) == "\u2013"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_560_000, "2.6 MB")]
)
def test_sizes(size, text):
    assert numbers.size(size).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("half_width", "places"), [(0.03, 3), (0.5, 2), (1.6, 1), (1e-9, 4), (30.0, 1), (None, 3)]
)
def test_digits_follow_the_interval(half_width, places):
    assert numbers.decimals(half_width) == places


def test_minus_is_a_true_minus():
    assert numbers.fixed(-1.25, 1) == "\N{MINUS SIGN}1.2"
    assert numbers.signed(0.5, 2) == "+0.50"
    assert numbers.interval((-1.0, 2.0), 1) == "[\N{MINUS SIGN}1.0, 2.0]"


def test_what_is_no_number_says_so():
    assert numbers.fixed(math.nan, 2) == "not finite"
    assert numbers.signed(math.inf, 2) == "not finite"
