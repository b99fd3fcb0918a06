"""All filters in one expression, and one row per URL."""

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_filters.metadata.aspect import AspectFilter
from data_filters.metadata.judge import first_copies_sql, judged_sql, without_repeats_sql
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


def kept(parts, filters=()):
    """The (caption, width) of the rows that pass, repeats removed."""
    with duckdb.connect() as connection:
        everything = judged_sql(parts, list(filters))
        connection.execute(f"CREATE TABLE copies AS {first_copies_sql(everything)}")
        query = without_repeats_sql(everything, "copies")
        rows = connection.sql(f"SELECT url, caption, width, verdict FROM ({query})").fetchall()
    assert {v["reason"] for *_, v in rows if v is not None} <= {
        "url_seen_before", "side_too_short",
    }  # fmt: skip
    return sorted((url, caption, width) for url, caption, width, v in rows if v is None)


def test_one_row_of_each_url_stays_across_parts(metadata_part):
    a = {"url": "https://a.org/1.jpg"}
    parts = [
        metadata_part([{**a, "caption": "b"}, {"url": "https://a.org/2.jpg"}], part=0),
        metadata_part([{**a, "caption": "a"}, {**a, "caption": None, "width": 50}], part=1),
    ]
    assert kept(parts) == [
        ("https://a.org/1.jpg", None, 50), ("https://a.org/2.jpg", "a photo of a thing", 640),
    ]  # fmt: skip


def test_a_row_that_another_filter_drops_does_not_take_its_copies_along(metadata_part):
    a = {"url": "https://a.org/1.jpg"}
    part = metadata_part([{**a, "caption": "a", "width": 50}, {**a, "caption": "b"}])
    assert kept([part], [SIZE]) == [("https://a.org/1.jpg", "b", 640)]


@pytest.mark.parametrize("seed", range(3))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), min_size=1, max_size=12))
def test_the_order_of_the_source_changes_nothing(metadata_part, seed, rows):
    def parts(rows):
        cut = len(rows) // 2
        values = [{"url": f"https://a.org/{n}", "caption": text} for n, text in rows]
        return [metadata_part(values[:cut], part=0), metadata_part(values[cut:], part=1)]

    first = kept(parts(rows))
    turned = rows[seed:] + rows[:seed]
    assert kept(parts(turned[::-1])) == first
    assert len(first) == len({n for n, _ in rows})
