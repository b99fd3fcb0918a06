"""All filters in one expression."""

import duckdb
import numpy as np

from data_filters.io.parquet import scan_sql
from data_filters.metadata.address import AddressFilter
from data_filters.metadata.aspect import AspectFilter
from data_filters.metadata.judge import first_broken, judged_sql, named_rules
from data_filters.metadata.size import SizeFilter

SIZE = SizeFilter(min_side=100, min_area=None, missing="drop")
ASPECT = AspectFilter(max_ratio=3.0, missing="drop")


def test_the_first_rule_broken_gives_the_reason(judge):
    rows = [{"width": 50, "height": 500}, {"width": 100, "height": 500}, {"width": None}]
    assert judge([SIZE, ASPECT], rows) == [
        ("size", "side_too_short"), ("aspect", "too_elongated"), ("size", "size_missing"),
    ]  # fmt: skip
    assert judge([ASPECT, SIZE], rows)[0] == ("aspect", "too_elongated")
    assert judge([], rows) == [None] * 3


def test_every_rule_broken_is_a_bit(metadata_part):
    rows = [{"width": 50, "height": 500}, {"width": 100, "height": 500}, {"width": None}, {}]
    rules = named_rules([SIZE, ASPECT])
    query = judged_sql(f"SELECT * FROM {scan_sql([metadata_part(rows)])}", rules)
    with duckdb.connect() as connection:
        masks = [mask for (mask,) in connection.sql(f"SELECT broken FROM ({query})").fetchall()]
    reasons = [{rule.reason for bit, rule in enumerate(rules) if m >> bit & 1} for m in masks]
    assert reasons == [
        {"side_too_short", "too_elongated"}, {"too_elongated"},
        {"size_missing"}, set(),
    ]  # fmt: skip


def test_the_last_of_twenty_rules_is_heard(judge):
    rules = [AspectFilter(max_ratio=20.0 - number, missing="keep") for number in range(20)]
    assert judge(rules, [{"width": 150, "height": 100}, {"width": 100, "height": 100}]) == [
        ("aspect", "too_elongated"), None,
    ]  # fmt: skip


def test_two_filters_may_call_one_function(judge):
    both = [
        AddressFilter(allowed_schemes=["https"], denied_domains=[domain])
        for domain in ("a.org", "b.org")
    ]
    rows = [{"url": f"https://{domain}/1.jpg"} for domain in ("b.org", "c.org")]
    assert judge(both, rows) == [("address", "domain_denied"), None]


def test_the_lowest_bit_is_found_in_any_of_64():
    masks = np.array([1 << bit | 1 << 63 for bit in range(64)], np.uint64)
    assert first_broken(masks).tolist() == list(range(64))
