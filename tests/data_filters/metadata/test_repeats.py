"""One row per URL, whatever the order of the source and however little memory there is."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_filters.io.parquet import write_batches
from data_filters.metadata.repeats import occurring_again, repeated_keys, repeats, without_repeats
from data_filters.records import REPEATED


def repeated(parts, *, max_bytes=1_000_000):
    with duckdb.connect() as connection:
        batches = list(repeats(connection, parts, max_bytes=max_bytes))
    return pa.Table.from_batches(batches, REPEATED)


def kept(parts, folder, **options):
    """The (url, caption) of the rows that stay, in the order of the source."""
    file = folder / "repeated.parquet"
    write_batches(file, REPEATED, repeated(parts, **options).to_batches())
    return [
        (row["url"], row["caption"])
        for part in parts
        for batch in without_repeats(part, file)
        for row in batch.to_pylist()
    ]


def test_one_row_of_each_url_stays_across_parts(metadata_part, tmp_path):
    a = {"url": "https://a.org/1.jpg"}
    parts = [
        metadata_part([{**a, "caption": "b"}, {"url": "https://a.org/2.jpg"}], part=0),
        metadata_part([{**a, "caption": "a"}, {**a, "caption": "c"}], part=1),
        metadata_part([], part=2),
    ]
    assert kept(parts, tmp_path) == [
        ("https://a.org/2.jpg", "a photo of a thing"), ("https://a.org/1.jpg", "a"),
    ]  # fmt: skip
    assert repeated(parts).to_pylist() == [{"part": 0, "row": 0}, {"part": 1, "row": 1}]


def test_no_caption_goes_before_any(metadata_part):
    a, b = {"url": "https://a.org/1.jpg"}, {"url": "https://a.org/2.jpg"}
    rows = [{**b, "caption": "b"}, {**a, "caption": "a"}, {**a, "caption": None}]
    parts = [metadata_part(rows, part=0), metadata_part([{**b, "caption": "c"}], part=1)]
    assert repeated(parts).to_pylist() == [{"part": 0, "row": 1}, {"part": 1, "row": 0}]


def test_equal_rows_are_told_apart_by_their_position(metadata_part):
    part = metadata_part([{"url": "https://a.org/1.jpg"}] * 3, part=0)
    assert repeated([part])["row"].to_pylist() == [1, 2]


def test_little_memory_takes_more_passes_and_changes_nothing(metadata_part):
    rows = [{"url": f"https://a.org/{number % 70}"} for number in range(100)]
    parts = [metadata_part(rows[:50], part=0), metadata_part(rows[50:], part=1)]
    assert repeated(parts, max_bytes=280) == repeated(parts)  # ten keys at a time
    assert repeated(parts).num_rows == 30


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=200), st.integers(0, 63), st.integers(1, 300))
def test_the_table_finds_what_counting_finds(values, shift, chunk):
    """With few high bits in use, all keys fight for a few slots."""
    keys = np.array(values, np.uint64) << np.uint64(shift)
    found, counts = np.unique(keys, return_counts=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_filters.metadata.repeats._CHUNK", chunk)
        assert occurring_again(keys).tolist() == found[counts > 1].tolist()


def test_many_spread_keys_and_several_chunks(monkeypatch):
    monkeypatch.setattr("data_filters.metadata.repeats._CHUNK", 1000)
    keys = np.random.default_rng(0).integers(0, 1 << 64, 10_500, dtype=np.uint64)
    keys[10_000:] = keys[::20][:500]
    assert occurring_again(keys).tolist() == sorted(keys[::20][:500].tolist())


def test_hashes_find_what_a_set_finds(tmp_path):
    urls = [f"https://a.org/{number * number % 1009}" for number in range(3000)]
    pq.write_table(pa.table({"url": urls}), tmp_path / "urls.parquet")
    with duckdb.connect() as connection:
        keys = repeated_keys(connection, [tmp_path / "urls.parquet"], column="url")
    assert len(keys) == sum(urls.count(url) > 1 for url in set(urls))


def test_there_is_room_for_more_rows_than_expected(tmp_path):
    numbers = np.arange(1_200_000) % 1_150_000
    pq.write_table(pa.table({"number": numbers}), tmp_path / "numbers.parquet")
    with duckdb.connect() as connection:
        keys = repeated_keys(connection, [tmp_path / "numbers.parquet"], column="number")
        (expected,) = connection.sql("SELECT list(hash(n)) FROM range(50_000) r(n)").fetchall()[0]
    assert keys.tolist() == sorted(expected)


@pytest.mark.parametrize("seed", range(3))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), min_size=1, max_size=12))
def test_the_order_of_the_source_changes_nothing(metadata_part, tmp_path, seed, rows):
    def stay(rows):
        cut = len(rows) // 2
        values = [{"url": f"https://a.org/{n}", "caption": text} for n, text in rows]
        parts = [metadata_part(values[:cut], part=0), metadata_part(values[cut:], part=1)]
        return sorted(kept(parts, tmp_path))

    first = stay(rows)
    turned = rows[seed:] + rows[:seed]
    assert stay(turned[::-1]) == first
    assert len(first) == len({n for n, _ in rows})
