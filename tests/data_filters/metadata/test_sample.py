"""Sampling by hash: nested, stateless, and of the share asked for."""

import hashlib

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_filters.metadata.sample import SampleFilter
from data_filters.records import content_id

FRACTIONS = st.floats(0, 1, exclude_min=True)


def test_sql_and_python_draw_the_same_rows(judge):
    rows = [{"url": f"https://a.org/{i}.jpg"} for i in range(300)]
    sample = SampleFilter(fraction=0.3, seed=7)
    drawn = [verdict is None for verdict in judge(sample, rows)]
    assert drawn == [sample.keeps(content_id(row["url"])) for row in rows]
    assert 60 < sum(drawn) < 120
    assert set(judge(sample, rows)) == {None, ("sample", "not_sampled")}


@given(small=FRACTIONS, large=FRACTIONS, seed=st.integers(0, 100), row=st.integers())
@example(small=0.75, large=0.9999999999999999, seed=0, row=0)
def test_a_smaller_share_is_a_subset_of_a_larger_one(small, large, seed, row):
    small, large = sorted((small, large))
    row_id = content_id(str(row))
    if SampleFilter(fraction=small, seed=seed).keeps(row_id):
        assert SampleFilter(fraction=large, seed=seed).keeps(row_id)


def test_samples_of_real_rows_lie_in_each_other(shared_data, judge):
    table = pq.read_table(shared_data / "laion_sample" / "metadata.parquet", columns=["URL"])
    rows = [{"url": url} for url in table["URL"].to_pylist()[:2000]]
    previous = set()
    for fraction in (0.01, 0.1, 0.5, 0.9):
        verdicts = judge(SampleFilter(fraction=fraction, seed=0), rows)
        drawn = {row for row, verdict in enumerate(verdicts) if verdict is None}
        assert previous < drawn
        assert len(drawn) == pytest.approx(fraction * len(rows), abs=60)
        previous = drawn


def test_seeds_draw_independently():
    ids = [content_id(str(i)) for i in range(4000)]
    first, second = (
        {i for i in ids if SampleFilter(fraction=0.5, seed=seed).keeps(i)} for seed in (1, 2)
    )
    assert len(first & second) == pytest.approx(1000, abs=120)


def test_everything_is_drawn_without_a_rule():
    assert SampleFilter(fraction=1.0, seed=0).rules() == ()
    assert SampleFilter(fraction=1.0, seed=0).keeps("x")


def test_the_share_is_exact_to_52_bits(judge):
    row = {"url": "https://a.org/1.jpg"}
    row_id = content_id(row["url"])
    digest = hashlib.sha256(f"franca/sample/7/{row_id}".encode()).hexdigest()
    own = int(digest[:13], 16)
    for fraction, drawn in ((own / 16**13, False), ((own + 1) / 16**13, True)):
        sample = SampleFilter(fraction=fraction, seed=7)
        assert sample.keeps(row_id) == drawn
        assert judge(sample, [row]) == [None if drawn else ("sample", "not_sampled")]
